"""The headline: how often the model's replies are preferred to another's, and how far that can be trusted."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import pstdev
from typing import Any, Literal

from preferably.errors import DataError
from preferably.evaluation.controls import Controls, controls_of
from preferably.evaluation.flags import CONSTANT, Flag, commonest, flags_of
from preferably.evaluation.slices import Slice, slices_of
from preferably.feedback.records import Group, Preference
from preferably.feedback.store.entry import LabelerKind
from preferably.judging.described import Decider, deciders, judged_by
from preferably.judging.judge import Judge, inconsistencies, kind_of, preferences_of
from preferably.judging.parts import answered
from preferably.statistics.intervals import Interval, bootstrap_mean
from preferably.statistics.planning import points_seen

Outcome = Literal["model", "against", "tie", "missing"]
VALUE: dict[str, float] = {"model": 1.0, "tie": 0.5, "against": 0.0}


@dataclass(frozen=True, slots=True)
class LengthEffect:
    """How the outcome goes with length (words). A length that explains the wins is no better model."""

    model: float  # mean words of the model's replies
    against: float
    when_longer: float | None  # the win rate over comparisons in which the model's reply is the longer; None if none
    when_shorter: float | None
    longer: int  # comparisons with an outcome in which the model's reply is the longer
    shorter: int
    prefers_longer: float | None  # the share of decided comparisons of unequal lengths that the longer reply won


@dataclass(frozen=True, slots=True)
class WinRate:
    """What came out of a comparison; counts are of comparisons (samples), `n` and the interval of prompts."""

    win_rate: float | None  # the mean of `values`, 0 to 1; None if nothing could be judged
    interval: Interval | None
    confidence: float
    n: int  # prompts with at least one comparison judged
    wins: int
    ties: int
    losses: int
    missing: int  # comparisons without a verdict; in none of the figures
    inconsistent: int  # ties that came of verdicts that changed with the order
    values: tuple[float | None, ...]  # per prompt the mean over its samples: win 1, tie 1/2, loss 0; None if missing
    outcomes: tuple[tuple[Outcome, ...], ...]  # per prompt and sample
    length: LengthEffect
    duplicates: tuple[float, float]  # model, against: the share of prompts that got the commonest reply (0: all differ)
    labeler_kind: LabelerKind = "rule"  # of the judge
    judged_by: tuple[Decider, ...] = ()  # the models that it asks, and what that took so far
    controls: Controls = field(default_factory=Controls)  # the win rate at equal length, and at equal style
    slices: tuple[Slice, ...] = ()  # of the prompts, by the columns that were asked for
    flags: tuple[Flag, ...] = ()  # replies that deserve a look
    axes: Mapping[str, "WinRate"] = field(default_factory=dict)  # the same comparisons by judges of one axis each

    @property
    def verdict(self) -> Literal["better", "worse", "not separable"]:
        """What the interval allows to say: an interval that contains one half separates nothing."""
        if self.interval is None:
            return "not separable"
        return "better" if self.interval.low > 0.5 else "worse" if self.interval.high < 0.5 else "not separable"

    @property
    def spread(self) -> float | None:
        """The standard deviation of a prompt's value; None of fewer than two."""
        known = [value for value in self.values if value is not None]
        return pstdev(known) if len(known) > 1 else None

    @property
    def sees(self) -> float | None:
        """The least difference from one half that so many prompts tell in four cases of five; None where not known."""
        return points_seen(self.n, self.spread) if self.spread else None

    @property
    def bounds(self) -> tuple[float, float]:
        """The win rate over comparisons if every missing one were lost, and if every one were won."""
        total = self.wins + self.ties + self.losses + self.missing
        known = self.wins + self.ties / 2
        return known / total, (known + self.missing) / total

    @property
    def constant(self) -> tuple[str, ...]:
        """The sides (`model`, `against`) that gave one and the same reply to more than half of the prompts."""
        sides = zip(("model", "against"), self.duplicates, strict=True)
        return tuple(side for side, share in sides if share > CONSTANT)

    def figure(self) -> dict[str, Any]:
        """The win rate with its interval, bounds and counts, as files have it."""
        span = None if self.interval is None else [self.interval.low, self.interval.high]
        counts = {name: getattr(self, name) for name in ("n", "wins", "ties", "losses", "missing")}
        return {
            "win_rate": self.win_rate,
            "interval": span,
            "confidence": self.confidence,
            "bounds": list(self.bounds),
            **counts,
        }

    def as_json(
        self,
        *,
        judge: str,
        decoding: Mapping[str, Any],
        kl: Mapping[str, float | None] | None = None,
        model: str,
        against: str,
    ) -> dict[str, Any]:
        """The contents of `win_rate.json` as `docs/design.md` gives it.

        `judge`, `model` and `against` are names; `decoding` holds temperature, top_p, max_tokens and samples; `kl`
        holds `mean` and `se` of KL(policy || reference), nats per sequence, on the policy's own samples at T = 1.
        """
        return {
            "schema": 1,
            **self.figure(),
            "judge": judge,
            "decoding": dict(decoding),
            "kl": None if kl is None else dict(kl),
            "length": {"model": self.length.model, "against": self.length.against},
            "model": model,
            "against": against,
            "duplicates": {"model": self.duplicates[0], "against": self.duplicates[1]},
            "judged_by": judged_by(self.judged_by),
            "labeler_kind": self.labeler_kind,
            "inconsistent": self.inconsistent,
            "spread": self.spread,
            "slices": [one.as_json() for one in self.slices],
            "axes": [
                {"axis": name, **one.figure(), "judged_by": judged_by(one.judged_by)} for name, one in self.axes.items()
            ],
            "flags": [one.as_json() for one in self.flags],
            **self.controls.as_json(),
        }


