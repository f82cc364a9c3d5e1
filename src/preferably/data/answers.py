"""The prompt of a row and the answers to it, whatever columns hold them."""

from collections.abc import Sequence
from typing import Any

from preferably.data.columns import BadRow, Row, list_of, text_of
from preferably.data.conversations import (
    Turns,
    check_completion,
    check_prompt,
    is_transcript,
    split_conversation,
    split_shared,
    transcript,
    turns,
)
from preferably.feedback.records import Message

CONVERSATIONS = ("messages", "conversations")  # columns that hold one conversation


def prompt_and_answers(row: Row, values: Sequence[Any], fields: Sequence[str]) -> tuple[Turns, tuple[Turns, ...]]:
    """(prompt, completions) of a row whose answers are `values`, called `fields`: all text, or all messages.

    The prompt is `prompt`, `messages` or `conversations`, or `instruction` with `input`. Answers that are whole
    conversations, or transcripts, bring it with them.
    """
    lists = [isinstance(value, list | dict) for value in values]
    if any(lists):
        for value, field, is_list in zip(values, fields, lists, strict=True):
            if not is_list:
                text_of(value, field)  # what is neither text nor messages is told as what it is
                raise BadRow(field, "mixed_forms", f"{' and '.join(fields)} are partly text, partly lists of messages")
        return _in_messages(row, values, fields)
    said = [text_of(value, field) for value, field in zip(values, fields, strict=True)]
    name = next((name for name in CONVERSATIONS if row.has(name)), None)
    elsewhere = name or row.has("instruction") or row.has("input")
    if row.has("prompt") or ("prompt" in row.columns and not elsewhere):
        prompt = row.get("prompt")
        if isinstance(prompt, list):
            raise BadRow("prompt", "mixed_forms", "the prompt is a list of messages, the answers are text")
        return as_text(prompt, "prompt"), tuple(map(as_text, said, fields))
    spoken = tuple((Message("assistant", text),) for text in said)
    if name:
        return check_prompt(conversation(row, name), name), spoken
    if elsewhere:
        return instruction(row), spoken
    if len(said) > 1 and all(map(is_transcript, said)):
        return split_shared([transcript(text, field, row) for text, field in zip(said, fields, strict=True)], fields)
    raise row.missing("prompt")


def _in_messages(row: Row, values: Sequence[Any], fields: Sequence[str]) -> tuple[Turns, tuple[Turns, ...]]:
    said = [turns(value, field, row) for value, field in zip(values, fields, strict=True)]
    written = row.get("prompt") if row.has("prompt") else None
    name = "prompt" if isinstance(written, list) else None
    if written is None:
        name = next((name for name in CONVERSATIONS if row.has(name)), None)
    if name:
        prompt = check_prompt(conversation(row, name), name)
        return prompt, tuple(check_completion(one, field) for one, field in zip(said, fields, strict=True))
    if len(said) == 1:
        if written is None:
            raise row.missing("prompt")
        text_of(written, "prompt")
        raise BadRow(fields[0], "mixed_forms", f"the prompt is text, {fields[0]} is a list of messages")
    if written is None:
        if row.has("instruction"):
            raise BadRow(fields[0], "mixed_forms", f"the instruction is text, {fields[0]} is a list of messages")
        prompt, completions = split_shared(said, fields)
        return _with_system(row, prompt), completions
    # Some sets repeat in `prompt`, as text, the user's turn that all the conversations hold.
    text = text_of(written, "prompt")
    if said[0][0].role == "assistant":
        raise BadRow("prompt", "mixed_forms", f"the prompt is text, {' and '.join(fields)} are lists of messages")
    prompt, completions = split_shared(said, fields)
    if text.strip() not in (message.content.strip() for message in prompt):
        raise BadRow(
            "prompt", "prompts_differ", f"the prompt is no turn of the conversations in {' and '.join(fields)}"
        )
    return prompt, completions


def conversation(row: Row, name: str) -> Turns:
    """The list of messages in the column `name`, after what the column `system` says."""
    return _with_system(row, turns(list_of(row.get(name), name), name, row))


def answered(row: Row, name: str) -> tuple[Turns, tuple[Turns, ...]]:
    """(prompt, completions) of the conversation in the column `name`; none of them where the user has the last word.

    A conversation without an answer can only be a prompt: it is refused where anything else is wanted.
    """
    said = conversation(row, name)
    if said[-1].role in ("user", "tool") and row.wanted in ("prompts", None):
        return check_prompt(said, name), ()
    prompt, completion = split_conversation(said, name)
    return prompt, (completion,)


def instruction(row: Row) -> Turns:
    """Alpaca's columns: `instruction`, with `input` after a blank line, and `system` and `history` before it."""
    name = "instruction" if row.has("instruction") else "input"
    said = text_of(row.get(name), name)
    about = text_of(row.get("input") or "", "input", may_be_blank=True) if name == "instruction" else ""
    earlier: list[Message] = []
    for index, pair in enumerate(list_of(row.get("history") or [], "history")):
        field = f"history[{index}]"
        if not isinstance(pair, list) or len(pair) != 2:
            raise BadRow(field, "wrong_type", "expected a list of two texts: what was asked and what was answered")
        earlier += [Message("user", text_of(pair[0], field)), Message("assistant", text_of(pair[1], field))]
    user = Message("user", f"{said}\n\n{about}" if about.strip() else said)
    return _with_system(row, (*earlier, user))


def _with_system(row: Row, said: Turns) -> Turns:
    text = text_of(row.get("system") or "", "system", may_be_blank=True)
    if not text.strip() or (said and said[0] == Message("system", text)):
        return said
    if said and said[0].role == "system":
        raise BadRow("system", "mixed_forms", "the column `system` and the first message say different things")
    return (Message("system", text), *said)


def as_text(value: Any, field: str) -> Turns:
    """Plain text, which no chat template touches."""
    return (Message("text", text_of(value, field)),)
