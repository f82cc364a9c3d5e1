"""What each labeler is worth: how often they are right, whether they look, what they lean to, whether they changed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from preferably.feedback.course import Course, Gold, courses_of
from preferably.feedback.habits import Habits, Leaning, Run, habits_of
from preferably.feedback.meetings import agreeing
from preferably.feedback.questions import Questions, Said
from preferably.feedback.records import Flag
from preferably.feedback.trust import FEWEST
from preferably.feedback.views import SETTLED
from preferably.statistics.coin import Coins
from preferably.statistics.intervals import Interval
from preferably.statistics.multiple import holm
from preferably.statistics.randomness import Random, who_is_random
from preferably.statistics.shares import Share, exact_share

Role = Literal["labeler", "lead", "judge"]  # a judge is no person
HASTE = 0.1  # the share of judgments faster than reading from which on it is said


@dataclass(frozen=True, slots=True)
class Reliability:
    """The chance to pick the better side, by the verdicts of all together; ties say nothing."""

    value: float
    interval: Interval
    n: int  # verdicts on what others answered too

    def as_json(self) -> dict[str, object]:
        """All of it."""
        return {"value": self.value, "interval": [self.interval.low, self.interval.high], "n": self.n}


@dataclass(frozen=True, slots=True)
class Labeler:
    """One labeler. What cannot be told is None."""

    name: str
    role: Role
    group: str
    judged: int  # judgments
    agrees: Share | None  # with others, of the questions that both answered
    leads: Share | None  # the same with leads alone
    reliability: Reliability | None
    random: Random | None
    habits: Habits
    gold: Share | None  # tasks of known answer that were done rightly
    course: Course | None

    def as_json(self) -> dict[str, object]:
        """All of it."""
        own = self.habits
        parts = {
            "agrees": self.agrees, "leads": self.leads, "reliability": self.reliability, "first": own.first,
            "longer": own.longer, "undecided": own.undecided, "too_fast": own.too_fast, "run": own.run,
            "gold": self.gold, "drift": self.course,
        }  # fmt: skip
        return {
            "role": self.role, "group": self.group, "judged": self.judged, "seconds": own.seconds,
            "random": self.random and asdict(self.random), "findings": self.findings,
        } | {name: one.as_json() if one else None for name, one in parts.items()}  # fmt: skip

    @property
    def findings(self) -> list[str]:
        """What stands out, in words: what is told when all labelers are held together, or at the error it states."""
        found, own = [], self.habits
        if self.random and self.random.verdict == "random":
            found.append(
                f"looks random: an edge over chance of {self.random.edge:.2f} on {self.random.n} shared answers, where "
                f"{self.random.usual:.2f} is usual"
            )
        if self.random and self.random.verdict == "contrary":
            found.append(f"prefers what others find worse, on {self.random.n} shared answers: sides mixed up?")
        ways = ((own.first, ("one shown first", "one shown second")), (own.longer, ("longer one", "shorter one")))
        for leaning, words in ways:
            if leaning and leaning.told:
                share, which = leaning.share.value, words[leaning.share.value < 0.5]
                found.append(f"takes the {which} in {max(share, 1 - share):.0%} of {leaning.share.n} choices")
        if own.run and own.run.told:
            found.append(f"chose the same side {own.run.length} times running (by chance: {own.run.p:.1g})")
        if own.too_fast and own.too_fast.interval.low > HASTE:
            found.append(f"{own.too_fast.value:.0%} of {own.too_fast.n} judgments took less time than reading takes")
        if self.course and self.course.told:
            one, since = self.course, f" since about {self.course.since[:10]}" if self.course.since else ""
            what = "worse" if one.after < one.before else "better"
            by = "of gold" if self.course.by == "gold" else "by what others say"
            found.append(f"{what}{since}: right in {one.before:.0%} before, {one.after:.0%} after, {by}")
        return found


def labelers_of(
    questions: Questions, said: Sequence[Said], fit: Coins | None, *,
    roles: Mapping[str, str], gold: Gold, seed: int = 0,
) -> list[Labeler]:  # fmt: skip
    """Every labeler in `said` (in the order of time), the busiest first; whoever settled is left out.

    `roles` are those of people (`lead`, `admin`; anything else is a labeler).
    """
    own: dict[str, list[Said]] = defaultdict(list)
    for one in said:
        if one.judgment.labeler_group != SETTLED and not isinstance(one.judgment, Flag):
            own[one.judgment.labeler].append(one)
    kinds = {name: role_of(name, some, roles) for name, some in own.items()}
    leads = [at for at, name in enumerate(questions.names) if kinds[name] == "lead"]
    random = who_is_random(fit, questions.record[fit.verdicts.units]) if fit else {}
    courses = courses_of(questions, said, fit, gold, seed=seed)
    places = {name: at for at, name in enumerate(questions.names)}
    found = []
    for name, some in sorted(own.items(), key=lambda item: -len(item[1])):
        at, right = places.get(name, -1), gold.get(name, ())
        group = Counter(one.judgment.labeler_group for one in some).most_common(1)[0][0]
        found.append(Labeler(
            name, kinds[name], group, len(some), agreeing(questions, at), agreeing(questions, at, leads),
            _reliability(fit, at), random.get(at), habits_of(some),
            exact_share(sum(one for _, one in right), len(right)), courses.get(name),
        ))  # fmt: skip
    return _together(found)


def role_of(name: str, said: Sequence[Said], roles: Mapping[str, str]) -> Role:
    """What part a labeler has: no person, a lead (admins are), or a labeler."""
    if all(one.kind != "human" for one in said):
        return "judge"
    return "lead" if roles.get(name) in ("lead", "admin") else "labeler"


def _reliability(fit: Coins | None, labeler: int) -> Reliability | None:
    """Of those that answered enough of what others answered too."""
    if fit is None or labeler < 0 or fit.answered[labeler] < FEWEST:
        return None
    interval = fit.interval(labeler)
    return Reliability(float(fit.accuracy[labeler]), interval, int(fit.answered[labeler])) if interval else None


def _together(found: Sequence[Labeler]) -> list[Labeler]:
    """The same with what is told of each when all are held together."""
    first = _held([one.habits.first for one in found])
    longer = _held([one.habits.longer for one in found])
    runs = _held([one.habits.run for one in found])
    courses = _held([one.course for one in found])
    made = []
    for at, one in enumerate(found):
        own = one.habits
        habits = replace(
            own, first=own.first and replace(own.first, told=first[at]),
            longer=own.longer and replace(own.longer, told=longer[at]), run=own.run and replace(own.run, told=runs[at]),
        )  # fmt: skip
        course = one.course
        if course:
            course = replace(course, told=courses[at], since=course.since if courses[at] else "")
        made.append(replace(one, habits=habits, course=course))
    return made


def _held(tests: Sequence[Leaning | Run | Course | None]) -> list[bool]:
    """Which stand by Holm's procedure; what was not tested does not."""
    told = iter(holm([one.p for one in tests if one is not None]))
    return [one is not None and next(told) for one in tests]
