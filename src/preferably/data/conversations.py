"""Conversations: lists of messages and transcripts, and what makes a prompt and completions of them."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from preferably.data.columns import BadRow, Row, list_of, text_of
from preferably.data.messages import turn
from preferably.feedback.records import Message, Role

Turns = tuple[Message, ...]

SPEAKERS: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")


def turns(value: Any, field: str, row: Row) -> Turns:
    """The messages of a list, checked one by one and in their order. One message alone is a list of one."""
    items = [value] if isinstance(value, dict) else list_of(value, field)
    if not items:
        raise BadRow(field, "no_messages", "the list of messages is empty")
    made = tuple(turn(item, f"{field}[{index}]", row) for index, item in enumerate(items))
    for index, message in enumerate(made[1:], 1):
        if message.role == "system":
            raise BadRow(f"{field}[{index}].role", "system_not_first", "a system message after another turn")
    _look_for_repeats(made, field, row)
    return made


def _look_for_repeats(made: Turns, field: str, row: Row) -> None:
    for index, (before, message) in enumerate(pairwise(made), 1):
        if message.role == before.role != "tool":
            row.warnings["same_role_twice"] = f"{field}[{index}]"


def is_transcript(text: str) -> bool:
    r"""Whether `text` is a dialogue written out as "\n\nHuman: ...\n\nAssistant: ..."."""
    return len(SPEAKER.findall(text)) > 1


def transcript(text: str, field: str, row: Row) -> Turns:
    """The turns of a dialogue that is written out. Whitespace around a turn belongs to the layout, not to the turn."""
    before, *rest = SPEAKER.split(text)
    if before.strip():
        raise BadRow(field, "bad_transcript", "text before the first Human: or Assistant:")
    made = tuple(Message(SPEAKERS[who], said.strip()) for who, said in zip(rest[::2], rest[1::2], strict=True))
    for index, message in enumerate(made):
        text_of(message.content, f"{field}[{index}]")
    _look_for_repeats(made, field, row)
    return made


def check_prompt(prompt: Turns, field: str) -> Turns:
    """`prompt`, if the user opens it and the assistant is next to speak."""
    spoken = [message.role for message in prompt if message.role != "system"]
    if not spoken or spoken[0] == "assistant":
        raise BadRow(field, "starts_with_assistant", "no user turn comes before the assistant's")
    if spoken[0] == "tool":
        raise BadRow(field, "starts_with_assistant", "a tool speaks before any user")
    if spoken[-1] == "assistant":
        raise BadRow(field, "ends_with_assistant", "the prompt already ends with an answer")
    return prompt


def check_completion(completion: Turns, field: str) -> Turns:
    """`completion`, if the assistant begins and ends it, and something of it is to be learnt."""
    if completion[0].role != "assistant":
        raise BadRow(field, "completion_role", f"begins with the {completion[0].role}, expected the assistant")
    if completion[-1].role != "assistant":
        raise BadRow(field, "ends_with_user", f"ends with the {completion[-1].role}, expected the assistant")
    if not any(message.train for message in completion if message.role == "assistant"):
        raise BadRow(field, "nothing_to_learn", "every turn of the assistant says train: false (or weight: 0)")
    return completion


def split_conversation(conversation: Turns, field: str) -> tuple[Turns, Turns]:
    """(prompt, completion): all before the assistant's first turn, and the rest."""
    roles = [message.role for message in conversation]
    if "assistant" not in roles:
        raise BadRow(field, "ends_with_user", "the assistant says nothing")
    start = roles.index("assistant")
    return check_prompt(conversation[:start], field), check_completion(conversation[start:], field)


def split_shared(conversations: Sequence[Turns], fields: Sequence[str]) -> tuple[Turns, tuple[Turns, ...]]:
    """(prompt, completions) of conversations with one beginning: the prompt is what they share, in whole turns.

    They must part at a turn of the assistant: those that part at a turn of the user answer different prompts.
    """
    for field, conversation in zip(fields, conversations, strict=True):
        if conversation[-1].role != "assistant":
            raise BadRow(field, "ends_with_user", f"ends with the {conversation[-1].role}, expected the assistant")
    if all(same_text(conversations[0], other) for other in conversations[1:]):
        raise equal(fields[0], fields[1])
    first, shorter = conversations[0], min(map(len, conversations))
    shared = 0
    while shared < shorter and all(other[shared] == first[shared] for other in conversations[1:]):
        shared += 1
    if shared == shorter:  # one goes on where another has ended: the last answer in common is part of all
        shared -= 1
    if any(conversation[shared].role != "assistant" for conversation in conversations):
        raise BadRow(
            fields[0], "prompts_differ", f"{' and '.join(fields)} part at turn {shared + 1}, before any answer"
        )
    prompt = check_prompt(first[:shared], fields[0])
    rest = zip(conversations, fields, strict=True)
    return prompt, tuple(check_completion(conversation[shared:], field) for conversation, field in rest)


def same_text(one: Turns, other: Turns) -> bool:
    """Whether two completions read the same: equal up to Unicode composition and surrounding whitespace."""
    return plain(one) == plain(other)


def plain(said: Turns) -> tuple[tuple[str, str, str], ...]:
    """`said` up to Unicode composition and surrounding whitespace."""
    return tuple(
        (message.role, unicodedata.normalize("NFC", message.content).strip(), message.fields) for message in said
    )


def equal(one: str, other: str) -> BadRow:
    """There is nothing to prefer."""
    return BadRow(other, "equal", f"{one} and {other} are the same text")
