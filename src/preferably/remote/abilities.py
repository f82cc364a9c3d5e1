"""What a server really does of what it may say it does: found out by asking."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from preferably.remote.client import Client
from preferably.remote.reply import Reply
from preferably.remote.server import RemoteError

TOP = 10  # log-probs of so many tokens at each place
WORD = "harbour"
# No model says this by itself to what it is asked: whoever answers in this form was made to.
FORM = {
    "type": "object", "properties": {"quince": {"type": "string", "enum": ["seven"]}}, "required": ["quince"],
    "additionalProperties": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Abilities:
    """What can be counted on; `doubts` say why something cannot."""

    schema: bool  # an answer has the form of the JSON schema that is sent
    logprobs: bool  # log-probs are sent, and are those of the text
    doubts: tuple[str, ...] = ()


def in_form(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says to get its answer in the form of a JSON schema."""
    form = {"name": "verdict", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


def with_logprobs() -> dict[str, Any]:
    """What a request says to get log-probs."""
    return {"logprobs": True, "top_logprobs": TOP}


def abilities(client: Client, body: Mapping[str, Any], *, schema: bool = True, logprobs: bool = True) -> Abilities:
    """Ask for what is wanted, once each; `body` is all of a request but its messages. Raises what `client.ask` does."""
    asked = dict(body) | {"messages": [{"role": "user", "content": f"Say the word {WORD}."}]}
    doubts = []
    has_schema = has_logprobs = False
    if schema:
        [reply] = _tried(client, asked | in_form(FORM), "a JSON schema", "schema")
        has_schema = reply.state == "ok" and _is_form(reply.text)
        if not has_schema:
            doubts.append(f"no structured output: {reply.why or 'it answers in a form of its own'}")
    if logprobs:
        # In the form, where there is one: so that the reply has an end.
        body = asked | with_logprobs() | (in_form(FORM) if has_schema else {})
        [reply] = _tried(client, body, "log-probs", "logprobs")
        has_logprobs = bool(reply.tokens)
        if not has_logprobs:
            doubts.append(f"no log-probs: {reply.doubt or reply.why or 'it sends none'}")
    return Abilities(has_schema, has_logprobs, tuple(doubts))


def _tried(client: Client, body: Mapping[str, Any], what: str, name: str) -> list[Reply]:
    try:
        return client.ask([body])
    except RemoteError as error:  # of which asking for it may be the reason
        raise RemoteError(f"{error} It was asked for {what}, to see what it does; {name}: no leaves it out.") from error


def _is_form(text: str) -> bool:
    try:
        return bool(json.loads(text) == {"quince": "seven"})
    except ValueError:
        return False
