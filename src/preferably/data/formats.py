r"""Rows to records. The shapes that are read, by the columns of a row; other columns are left alone.

    pairs            prompt, chosen, rejected       text, or lists of messages
                     chosen, rejected               lists of messages that share their first turns
                     chosen, rejected               transcripts: "\n\nHuman: ...\n\nAssistant: ..."
                     instruction, [input], chosen, rejected
    labels           prompt, completion, label      true or false; also with `messages`, or `instruction` and `output`,
                                                    and under the name `kto_tag`; or pairs, which give two labels
    demonstrations   messages                       the prompt ends before the assistant's first turn
                     prompt, completion             text, or lists of messages
                     instruction, [input], output
                     text                           no prompt: all of it is learnt
    prompts          prompt | messages | instruction, [input], or one of the above reduced to its prompt

Text stays text: a `prompt` that is a string is continued as it stands and never wrapped in a chat template. An
instruction is a user's message, with the input after a blank line, and a `system` column comes before it.
"""

from typing import Any, Literal

from preferably.data.accounting import Reject
from preferably.data.conversations import (
    BadRow,
    Turns,
    check_completion,
    check_prompt,
    is_transcript,
    refuse_equal,
    same_text,
    split_conversation,
    split_pair,
    text_of,
    transcript,
    turns,
)
from preferably.feedback.records import Completion, Group, Judged, Label, Message, Place, Preference

Row = dict[str, Any]
Feedback = Literal["pairs", "demonstrations", "labels", "prompts"]


def parse_row(row: Row, feedback: Feedback, place: Place) -> Judged | Reject:
    """The record that `row` holds, or why it holds none.

    A pair becomes a group of two with `Preference(choice=0)`, a labelled answer a group of one with a `Label`, a
    demonstration a group of one, a prompt a group of none.
    """
    try:
        if feedback == "labels" and ("label" in row or "kto_tag" in row):
            desirable = _label(row)
            prompt, completion = _demonstration({key: row[key] for key in row if key not in ("label", "kto_tag")})
            return Judged(Group(prompt, (Completion(completion),), place), (Label(desirable),))
        if feedback in ("pairs", "labels"):
            prompt, chosen, rejected = _pair(row)
            if same_text(chosen, rejected):
                refuse_equal()
            return Judged(Group(prompt, (Completion(chosen), Completion(rejected)), place), (Preference(0),))
        if feedback == "demonstrations":
            prompt, completion = _demonstration(row)
            return Judged(Group(prompt, (Completion(completion),), place))
        return Judged(Group(_prompt(row), (), place))
    except BadRow as bad:
        return Reject(*place, bad.field, bad.code, bad.reason)


def _label(row: Row) -> bool:
    name = "label" if "label" in row else "kto_tag"
    value = row[name]
    if not isinstance(value, bool):
        raise BadRow(name, "wrong_type", f"expected true or false, got {value!r:.40}")
    return value


def _pair(row: Row) -> tuple[Turns, Turns, Turns]:
    chosen, rejected = _required(row, "chosen"), _required(row, "rejected")
    if isinstance(chosen, list) and isinstance(rejected, list):
        return _pair_of_messages(row, chosen, rejected)
    if isinstance(chosen, list) or isinstance(rejected, list):
        text_of(rejected if isinstance(chosen, list) else chosen, "chosen or rejected")
        raise BadRow("rejected", "mixed_forms", "one of chosen and rejected is text, the other a list of messages")
    chosen, rejected = text_of(chosen, "chosen"), text_of(rejected, "rejected")
    if "prompt" in row:
        if isinstance(row["prompt"], list):
            raise BadRow("prompt", "mixed_forms", "the prompt is a list of messages, chosen and rejected are text")
        return _text(row["prompt"], "prompt"), _text(chosen, "chosen"), _text(rejected, "rejected")
    if "instruction" in row:
        return _instruction(row), (Message("assistant", chosen),), (Message("assistant", rejected),)
    if is_transcript(chosen) and is_transcript(rejected):
        return split_pair(transcript(chosen, "chosen"), transcript(rejected, "rejected"))
    raise _missing(row, "prompt")


