"""Few people, many judgments of a judge: what people would prefer on average, from a store that holds both."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group, Judged, Judgment
from preferably.feedback.store.entry import Entry
from preferably.feedback.views import verdicts
from preferably.statistics.corrected_style import Verdicts, style_corrected
from preferably.statistics.intervals import FEWEST_UNLIKE, Interval
from preferably.statistics.multiple import parts_apart
from preferably.statistics.prediction_powered import FEWEST, Corrected, corrected_mean
from preferably.statistics.style_control import Styled, style_differences

NOT_RANDOM = 0.01  # the p-value from which on the judge says that people saw another kind of prompts
Asked = tuple[Any, str]  # a prompt with its tools


@dataclass(frozen=True, slots=True)
class ByPeople:
    """The win rate that people would give, corrected by those whom they did judge. Units are prompts."""

    model: str
    against: str
    judge: str  # the labeler
    corrected: Corrected
    labelers: int  # people
    people_alone: int  # prompts that people judged and the judge did not, left out
    style: Styled  # the same at equal style
    alike: float | None  # p-value of the judge saying the same, in the mean, of what people saw and of the rest

    @property
    def win_rate(self) -> float:
        """The corrected figure, a share."""
        return min(max(self.corrected.value, 0.0), 1.0)

    @property
    def interval(self) -> Interval:
        """Of it, within 0 and 1."""
        one = self.corrected.interval
        return Interval(max(one.low, 0.0), min(one.high, 1.0), one.confidence, one.method, one.note)

    @property
    def verdict(self) -> Literal["better", "worse", "not separable"]:
        """What the interval allows to say."""
        low, high = self.interval.low, self.interval.high
        return "better" if low > 0.5 else "worse" if high < 0.5 else "not separable"

    @property
    def doubt(self) -> str:
        """Why the prompts that people judged may be no random part, which the figure rests on; empty where they may."""
        if self.alike is None or self.alike >= NOT_RANDOM:
            return ""
        return (
            "The judge says something else of the prompts that people judged than of the others "
            f"(p = {self.alike:.2g}), so they seem to be no random part, and the corrected figure may be off: let "
            "people judge prompts at random"
        )

    def as_json(self) -> dict[str, Any]:
        """The contents of `people.json`."""
        one = self.corrected
        return {
            "schema": 1, "model": self.model, "against": self.against, "win_rate": self.win_rate,
            "interval": [self.interval.low, self.interval.high], "confidence": self.interval.confidence,
            "people": {"win_rate": one.people, "interval": [one.people_interval.low, one.people_interval.high],
                       "n": one.n, "labelers": self.labelers},
            "judge": {"name": self.judge, "win_rate": one.judge, "n": one.n + one.more, "bias": one.bias,
                      "weight": one.weight},
            "style_controlled": {
                "win_rate": self.style.win_rate, "why": self.style.why,
                "interval": self.style.interval and [self.style.interval.low, self.style.interval.high],
            },
            "worth": one.worth, "people_alone": self.people_alone, "doubt": self.doubt,
        }  # fmt: skip


def by_people(store: str, model: str, against: str, *, judge: str | None = None, confidence: float = 0.95) -> ByPeople:
    """How often people would prefer the answers of `model` to those of `against`, from the judgments in a store.

    Completions say which model they are of (`Completion.origin`). Verdicts of labelers of the kind `human` are those of
    people; `judge` is the labeler of another kind whose verdicts are to help, needed only where there are several.
    Prompts that people judged must be a random part of those that the judge did. A prompt counts as the mean over all
    verdicts on it (win 1, tie 1/2, loss 0). `DataError` for a model that nothing is from, no such judge, and fewer than
    `FEWEST` prompts that people and the judge judged both; `ConfigError` where the judge must be named.
    """
    from preferably.feedback.store.store import Store

    if model == against:
        raise ConfigError(f"A win rate is of one model over another; got {model!r} twice.")
    with Store(store, create=False) as opened:
        said = _said(opened.entries(superseded=False))
    known = {name for group in said for name in _origins(group) if name}
    for name in (model, against):
        if name not in known:
            held = ", ".join(sorted(known)) or "none"
            raise DataError(f"No completion in {store} is from {name!r}; the models there: {held}.")
    chosen = _judge(said, judge, model, against, store)
    theirs_of = [one for one in _meetings(said, model, against) if one.kind == "human"]
    of_judge = [one for one in _meetings(said, model, against) if one.kind != "human" and one.labeler == chosen]
    people, guessed = _values(theirs_of), _values(of_judge)
    both = [asked for asked in people if asked in guessed]
    alone = [guessed[asked] for asked in guessed if asked not in people]
    ours, theirs = [people[asked] for asked in both], [guessed[asked] for asked in both]
    _enough(ours, len(alone), chosen)
    corrected = corrected_mean(ours, theirs, alone, confidence)
    alike = parts_apart([*theirs, *alone], [0] * len(theirs) + [1] * len(alone)).get(0)
    style = style_corrected(
        _verdicts(theirs_of, {*both}), _verdicts(of_judge, {*both}), _verdicts(of_judge, {*guessed} - {*both}),
        confidence=confidence,
    )  # fmt: skip
    labelers = len({one.labeler for one in theirs_of})
    return ByPeople(model, against, chosen, corrected, labelers, len(people) - len(both), style, alike)


def _said(entries: Iterable[Entry]) -> dict[Group, dict[str, list[Judgment]]]:
    """The verdicts on every group, by the kind of the labeler."""
    found: dict[Group, dict[str, list[Judgment]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        if entry.judgment.state == "ok":
            found[entry.group][entry.labeler_kind].append(entry.judgment)
    return found


def _origins(group: Group) -> list[str]:
    return [one.origin.model or "" if one.origin else "" for one in group.completions]


@dataclass(frozen=True, slots=True)
class Meeting:
    """A verdict on a completion of each of the two: 1 where `texts[0]`, the model's, is preferred."""

    asked: Asked
    kind: str  # of the labeler
    labeler: str
    value: float
    texts: tuple[str, str]


