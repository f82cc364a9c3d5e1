"""Messages to text, by the tokenizer's chat template."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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


def render(messages: Sequence[Message], tokenizer: "PreTrainedTokenizerBase", add_generation_prompt: bool) -> str:
    """The text of `messages`: plain text as it stands, chat turns by the tokenizer's template.

    `add_generation_prompt` ends chat turns with what makes the assistant speak. `DataError`, with the roles, where the
    template refuses the messages.
    """
    if is_text(messages):
        return "".join(message.content for message in messages)
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt)
    except Exception as problem:  # a template is foreign code and raises what it likes
        raise DataError(
            f"The chat template refuses turns with the roles {_roles(messages)}: {problem}. "
            "Change the rows, or the template of the tokenizer."
        ) from problem
    return str(text)


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