def _pair_of_messages(row: Row, chosen: list[Any], rejected: list[Any]) -> tuple[Turns, Turns, Turns]:
    one, other = turns(chosen, "chosen"), turns(rejected, "rejected")
    if isinstance(row.get("prompt"), list):
        prompt = check_prompt(turns(row["prompt"], "prompt"), "prompt")
        return prompt, check_completion(one, "chosen"), check_completion(other, "rejected")
    if "prompt" not in row:
        return split_pair(one, other)
    # Some sets repeat in `prompt`, as text, the user's turn that both conversations hold.
    text = text_of(row["prompt"], "prompt")
    if one[0].role == "assistant":
        raise BadRow("prompt", "mixed_forms", "the prompt is text, chosen and rejected are lists of messages")
    prompt, one, other = split_pair(one, other)
    if text.strip() not in (message.content.strip() for message in prompt):
        raise BadRow("prompt", "prompts_differ", "the prompt is no turn of the conversations in chosen and rejected")
    return prompt, one, other


def _demonstration(row: Row) -> tuple[Turns, Turns]:
    if row.get("label") is False or row.get("kto_tag") is False:
        raise BadRow("label", "bad_example", "the row is labelled as a bad answer, which must not be imitated")
    if "messages" in row:
        return split_conversation(turns(row["messages"], "messages"), "messages")
    if "completion" in row:
        prompt, completion = _required(row, "prompt"), row["completion"]
        if isinstance(prompt, list) and isinstance(completion, list):
            started = check_prompt(turns(prompt, "prompt"), "prompt")
            return started, check_completion(turns(completion, "completion"), "completion")
        if isinstance(prompt, list) or isinstance(completion, list):
            raise BadRow("completion", "mixed_forms", "one of prompt and completion is text, the other messages")
        return _text(prompt, "prompt"), _text(completion, "completion")
    if "instruction" in row:
        return _instruction(row), (Message("assistant", text_of(_required(row, "output"), "output")),)
    if "text" in row:
        return (), _text(row["text"], "text")
    raise _missing(row, "completion" if "prompt" in row else "messages, prompt and completion, instruction, or text")


def _prompt(row: Row) -> Turns:
    # Where a row has completions, its prompt is read as training would read it: `prompt` may only be a title there.
    if "chosen" in row and "rejected" in row:
        return _pair(row)[0]
    if "messages" in row:
        conversation = turns(row["messages"], "messages")
        if conversation[-1].role == "user":
            return check_prompt(conversation, "messages")
        return split_conversation(conversation, "messages")[0]
    if isinstance(row.get("prompt"), list):
        return check_prompt(turns(row["prompt"], "prompt"), "prompt")
    if "prompt" in row:
        return _text(row["prompt"], "prompt")
    if "instruction" in row:
        return _instruction(row)
    raise _missing(row, "prompt")


def _text(value: Any, field: str) -> Turns:
    return (Message("text", text_of(value, field)),)


def _instruction(row: Row) -> Turns:
    if row.get("history"):
        raise BadRow("history", "unsupported", "earlier turns in `history` are not read; write the row as messages")
    said = text_of(row["instruction"], "instruction")
    about = text_of(row.get("input") or "", "input", may_be_blank=True)
    system = text_of(row.get("system") or "", "system", may_be_blank=True)
    user = Message("user", f"{said}\n\n{about}" if about.strip() else said)
    return (Message("system", system), user) if system.strip() else (user,)


def _required(row: Row, name: str) -> Any:
    if name not in row:
        raise _missing(row, name)
    return row[name]


def _missing(row: Row, name: str) -> BadRow:
    near = [key for key in row if key != name and key.strip().lower() == name]
    if near:
        hint = f"; rename the column {near[0]!r} to {name!r}"
    elif "conversations" in row:
        hint = "; ShareGPT's `conversations` is not read, convert it to `messages`"
    else:
        hint = f"; the row has {', '.join(sorted(row)[:8])[:120] or 'no columns'}"
    return BadRow(name, "missing_field", f"no column {name}{hint}")
