"""What the store keeps of a judgment beside the verdict: of what, by whom, how it came about, what it corrects."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import uuid4

from preferably.feedback.records import Group, Judgment

LabelerKind = Literal["human", "model", "rule"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One judgment about one group.

    `id` is made by whoever judges, so that what is sent twice is kept once. `number` and `said_at` (UTC, ISO 8601, by
    the clock of the store's process) are given by the store; what is imported keeps its time. The order shown is in the
    judgment itself.
    """

    group: Group
    judgment: Judgment
    id: str = field(default_factory=lambda: str(uuid4()))
    labeler_kind: LabelerKind = "human"
    shown: bool = True  # whether the order in the judgment is the one that was shown; false where that is not known
    seed: int | None = None  # what the order shown was drawn with
    guideline: str = ""  # version of the guidelines that the labeler had
    principle: str = ""  # of a constitution, where one was asked for
    rationale: str = ""
    seconds: float | None = None  # that the labeler was busy with it
    supersedes: str | None = None  # the id of the judgment that this one corrects
    number: int = 0
    said_at: str = ""
