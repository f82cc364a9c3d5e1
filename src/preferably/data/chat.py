"""Messages to text, by the tokenizer's chat template."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from preferably.data.messages import tool_name
from preferably.errors import DataError
from preferably.feedback.records import Message

if TYPE_CHECKING:  # transformers takes seconds to import, and nothing here needs it at run time
    from transformers import PreTrainedTokenizerBase

# For models that come without a template. Plain words, no new tokens: a base model knows what a dialogue looks like.
#
#     System: Be brief.
#
#     User: Which is larger, 3 or 4?
#
#     Assistant: 4.</s>
#
# The end-of-sequence token closes each turn of the assistant. The generation prompt ends at "Assistant:", without a
# space, because tokenizers join a space with the word after it.
DEFAULT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '' if loop.first else '\\n\\n' }}"
    "{{ message['role'] | capitalize }}: {{ message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '' }}"
    "{% endfor %}"
    "{{ '\\n\\nAssistant:' if add_generation_prompt else '' }}"
)


class TemplateRefuses(DataError):
    """The template raised on these turns: it wants others, or another order of them."""


def ensure_template(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Give a tokenizer without a chat template the default one; whether it was needed.

    Where the tokenizer puts a BOS before any text, the template writes it: templated text gets no other special tokens.
    """
    if tokenizer.chat_template:
        return False
    begins = "{{ bos_token }}" if tokenizer.bos_token_id in leading_special_tokens(tokenizer) else ""
    tokenizer.chat_template = begins + DEFAULT_TEMPLATE
    return True


def leading_special_tokens(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """The ids that the tokenizer by itself puts before any text: a BOS, or nothing."""
    plain = ids_of(tokenizer("a", add_special_tokens=False))
    dressed = ids_of(tokenizer("a"))
    for start in range(len(dressed)):
        if dressed[start : start + len(plain)] == plain:
            return dressed[:start]
    return []


def ids_of(encoding: Any) -> list[int]:
    """The token ids of one encoded text."""
    return list(encoding["input_ids"])


def is_text(messages: Sequence[Message]) -> bool:
    """Whether the messages are plain text, which no template touches. A mixture of the two raises `DataError`."""
    kinds = {message.role == "text" for message in messages}
    if len(kinds) > 1:
        raise DataError(f"Plain text and chat turns cannot follow each other (roles: {_roles(messages)}).")
    return kinds != {False}


def render(
    messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase", add_generation_prompt: bool, tools: str = ""
) -> str:
    """The text of `messages`: plain text as it stands, chat turns by the tokenizer's template.

    `add_generation_prompt` ends chat turns with what makes the assistant speak. `tools` is a JSON list.
    `TemplateRefuses` where the template raises on the messages, `DataError` where it leaves something out: a message, a
    call, a tool. (What it trims, or writes as JSON, is there; so is an answer whose thoughts it leaves out.)
    """
    if is_text(messages):
        return "".join(message.content for message in messages)
    turns = [turn_of(message) for message in messages]
    functions = json.loads(tools) if tools else None
    try:
        text = tokenizer.apply_chat_template(
            turns, tools=functions, tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except Exception as problem:  # a template is foreign code and raises what it likes
        raise TemplateRefuses(
            f"The chat template refuses turns with the roles {_roles(messages)}: {problem}. "
            "Change the rows, or the template of the tokenizer."
        ) from problem
    for what, said in _parts(messages, functions or []):
        if said not in text and json.dumps(said, ensure_ascii=False)[1:-1] not in text:
            raise DataError(
                f"The chat template drops {what}: {said[:60]!r} is not in what it makes of these turns "
                f"({_roles(messages)}). Use a template that shows it, or leave it out of the rows."
            )
    return str(text)


def turn_of(message: Message) -> dict[str, Any]:
    """A message as chat templates read it; beside calls, no text is null, as templates ask for it."""
    fields = json.loads(message.fields) if message.fields else {}
    content = None if "tool_calls" in fields and not message.content else message.content
    return {"role": message.role, "content": content} | fields


def _parts(messages: Sequence[Message], tools: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """What has to be in the text, each with a name for people."""
    for message in messages:
        yield f"the message of the {message.role}", message.content.split("</think>")[-1].strip()
        for call in json.loads(message.fields).get("tool_calls", ()) if message.fields else ():
            yield "the call of a tool", tool_name(call) or ""
    for tool in tools:
        yield "the tool", tool_name(tool) or ""


def end_of_turn(tokenizer: "PreTrainedTokenizerBase") -> int | None:
    """The special token with which the template closes a turn of the assistant (`<|im_end|>`), if it does with one.

    It need not be the tokenizer's EOS, but it ends a reply just so: a sampler has to stop there.
    """
    try:
        text = render((Message("user", "a"), Message("assistant", "b")), tokenizer, False)
    except DataError:  # a template that wants other turns; those of the data will say so
        return None
    last = ids_of(tokenizer(text.rstrip(), add_special_tokens=False))[-1]
    return last if last in tokenizer.all_special_ids else None


def _roles(messages: Sequence[Message]) -> str:
    return ", ".join(message.role for message in messages)
