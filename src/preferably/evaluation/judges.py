"""What a judge is worth, before it is trusted: how far it agrees with people, what it leans to, what it falls for.

Any judge of two completions can be looked at: a language model, a reward model, a function. What it cannot judge is
counted, and is in none of the shares.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import fmean
from typing import Any

from preferably.errors import DataError
from preferably.evaluation import probes
from preferably.feedback.records import Completion, Group, Preference
from preferably.judging.described import Decider, deciders, judged_by
from preferably.judging.judge import Judge, agreed, asked_twice
from preferably.statistics.intervals import Difference, Interval, bootstrap_mean, paired_difference
from preferably.statistics.shares import Share, share
from preferably.statistics.style_control import style_of

Told = Callable[[int], None]
# What may be seen of a reply at a glance. One of two has it, and it is preferred more often than people do?
STYLES: dict[str, Callable[[str], bool]] = {
    "headings": lambda text: style_of(text)[1] > 0,
    "a list": lambda text: style_of(text)[2] > 0,
    "bold words": lambda text: style_of(text)[3] > 0,
}
MUCH = 0.1  # by which share of the longer one two lengths differ enough to count
ENOUGH = 20  # cases from which a leaning is told


@dataclass(frozen=True, slots=True)
class Asked:
    """A pair, what was said of it shown as it is and swapped, and what that comes to."""

    group: Group
    first: Preference
    swapped: Preference

    @property
    def both(self) -> Preference:
        """The verdict of both orders together."""
        return agreed(self.first, self.swapped)

    @property
    def value(self) -> float | None:
        """1 where the first completion is preferred, 0 where the second is, 0.5 for a tie; None without a verdict."""
        said = self.both
        if said.state != "ok" or said.choice == "unsure":
            return None
        return 1.0 - said.choice if isinstance(said.choice, int) else 0.5


@dataclass(frozen=True, slots=True)
class Leaning:
    """How often the judge prefers what has something, and how often people do, on the same pairs."""

    judge: float
    people: float
    n: int
    more: Difference  # the judge's share less that of people


@dataclass(frozen=True, slots=True)
class JudgeAudit:
    """Everything that was found. Shares are None where nothing could be judged."""

    judge: str
    pairs: int
    judged: int  # of them, with a verdict
    states: dict[str, int]  # of all questions asked
    agreement: float | None  # of pairs that people decided; a tie is half
    interval: Interval | None  # by prompt
    decided: Share | None  # the same without the judge's ties
    longer: float  # what "the longer one" agrees with people on, on the same pairs
    over_longer: Difference | None
    consistent: Share | None  # pairs with the same verdict in both orders
    first: Share | None  # of choices, those of the reply that was shown first
    length: Leaning | None
    styles: dict[str, Leaning]
    knows: Share | None  # facts that it judges rightly where both answers sound sure
    sure_and_wrong: Share | None  # of those, where the wrong answer put surely beats the right one put carefully
    sure_or_unsure: Share | None  # and to one that says that it does not know
    orders: dict[str, Share]  # by what the reply says to the judge: pairs that it lost and does not lose with it
    heeded: Difference | None  # the same of all, less where as much is added that says nothing
    constants: dict[str, Share]  # by reply: where it is preferred to one that people preferred
    judged_by: tuple[Decider, ...] = ()  # the models that it asks, and what the audit took

    @property
    def unread(self) -> Share | None:
        """Questions that have no verdict."""
        total = sum(self.states.values())
        return share(total - self.states.get("ok", 0), total)

    def as_json(self) -> dict[str, Any]:
        """As it is written: every share with `value`, `n` and `interval`."""

        def told(value: Any) -> Any:
            if isinstance(value, Share):
                return value.as_json()
            if isinstance(value, Interval):
                return [value.low, value.high]
            if isinstance(value, Difference):
                return {"mean": value.mean, "interval": told(value.interval)}
            if isinstance(value, Leaning):
                return {name: told(getattr(value, name)) for name in ("judge", "people", "n", "more")}
            return {name: told(one) for name, one in value.items()} if isinstance(value, dict) else value

        found = {name: told(getattr(self, name)) for name in self.__slots__}
        return {"schema": 1} | found | {"judged_by": judged_by(self.judged_by), "unread": told(self.unread)}


def audit(
    judge: Judge, pairs: Sequence[Group], *, name: str, limit: int = 200, attacked: int = 100, seed: int = 0,
    progress: Told = lambda done: None,
) -> JudgeAudit:  # fmt: skip
    """Look at `judge`, held against `pairs` of which people preferred the first.

    `limit` pairs (by chance, `seed`) are asked about in both orders; up to `attacked` of those that it decided as
    people did are asked about again with the loser speaking to the judge, and as many constant replies. `DataError` for
    no pairs. What `judge` raises passes through.
    """
    if not pairs:
        raise DataError("An audit needs pairs that people have judged; there are none.")
    random = Random(f"audit {seed}")
    drawn = random.sample(list(pairs), min(limit, len(pairs)))
    states: Counter[str] = Counter()

    def ask(groups: Sequence[Group]) -> list[Asked]:
        made = [Asked(group, *said) for group, said in zip(groups, asked_twice(judge, groups), strict=True)]
        states.update(said.state for one in made for said in (one.first, one.swapped))
        progress(2 * len(groups))
        return made

    clean = ask(drawn)
    values = [one.value for one in clean]
    longer = [_longer(one.group) for one in clean]
    asked_of = [one.group for one in clean]
    by_prompt = _by_prompt(asked_of, values)
    guesses = [None if value is None else guess for value, guess in zip(values, longer, strict=True)]
    right = [one.group for one in clean if one.value == 1.0]
    orders, heeded = _orders(ask, right[:attacked], seed)
    facts = ask(probes.known())
    knows = [number for number, one in enumerate(facts) if one.value == 1.0]
    found = JudgeAudit(
        judge=name, pairs=len(clean), judged=sum(value is not None for value in values), states={},
        agreement=fmean(by_prompt) if by_prompt else None,
        interval=bootstrap_mean(by_prompt, seed=seed) if by_prompt else None,
        decided=share(values.count(1.0), values.count(1.0) + values.count(0.0)),
        longer=fmean(_by_prompt(asked_of, guesses) or longer),
        over_longer=paired_difference(by_prompt, _by_prompt(asked_of, guesses), seed=seed),
        consistent=_consistent(clean), first=_first(clean),
        length=_leaning(clean, _clearly_longer, seed),
        styles={style: told for style, has in STYLES.items() if (told := _leaning(clean, _one_has(has), seed))},
        knows=share(len(knows), sum(one.value is not None for one in facts)),
        sure_and_wrong=_wrong(ask([probes.hedged()[at] for at in knows])),
        sure_or_unsure=_wrong(ask([probes.unsure()[at] for at in knows])),
        orders=orders, heeded=heeded,
        constants=_constants(ask, drawn[:attacked]),
    )  # fmt: skip
    return replace(found, states=dict(states), judged_by=tuple(deciders(judge)))


def _by_prompt(groups: Sequence[Group], values: Sequence[float | None]) -> list[float]:
    found: dict[str, list[float]] = {}
    for group, value in zip(groups, values, strict=True):
        if value is not None:
            found.setdefault(group.prompt_text, []).append(value)
    return [fmean(several) for several in found.values()]


def _longer(group: Group) -> float:
    """What "the longer one" would say."""
    one, other = (len(completion.text) for completion in group.completions)
    return 0.5 if one == other else float(one > other)


def _choices(asked: Sequence[Asked]) -> list[tuple[Any, Any]]:
    """Both verdicts of pairs that have them, each about the group as it is."""
    ready = [one for one in asked if one.first.state == one.swapped.state == "ok"]
    back: dict[Any, Any] = {0: 1, 1: 0}
    return [(one.first.choice, back.get(one.swapped.choice, one.swapped.choice)) for one in ready]


def _consistent(asked: Sequence[Asked]) -> Share | None:
    both = _choices(asked)
    return share(sum(one == other for one, other in both), len(both))


def _first(asked: Sequence[Asked]) -> Share | None:
    """Of choices, those of the reply shown first; the two of a pair go together."""
    shown = [said.choice == 0 for one in asked for said in (one.first, one.swapped)
             if said.state == "ok" and isinstance(said.choice, int)]  # fmt: skip
    return share(sum(shown), len(shown), max(1, len(shown) // 2))


def _clearly_longer(group: Group) -> int | None:
    """Which is clearly longer; None where neither is."""
    one, other = (len(completion.text) for completion in group.completions)
    if abs(one - other) <= MUCH * max(one, other):
        return None
    return 0 if one > other else 1


def _one_has(has: Callable[[str], bool]) -> Callable[[Group], int | None]:
    def which(group: Group) -> int | None:
        one, other = (has(completion.text) for completion in group.completions)
        return None if one == other else 0 if one else 1

    return which


def _leaning(asked: Sequence[Asked], which: Callable[[Group], int | None], seed: int) -> Leaning | None:
    """How often the judge, and people (who preferred the first), prefer the completion that `which` names."""
    groups, judge, people = [], [], []
    for one in asked:
        at = which(one.group)
        if at is not None and one.value is not None:
            groups.append(one.group)
            judge.append(one.value if at == 0 else 1 - one.value)
            people.append(1.0 - at)
    if len(judge) < ENOUGH:
        return None
    more = paired_difference(_by_prompt(groups, judge), _by_prompt(groups, people), seed=seed)
    return Leaning(fmean(judge), fmean(people), len(judge), more) if more else None


def _wrong(asked: Sequence[Asked]) -> Share | None:
    """Where the second is preferred; ties count half."""
    values = [1 - one.value for one in asked if one.value is not None]
    return share(sum(values), len(values))


def _orders(
    ask: Callable[[Sequence[Group]], list[Asked]], right: Sequence[Group], seed: int
) -> tuple[dict[str, Share], Difference | None]:
    """Pairs that the judge decided as people did, with one order each behind the reply that lost, in turn: those that
    it does not decide so any more; and how much more those are than with words of the same length that say nothing,
    as a judge may also like length, or not know its own mind."""
    told, given = _tricked(ask, right, probes.ORDERS, lambda bad, order: f"{bad}\n\n{order}", _lost)
    _, plain = _tricked(ask, right, probes.ORDERS, lambda bad, order: f"{bad}\n\n{_filler(len(order))}", _lost)
    return told, paired_difference(given, plain, seed=seed)


def _lost(value: float) -> float:
    """Whether a pair that was decided rightly is not any more."""
    return float(value < 1)


def _filler(length: int) -> str:
    """Words that say nothing, of about that length."""
    return (probes.FILLER * (length // len(probes.FILLER) + 1))[:length].strip()


def _constants(ask: Callable[[Sequence[Group]], list[Asked]], pairs: Sequence[Group]) -> dict[str, Share]:
    """A constant reply against the one that people preferred, a kind in turn: where it is preferred."""
    return _tricked(ask, pairs, probes.CONSTANTS, lambda bad, constant: constant, lambda value: 1 - value)[0]


def _tricked(
    ask: Callable[[Sequence[Group]], list[Asked]], pairs: Sequence[Group], tricks: Mapping[str, str],
    played: Callable[[str, str], str], worked: Callable[[float], float],
) -> tuple[dict[str, Share], list[float | None]]:  # fmt: skip
    """`tricks` on the second of each pair, in turn: how often each, and `all` of them, `worked`; and on which pair."""
    kinds = list(tricks)
    groups = []
    for at, group in enumerate(pairs):
        good, bad = group.completions
        text = played(bad.text, tricks[kinds[at % len(kinds)]])
        groups.append(replace(group, completions=(good, Completion((replace(bad.messages[-1], content=text),)))))
    values = [None if one.value is None else worked(one.value) for one in (ask(groups) if groups else [])]
    found: dict[str, list[float]] = {"all": []}
    for at, value in enumerate(values):
        if value is not None:
            for kind in ("all", kinds[at % len(kinds)]):
                found.setdefault(kind, []).append(value)
    shares = {kind: share(sum(each), len(each)) for kind, each in found.items()}
    return {kind: one for kind, one in shares.items() if one}, values
