"""What a server said, read from the body of its answer: pure, and without trust."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from preferably.feedback.records import State

ROUNDING = 1e-3  # of probabilities that a server has rounded


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a reply, with what else could have stood there: log-probs in nats by text, its own among them."""

    text: str
    top: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply in its final state.

    `ok` has a text; `refused` the server or its model would not answer; `invalid` is an answer that is none (cut off,
    empty); `failed` means that no answer came. `why` says what was wrong.
    """

    state: State
    text: str = ""
    why: str = ""
    tokens: tuple[Token, ...] = ()  # empty where there are no log-probs, or none that can be believed
    doubt: str = ""  # why log-probs that were given are not believed
    model: str = ""  # as the server calls it
    used: tuple[int, int] | None = None  # tokens of the request and of the reply, as the server counts them
    cached: bool = field(default=False, compare=False)


class NoReplyError(ValueError):
    """A body that is no reply, though its status says that all is well."""


def read_reply(body: object) -> Reply:
    """The reply in a decoded body. Raises `NoReplyError`, which says why, where there is none."""
    if not isinstance(body, dict):
        raise NoReplyError(f"a {type(body).__name__} instead of an object")
    if body.get("error"):
        raise NoReplyError(f"an error: {error_of(body)}")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise NoReplyError("no choices")
    choice = choices[0]
    message = choice.get("message")
    if not isinstance(message, dict):
        raise NoReplyError("a choice without a message")
    about: dict[str, Any] = {"model": body.get("model") if isinstance(body.get("model"), str) else "",
                             "used": _used(body.get("usage"))}  # fmt: skip
    content = _content(message.get("content"))
    if choice.get("finish_reason") == "content_filter":
        return Reply("refused", content, "the server's filter stopped it", **about)
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        return Reply("refused", refusal, "the model refused", **about)
    if choice.get("finish_reason") == "length":
        return Reply("invalid", content, "it was cut off: raise max_tokens", **about)
    if not content.strip():
        return Reply("invalid", content, "it is empty", **about)
    tokens, doubt = _tokens(choice.get("logprobs"), content)
    return Reply("ok", content, "", tokens, doubt, **about)


def error_of(body: object) -> str:
    """What the body of an error says, shortened; empty where it says nothing."""
    found: Any = body
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    if isinstance(found, dict):
        found = found.get("type") or found.get("code") or ""
    text = found if isinstance(found, str) else str(found or "")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


def _content(content: object) -> str:
    """The text: as it stands, or of its parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return content if isinstance(content, str) else ""


def _used(usage: object) -> tuple[int, int] | None:
    if not isinstance(usage, dict):
        return None
    counts = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return counts if all(type(count) is int and count >= 0 for count in counts) else None  # type: ignore[return-value]


def _tokens(logprobs: object, content: str) -> tuple[tuple[Token, ...], str]:
    """The tokens of the reply, and why they are not believed, where they are not."""
    listed = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not listed:
        return (), ""
    tokens = []
    for entry in listed if isinstance(listed, list) else [None]:
        token = _token(entry)
        if isinstance(token, str):
            return (), token
        tokens.append(token)
    said = "".join(token.text for token in tokens)
    if not said.startswith(content):  # behind it may come a token that ends the reply
        return (), "their tokens are not the text of the reply"
    if all(len(token.top) < 2 for token in tokens):
        return (), "they name no other token"
    return tuple(tokens), ""


def _token(entry: object) -> Token | str:
    """A token, or what is wrong with it."""
    if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
        return "an entry is no token"
    top: dict[str, float] = {}
    for one in [*(entry.get("top_logprobs") or []), entry]:
        if not isinstance(one, dict) or not isinstance(one.get("token"), str):
            return "an entry is no token"
        value = one.get("logprob")
        if isinstance(value, bool) or not isinstance(value, int | float) or not value <= ROUNDING:  # NaN is not
            return "a log-probability is no number of at most 0"
        top.setdefault(one["token"], float(value))
    if math.fsum(map(math.exp, top.values())) > 1 + 10 * ROUNDING:
        return "probabilities add up to more than 1"
    return Token(entry["token"], top)
