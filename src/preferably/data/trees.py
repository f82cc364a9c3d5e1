"""Message trees, as OpenAssistant publishes them, to rows of rankings."""

from collections.abc import Iterator
from typing import Any

from preferably.data.columns import kind

SPEAKERS = {"prompter": "user", "assistant": "assistant"}


def is_tree(columns: dict[str, Any]) -> bool:
    """Whether a row is a message tree."""
    root = columns.get("prompt")
    return isinstance(root, dict) and isinstance(root.get("replies"), list)


def tree_rows(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for every turn of the user that has two replies or more: the turns so far, the replies, their ranks.

    Ranks count from 0 in the trees and from 1 here. Where two replies are ranked, those without a rank are left out;
    where fewer are, the row has no ranks, so that it is counted as unjudged. Deleted messages are left out. A tree that
    is none comes back as it is, so that it is rejected by its columns.
    """
    if not is_tree(tree):
        yield tree
        return
    waiting: list[tuple[list[dict[str, Any]], dict[str, Any]]] = [([], tree["prompt"])]
    while waiting:
        before, message = waiting.pop()
        said = [*before, {"role": SPEAKERS.get(message.get("role", ""), kind(message.get("role"))),
                          "content": message.get("text")}]  # fmt: skip
        replies = [
            reply for reply in message.get("replies") or [] if isinstance(reply, dict) and not reply.get("deleted")
        ]
        waiting += [(said, reply) for reply in reversed(replies)]
        if message.get("role") != "prompter" or len(replies) < 2:
            continue
        ranked = [reply for reply in replies if isinstance(reply.get("rank"), int)]
        row: dict[str, Any] = {"prompt": said}
        if len(ranked) > 1:
            row["ranks"] = [reply["rank"] + 1 for reply in ranked]
        shown = ranked if len(ranked) > 1 else replies
        yield row | {"completions": [[{"role": "assistant", "content": reply.get("text")}] for reply in shown]}
