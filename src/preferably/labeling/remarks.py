"""What whoever sees to the labeling should look at, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from preferably.labeling.progress import Batch, Turns
from preferably.labeling.project import Project

if TYPE_CHECKING:
    from preferably.feedback.worth import Worth

LAPSED, FEWEST = 0.2, 20  # the share of turns that ran out, of so many, from which on it is said
LOW = 0.5  # the share of gold done rightly, below which it is said where that is sure


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to look at, and about whom or what it is."""

    about: str
    text: str
    grave: bool = False  # labels may be wrong because of it


def remarks_of(
    project: Project, worth: "Worth | None", batches: Sequence[Batch], turns: Turns, filled: Mapping[str, int]
) -> list[Remark]:
    """All there is to say, the grave first."""
    found = [] if worth is None else _of_labelers(worth)
    for group in filled:
        text = f"has given all that is wanted of this group ({project.quotas[group]:,}), and is asked nothing more"
        found.append(Remark(group, text))
    if turns.over:
        many = "1 task is" if turns.over == 1 else f"{turns.over:,} tasks are"
        found.append(Remark("leases", f"{many} with people whose time is over; whoever asks next gets them"))
    ended = turns.answered + turns.lapsed
    if ended >= FEWEST and turns.lapsed / ended >= LAPSED:
        found.append(Remark(
            "leases", f"{turns.lapsed:,} of {ended:,} ran out before there was an answer; {project.lease_minutes:g} "
                      "minutes may be too short (lease_minutes)",
        ))  # fmt: skip
    left = sum(one.left for one in batches)
    if batches and not left:
        found.append(Remark("tasks", "all that was wanted is there; queue more, or train on it"))
    elif turns.leased and left == turns.leased:
        found.append(Remark("tasks", "all that is left is with somebody; others find nothing to do"))
    if batches and project.gold.share and not any(one.gold for one in batches):
        found.append(
            Remark("gold", "there are no tasks of known answer, so nobody's accuracy is known (label queue --gold)")
        )
    return sorted(found, key=lambda one: not one.grave)


def _of_labelers(worth: "Worth") -> list[Remark]:
    found = [Remark(name or "(nobody named)", text, grave=True) for name, text in worth.findings]
    for one in worth.labelers:
        if one.gold and one.gold.interval.high < LOW:
            text = f"does {one.gold.value:.0%} of {one.gold.n} tasks of known answer rightly"
            found.append(Remark(one.name or "(nobody named)", text, grave=True))
    return found
