"""The one record: a prompt, its completions, and what was said about them."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "text"]

# Where a completion or judgment was read from: (file, line). Lines count from 1; an element of a JSON array counts as
# a line of its own, so that "file:line" always leads a person to the row.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. The role `text` is plain text that is never wrapped in a chat template."""

    role: Role
    content: str
    train: bool = True  # learnt only where this is true and the role is `assistant` or `text`


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a completion came from: a model with its sampler settings, or a person."""

    model: str | None = None
    temperature: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer to a prompt: usually one assistant turn, more in a conversation."""

    messages: tuple[Message, ...]
    origin: Origin | None = None

    @property
    def text(self) -> str:
        """The completion as a person would read it."""
        return "\n\n".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt and its K completions: K = 0 is a prompt, 1 a demonstration, 2 a pair, more a ranking.

    An empty prompt is allowed (plain text to learn from).
    """

    prompt: tuple[Message, ...]
    completions: tuple[Completion, ...] = ()
    place: Place | None = None

    @property
    def prompt_text(self) -> str:
        """The prompt as a person would read it; roles are named only where there is more than one turn."""
        if len(self.prompt) == 1:
            return self.prompt[0].content
        return "\n\n".join(f"{message.role}: {message.content}" for message in self.prompt)


@dataclass(frozen=True, slots=True)
class Preference:
    """A labeler's verdict on two completions of a group.

    `choice` is the index of the better completion in `Group.completions`, or `tie`, `both_bad`, `unsure`.
    `state` tells a verdict (`ok`) from what must never be counted as one (`invalid`, `refused`, `failed`).
    """

    choice: int | Literal["tie", "both_bad", "unsure"] | None
    strength: float | None = None
    labeler: str = ""
    order: tuple[int, ...] = (0, 1)  # the order in which the completions were shown
    state: Literal["ok", "invalid", "refused", "failed"] = "ok"


@dataclass(frozen=True, slots=True)
class Judged:
    """A group with what was said about it."""

    group: Group
    judgments: tuple[Preference, ...] = ()
