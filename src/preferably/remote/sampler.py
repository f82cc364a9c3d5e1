"""Completions of a model on a server, as those of a model here."""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from preferably.errors import DataError
from preferably.feedback.records import Group, Message
from preferably.remote.client import Client
from preferably.remote.reply import Reply


def drawn(
    client: Client, body: Mapping[str, Any], prompts: Sequence[Group], *, samples: int = 1, seed: int = 0,
    progress: Callable[[int], None] = lambda more: None,
) -> list[list[Reply]]:  # fmt: skip
    """`samples` replies to each prompt; `body` is all of a request but its messages.

    Each has a seed of its own, so that none is taken for another that was asked before. A reply may be in any state.
    Raises what `client.ask` does, and `DataError` for prompts of plain text, which servers of chat do not continue.
    """
    bodies = []
    for group in prompts:
        if any(message.role == "text" for message in group.prompt) or not group.prompt:
            where = "{}:{}".format(*group.place) if group.place else "A prompt"
            raise DataError(f"{where} is plain text, which a server of chat does not continue; give messages.")
        said = {"messages": [_turn(message) for message in group.prompt]}
        bodies += [{**body, **said, "seed": _seed(seed, number)} for number in range(samples)]
    replies = client.ask(bodies, lambda index, reply: progress(1))
    return [replies[at : at + samples] for at in range(0, len(replies), samples)]


def _seed(seed: int, number: int) -> int:
    """31 bits, as servers take them; no two of (seed, number) have the same but by an accident."""
    return int.from_bytes(sha256(f"{seed} {number}".encode()).digest()[:4], "big") >> 1


def _turn(message: Message) -> dict[str, Any]:
    more: dict[str, Any] = json.loads(message.fields or "{}")
    return {"role": message.role, "content": message.content} | more
