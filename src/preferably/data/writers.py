"""Groups back to rows that every reader of this package (and of TRL) takes."""

from collections.abc import Sequence
from typing import Any

from preferably.data.chat import is_text
from preferably.feedback.records import Group, Message


def row_of(group: Group) -> dict[str, Any]:
    """`prompt`; with one completion also `completion`, with two `chosen` and `rejected`. `ValueError` for more."""
    names = {0: (), 1: ("completion",), 2: ("chosen", "rejected")}.get(len(group.completions))
    if names is None:
        raise ValueError(f"a row holds at most two completions; got {len(group.completions)}")
    label = {} if group.label is None else {"label": group.label}
    parts = [group.prompt, *(completion.messages for completion in group.completions)]
    if any(is_text(part) for part in parts):
        texts = ["".join(message.content for message in part) for part in parts]
        return dict(zip(("prompt", *names) if group.prompt else ("prompt", "text"), texts, strict=True)) | label
    return dict(zip(("prompt", *names), map(_turns, parts), strict=True)) | label


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
