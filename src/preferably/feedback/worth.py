"""What labelers' judgments are worth: how far they agree, who is reliable, what is disputed, and by whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from preferably.feedback.course import Gold
from preferably.feedback.disputes import Disputes, disputes_of
from preferably.feedback.habits import Leaning, leaning, longer_of, sides_of
from preferably.feedback.labeler_groups import Groups, groups_of
from preferably.feedback.labelers import Labeler, labelers_of
from preferably.feedback.meetings import Meeting, all_together, coefficient_json, meetings_of
from preferably.feedback.questions import Said, questions_of
from preferably.feedback.records import Flag
from preferably.feedback.trust import coins_of
from preferably.feedback.views import SETTLED
from preferably.statistics.agreement import Coefficient
from preferably.statistics.concentration import gini, top_share
from preferably.statistics.randomness import FALSE_ALARM, MISS


@dataclass(frozen=True, slots=True)
class Worth:
    """What all of it is worth. `as_json` has everything."""

    questions: int  # which of two is better, or whether one is good
    settled: int  # records that somebody settled; what they said is in none of the figures
    coefficients: list[Coefficient]  # of all together, raw agreement first
    meetings: list[Meeting]  # labelers, leads and judges, each within and with each other
    labelers: list[Labeler]  # the busiest first
    first: Leaning | None  # of everybody
    longer: Leaning | None
    disputes: Disputes
    groups: Groups
    gini: float | None  # of judgments by people
    top: tuple[float, int] | None  # what the busiest fifth of people gave, and how many these are

    @property
    def noise(self) -> float | None:
        """The share of verdicts that are wrong, if labelers err independently and alike: e = (1 - sqrt(2 A - 1)) / 2 of
        the raw agreement A = (1 - e)^2 + e^2. None where it is below chance, or not known."""
        agreed = self.coefficients[0].value
        return None if agreed is None or agreed < 0.5 else (1 - sqrt(2 * agreed - 1)) / 2

    @property
    def findings(self) -> list[tuple[str, str]]:
        """(labeler, what stands out of them)."""
        return [(one.name, text) for one in self.labelers for text in one.findings]

    def as_json(self) -> dict[str, object]:
        """The shape that `preferably label agreement --json` prints (docs/labels.md)."""
        named = {one.name: coefficient_json(one) for one in self.coefficients}
        busiest = {"share": self.top[0], "labelers": self.top[1]} if self.top else None
        return {
            "schema": 2, "questions": self.questions, "settled": self.settled, "agreement": named,
            "noise": self.noise, "by_role": [one.as_json() for one in self.meetings],
            "labelers": {one.name: one.as_json() for one in self.labelers},
            "everybody": {
                name: one.as_json() if one else None for name, one in (("first", self.first), ("longer", self.longer))
            },
            "random_told_at": {"false_alarm": FALSE_ALARM, "miss": MISS},
            "prompts": self.disputes.as_json(), "by_group": self.groups.as_json(),
            "concentration": {"gini": self.gini, "busiest_fifth": busiest},
        }  # fmt: skip


def worth_of(
    said: Sequence[Said], *, roles: Mapping[str, str] | None = None, gold: Gold | None = None, seed: int = 0
) -> Worth:
    """How far the labelers in `said` agree, and what each of them is worth.

    `said` are judgments and flags in the order of time; those that ended in no verdict are left out. A question is
    which of two completions is better (or neither), or whether one is good; intervals are by record, `seed` draws their
    resamples.
    `roles` are those of people (`lead`, `admin`), `gold` how tasks of known answer were done, by labeler.
    """
    said = [one for one in said if one.judgment.state == "ok"]
    questions = questions_of(said)
    fit = coins_of(questions)
    labelers = labelers_of(questions, said, fit, roles=roles or {}, gold=gold or {}, seed=seed)
    groups = {one.name: one.group for one in labelers}
    random = [one.name for one in labelers if one.random and one.random.verdict == "random"]
    judged = [one for one in said if one.judgment.labeler_group != SETTLED and not isinstance(one.judgment, Flag)]
    sides = sides_of(judged)
    people = [one.judged for one in labelers if one.role != "judge"]
    kinds = {one.name: f"{one.role}s" for one in sorted(labelers, key=lambda one: _ORDER.index(one.role))}
    together = all_together(questions, seed=seed)
    if len(set(kinds.values())) > 1:
        meetings = meetings_of(questions, kinds, seed=seed)
    else:  # one within itself is all together
        meetings = [Meeting(kind, kind, together[0], together[1]) for kind in dict.fromkeys(kinds.values())]
    return Worth(
        len(questions.places), questions.settled, together, meetings, labelers,
        leaning(sum(sides), len(sides)), leaning(*longer_of(judged)),
        disputes_of(questions, said, groups, random), groups_of(questions, said, groups, seed=seed),
        gini(people), top_share(people),
    )  # fmt: skip


_ORDER = ("labeler", "lead", "judge")