def win_rate(
    prompts: Sequence[Group],
    model: Sequence[Sequence[str]],
    against: Sequence[Sequence[str]],
    judge: Judge,
    *,
    confidence: float = 0.95,
    seed: int = 0,
    slices: Sequence[str] = (),
) -> WinRate:
    """How often `judge` prefers the replies in `model` to those in `against`.

    `prompts`: n, each once (their own completions are not looked at); `model[i]`, `against[i]`: the s >= 1 samples for
    prompt i, sample j of one meeting sample j of the other, the model's shown first. Wrap `judge` in `both_orders` if
    the order may matter to it. A prompt counts as the mean over its samples (win 1, tie or both bad 1/2, loss 0);
    comparisons that the judge failed at, refused or was unsure about are missing: counted and left out. The interval is
    over prompts (`bootstrap_mean`, seeded), whatever the number of samples. `slices` are columns of the prompts' rows
    by whose values the win rate is told too (`slices_of`).

    `DataError` for no prompts and for numbers of replies that do not match; what `judge` raises passes through.
    """
    pairs = list(_pairs(prompts, model, against))
    groups = [answered(prompt, (ours, theirs)) for prompt, ours, theirs in pairs]
    preferences = preferences_of(judge, groups)
    flat = [_outcome(preference) for preference in preferences]
    rest = iter(flat)
    outcomes = tuple(tuple(next(rest) for _ in samples) for samples in model)
    values = tuple(_mean([VALUE[outcome] for outcome in row if outcome != "missing"]) for row in outcomes)
    known = [value for value in values if value is not None]
    numbers = [number for number, row in enumerate(model) for _ in row]
    how: dict[str, Any] = {"confidence": confidence, "seed": seed}
    return WinRate(
        win_rate=_mean(known),
        interval=bootstrap_mean(known, confidence, seed=seed) if known else None,
        confidence=confidence,
        n=len(known),
        wins=flat.count("model"),
        ties=flat.count("tie"),
        losses=flat.count("against"),
        missing=flat.count("missing"),
        inconsistent=inconsistencies(preferences),
        values=values,
        outcomes=outcomes,
        length=_length_effect([(len(ours.split()), len(theirs.split())) for _, ours, theirs in pairs], flat),
        duplicates=(commonest(prompts, model), commonest(prompts, against)),
        labeler_kind=kind_of(judge),
        judged_by=tuple(deciders(judge)),
        controls=controls_of(
            judge, [one for _, one, _ in pairs], [one for _, _, one in pairs], [VALUE.get(out) for out in flat],
            numbers, **how,
        ),
        slices=slices_of(prompts, values, slices, **how),
        flags=flags_of(prompts, model, against),
    )  # fmt: skip


def _pairs(
    prompts: Sequence[Group], model: Sequence[Sequence[str]], against: Sequence[Sequence[str]]
) -> Iterator[tuple[Group, str, str]]:
    if not prompts:
        raise DataError("A win rate needs at least one prompt; got none.")
    if not len(prompts) == len(model) == len(against):
        sizes = f"{len(prompts)} prompts, {len(model)} and {len(against)} rows of replies"
        raise DataError(f"A win rate needs one row of replies per prompt on both sides; got {sizes}.")
    for row, (prompt, ours, theirs) in enumerate(zip(prompts, model, against, strict=True)):
        if not ours or len(ours) != len(theirs):
            sizes = f"{len(ours)} and {len(theirs)}"
            raise DataError(f"Prompt {row} needs as many replies, at least one, on both sides; got {sizes}.")
        for one, other in zip(ours, theirs, strict=True):
            yield prompt, one, other


def _outcome(preference: Preference) -> Outcome:
    if preference.state != "ok" or preference.choice in ("unsure", None):
        return "missing"
    if preference.choice in ("tie", "both_bad"):
        return "tie"
    return "model" if preference.choice == 0 else "against"


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _length_effect(lengths: Sequence[tuple[int, int]], outcomes: Sequence[Outcome]) -> LengthEffect:
    judged = [(ours - theirs, out) for (ours, theirs), out in zip(lengths, outcomes, strict=True) if out != "missing"]
    longer = [VALUE[outcome] for extra, outcome in judged if extra > 0]
    shorter = [VALUE[outcome] for extra, outcome in judged if extra < 0]
    decided = [(extra > 0) == (outcome == "model") for extra, outcome in judged if extra and outcome != "tie"]
    return LengthEffect(
        model=sum(ours for ours, _ in lengths) / len(lengths),
        against=sum(theirs for _, theirs in lengths) / len(lengths),
        when_longer=_mean(longer),
        when_shorter=_mean(shorter),
        longer=len(longer),
        shorter=len(shorter),
        prefers_longer=_mean(decided),
    )