def _meetings(said: Mapping[Group, Mapping[str, list[Judgment]]], model: str, against: str) -> Iterator[Meeting]:
    """Every one."""
    for group, by_kind in said.items():
        origins = _origins(group)
        for kind, judgments in by_kind.items():
            for name, found in verdicts(Judged(group, tuple(judgments))).items():
                for places, verdict in found.items():
                    if sorted(origins[at] for at in places) == sorted((model, against)):
                        first = origins[places[0]] == model
                        one, other = (group.completions[at].text for at in (places if first else places[::-1]))
                        value = (1 + (verdict if first else -verdict)) / 2
                        yield Meeting((group.prompt, group.tools), kind, name, value, (one, other))


def _values(meetings: Iterable[Meeting]) -> dict[Asked, float]:
    """The value of each prompt."""
    found: dict[Asked, list[float]] = defaultdict(list)
    for one in meetings:
        found[one.asked].append(one.value)
    return {asked: fmean(values) for asked, values in found.items()}


def _verdicts(meetings: Iterable[Meeting], prompts: set[Asked]) -> Verdicts:
    """Those on some prompts, with how the two replies look."""
    some = [one for one in meetings if one.asked in prompts]
    ours, theirs = ([one.texts[side] for one in some] for side in (0, 1))
    return Verdicts([one.value for one in some], style_differences(ours, theirs), [one.asked for one in some])


def _judge(
    said: Mapping[Group, Mapping[str, list[Judgment]]], judge: str | None, model: str, against: str, store: str
) -> str:
    """The labeler that is no person and whose verdicts help."""
    counts: dict[str, int] = defaultdict(int)
    for one in _meetings(said, model, against):
        counts[one.labeler] += one.kind != "human"
    names = sorted(name for name, count in counts.items() if count)
    if judge is None and len(names) > 1:
        raise ConfigError(f"Several judges compared {model} with {against}: {', '.join(names)}; name one by --judge.")
    if not names or (judge is not None and judge not in names):
        named = f" {judge!r}" if judge else ""
        there = f"; those who did: {', '.join(names)}" if names else ""
        raise DataError(f"No judge{named} in {store} compared {model} with {against}{there}.")
    return judge if judge is not None else names[0]


def _enough(people: list[float], alone: int, judge: str) -> None:
    """`DataError` where a valid interval cannot be had."""
    if len(people) < FEWEST:
        raise DataError(
            f"People and {judge} both judged {len(people)} prompts; a win rate corrected by people needs {FEWEST} or "
            "more. Let people judge more prompts, drawn at random."
        )
    if not alone:
        raise DataError(f"{judge} judged no prompt that people did not, so it adds nothing to what people said.")
    unlike = len(people) - max(people.count(value) for value in set(people))
    if unlike < FEWEST_UNLIKE:
        raise DataError(
            f"All but {unlike} of {len(people)} prompts have the same verdict of people, too few unlike it "
            f"({FEWEST_UNLIKE}) for an interval that covers. Let people judge more prompts, drawn at random."
        )
