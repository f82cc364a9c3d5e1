"""Turns: lists of messages and transcripts, and what makes a prompt and a completion of them."""

import re
import unicodedata
from typing import Any, NoReturn, cast

from preferably.feedback.records import Message, Role

Turns = tuple[Message, ...]

ROLES = ("system", "user", "assistant")
SPEAKERS: dict[str, Role] = {"Human": "user", "Assistant": "assistant"}
SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")


class BadRow(Exception):
    """Why a row cannot be used; `formats` makes a `Reject` of it. Never leaves this package."""

    def __init__(self, field: str, code: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.code, self.reason = field, code, reason


def text_of(value: Any, field: str, *, may_be_blank: bool = False) -> str:
    """`value`, if it is text and says something."""
    if not isinstance(value, str):
        raise BadRow(field, "wrong_type", f"expected text, got {'null' if value is None else type(value).__name__}")
    if not may_be_blank and not value.strip():
        raise BadRow(field, "empty", "empty, or only whitespace")
    return value


def turns(value: Any, field: str) -> Turns:
    """The messages of a list of `{"role": ..., "content": ...}`, checked one by one and in their order."""
    if not isinstance(value, list):
        raise BadRow(field, "wrong_type", f"expected a list of messages, got {type(value).__name__}")
    if not value:
        raise BadRow(field, "no_messages", "the list of messages is empty")
    made = tuple(_turn(item, f"{field}[{index}]") for index, item in enumerate(value))
    for index, message in enumerate(made):
        if message.role == "system" and index:
            raise BadRow(f"{field}[{index}].role", "system_not_first", "a system message after another turn")
    return made


def _turn(item: Any, field: str) -> Message:
    # ShareGPT's turns, {"from": "human" | "gpt", "value": ...}, belong here once they are read.
    if not isinstance(item, dict):
        raise BadRow(field, "wrong_type", f"expected a message (an object), got {type(item).__name__}")
    for key in ("role", "content"):
        if key not in item:
            hint = "; ShareGPT's from/value is not read, convert it to role/content" if "value" in item else ""
            raise BadRow(f"{field}.{key}", "missing_field", f"a message needs role and content{hint}")
    if item.get("tool_calls"):
        raise BadRow(f"{field}.tool_calls", "unsupported", "tool calls cannot be learnt yet")
    role = text_of(item["role"], f"{field}.role").strip().lower()
    if role not in ROLES:
        raise BadRow(f"{field}.role", "unknown_role", f"{role[:40]!r} is none of {', '.join(ROLES)}")
    if isinstance(item["content"], list):
        raise BadRow(f"{field}.content", "unsupported", "content in parts (images, audio) is not read; expected text")
    content = text_of(item["content"], f"{field}.content", may_be_blank=role == "system")
    return Message(cast(Role, role), content)


def is_transcript(text: str) -> bool:
    r"""Whether `text` is a dialogue written out as "\n\nHuman: ...\n\nAssistant: ..."."""
    return len(SPEAKER.findall(text)) > 1


def transcript(text: str, field: str) -> Turns:
    """The turns of a dialogue that is written out. Whitespace around a turn belongs to the layout, not to the turn."""
    before, *rest = SPEAKER.split(text)
    if before.strip():
        raise BadRow(field, "bad_transcript", "text before the first Human: or Assistant:")
    made = tuple(Message(SPEAKERS[who], said.strip()) for who, said in zip(rest[::2], rest[1::2], strict=True))
    for index, message in enumerate(made):
        text_of(message.content, f"{field}[{index}]")
    return made


def check_prompt(prompt: Turns, field: str) -> Turns:
    """`prompt`, if the assistant is next to speak."""
    spoken = [message.role for message in prompt if message.role != "system"]
    if not spoken or spoken[0] == "assistant":
        raise BadRow(field, "starts_with_assistant", "no user turn comes before the assistant's")
    if spoken[-1] == "assistant":
        raise BadRow(field, "ends_with_assistant", "the prompt already ends with an answer")
    return prompt


def check_completion(completion: Turns, field: str) -> Turns:
    """`completion`, if the assistant begins and ends it."""
    if completion[0].role != "assistant":
        raise BadRow(field, "completion_role", f"begins with the {completion[0].role}, expected the assistant")
    if completion[-1].role != "assistant":
        raise BadRow(field, "ends_with_user", f"ends with the {completion[-1].role}, expected the assistant")
    return completion


def split_conversation(conversation: Turns, field: str) -> tuple[Turns, Turns]:
    """(prompt, completion): all before the assistant's first turn, and the rest."""
    roles = [message.role for message in conversation]
    if "assistant" not in roles:
        raise BadRow(field, "ends_with_user", "the assistant says nothing")
    start = roles.index("assistant")
    return check_prompt(conversation[:start], field), check_completion(conversation[start:], field)


def split_pair(chosen: Turns, rejected: Turns) -> tuple[Turns, Turns, Turns]:
    """(prompt, chosen, rejected) of two conversations: the prompt is what they share, in whole turns.

    They must part at a turn of the assistant: two that part at a turn of the user answer different prompts.
    """
    for field, conversation in (("chosen", chosen), ("rejected", rejected)):
        if conversation[-1].role != "assistant":
            raise BadRow(field, "ends_with_user", f"ends with the {conversation[-1].role}, expected the assistant")
    if same_text(chosen, rejected):
        refuse_equal()
    shared, shorter = 0, min(len(chosen), len(rejected))
    while shared < shorter and chosen[shared] == rejected[shared]:
        shared += 1
    if shared == shorter:  # one goes on where the other has ended: the last answer in common is part of both
        shared -= 1
    if chosen[shared].role != "assistant" or rejected[shared].role != "assistant":
        raise BadRow("chosen", "prompts_differ", f"chosen and rejected part at turn {shared + 1}, before any answer")
    return check_prompt(chosen[:shared], "chosen"), chosen[shared:], rejected[shared:]


def same_text(one: Turns, other: Turns) -> bool:
    """Whether two completions read the same: equal up to Unicode composition and surrounding whitespace."""
    return [_plain(message) for message in one] == [_plain(message) for message in other]


def refuse_equal() -> NoReturn:
    """There is nothing to prefer."""
    raise BadRow("rejected", "equal", "chosen and rejected are the same text")


def _plain(message: Message) -> tuple[str, str]:
    return message.role, unicodedata.normalize("NFC", message.content).strip()
