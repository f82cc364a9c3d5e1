"""The one record: a prompt, its completions, and what was said about them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Role = Literal["system", "user", "assistant", "tool", "text"]
State = Literal["ok", "invalid", "refused", "failed"]  # a verdict (`ok`), and what must never be counted as one

# Where a completion or judgment was read from: (file, line). Lines count from 1; an element of a JSON array counts as
# a line of its own, so that "file:line" always leads a person to the row.
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. The role `text` is plain text that is never wrapped in a chat template."""

    role: Role
    content: str
    train: bool = True  # learnt only where this is true and the role is `assistant` or `text`
    fields: str = ""  # what else the chat template may read (tool_calls, tool_call_id, name): a JSON object


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
    """A prompt and its K completions: 0 for a prompt, 1 for a demonstration or labelled answer, 2 for a pair, or more.

    An empty prompt is allowed (plain text to learn from). `label`, `strength` and `ranks` are what a view of the
    judgments says: whether the one completion is desirable, by how much the first of a pair is better than the second,
    and the rank of each completion (1 is the best, equal ranks a tie).
    """

    prompt: tuple[Message, ...]
    completions: tuple[Completion, ...] = ()
    place: Place | None = None
    tools: str = ""  # the functions that the assistant may call, for the chat template: a JSON list
    label: bool | None = None
    strength: float | None = None
    ranks: tuple[int, ...] = ()
    by_axis: tuple[tuple[str, tuple[int, ...]], ...] = ()  # the ranks on each axis asked for; 0 where it was not rated
    source: str = ""  # where the prompt is from, in the words of the file
    probability: float | None = None  # of the first of two being better, where labelers count by what they are worth
    ratings: tuple[tuple[str, tuple[float | None, ...]], ...] = field(default=(), compare=False)  # what by_axis is of
    columns: str = field(default="", compare=False)  # of a prompt: what else its row holds, a JSON object

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
    """

    choice: int | Literal["tie", "both_bad", "unsure"] | None
    strength: float | None = None  # how much better, on the labeler's own scale, 0 or more
    labeler: str = ""
    labeler_group: str = ""  # what kind of labeler, in the words of the file
    order: tuple[int, ...] = (0, 1)  # the order in which the completions were shown
    state: State = "ok"


@dataclass(frozen=True, slots=True)
class Ranking:
    """A labeler's order of all completions of a group: `ranks[k]` of completion k, 1 is the best, equal ranks a tie."""

    ranks: tuple[int, ...]
    labeler: str = ""
    labeler_group: str = ""  # what kind of labeler, in the words of the file
    order: tuple[int, ...] = ()  # the order in which they were shown; empty where it is not known
    state: State = "ok"


@dataclass(frozen=True, slots=True)
class Rating:
    """A labeler's score of every completion of a group on one axis; None where it was not rated. Higher is better."""

    axis: str
    scores: tuple[float | None, ...]
    labeler: str = ""
    labeler_group: str = ""  # what kind of labeler, in the words of the file
    state: State = "ok"


@dataclass(frozen=True, slots=True)
class Label:
    """A labeler's thumb up or down for one completion of a group."""

    desirable: bool
    completion: int = 0
    labeler: str = ""
    labeler_group: str = ""  # what kind of labeler, in the words of the file
    state: State = "ok"


@dataclass(frozen=True, slots=True)
class Flag:
    """A labeler's word about the prompt or its completions that decides nothing: it is ambiguous, harmful, holds
    personal data. A flag that is taken back is one that is not `raised` and supersedes the first."""

    name: str
    raised: bool = True
    labeler: str = ""
    labeler_group: str = ""  # what kind of labeler, in the words of the file
    state: State = "ok"


Judgment = Preference | Ranking | Rating | Label | Flag


def moved(judgment: Judgment, to: Sequence[int]) -> Judgment:
    """`judgment` of a group whose completion k stands at the place `to[k]` of another group, as a judgment of that."""
    back = sorted(range(len(to)), key=to.__getitem__)
    if isinstance(judgment, Preference):
        chosen = to[judgment.choice] if isinstance(judgment.choice, int) else judgment.choice
        return replace(judgment, choice=chosen, order=tuple(to[index] for index in judgment.order))
    if isinstance(judgment, Ranking):
        shown = tuple(to[index] for index in judgment.order)
        ranks = tuple(judgment.ranks[index] for index in back) if judgment.ranks else ()  # none, where it failed
        return replace(judgment, ranks=ranks, order=shown)
    if isinstance(judgment, Rating):
        return replace(judgment, scores=tuple(judgment.scores[index] for index in back))
    return replace(judgment, completion=to[judgment.completion]) if isinstance(judgment, Label) else judgment


@dataclass(frozen=True, slots=True)
class Judged:
    """A group with what was said about it."""

    group: Group
    judgments: tuple[Judgment, ...] = ()
