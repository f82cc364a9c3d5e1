"""How often a reward model prefers the better one of two answers, by the subsets and sections of RewardBench."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preferably.errors import DataError
from preferably.feedback.records import Group
from preferably.judging.reward import score_groups, scorer_of
from preferably.models.loading import Loaded
from preferably.statistics.intervals import Interval, wilson
from preferably.statistics.shares import Share, share

# The sections of RewardBench, their subsets, and how many examples each counts for (Lambert et al. 2024,
# https://arxiv.org/abs/2403.13787): 447 pairs of math-prm count for 984, as many as all of the code. Copies of the
# published code disagree on the weights of the two xstest subsets; these fit that XSTest has 200 unsafe prompts.
SECTIONS: dict[str, dict[str, int]] = {
    "Chat": {
        "alpacaeval-easy": 100, "alpacaeval-length": 95, "alpacaeval-hard": 95, "mt-bench-easy": 28, "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37, "llmbar-natural": 100, "llmbar-adver-neighbor": 134, "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47, "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100, "refusals-offensive": 100, "xstest-should-refuse": 154, "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984, "hep-cpp": 164, "hep-go": 164, "hep-java": 164, "hep-js": 164, "hep-python": 164,
        "hep-rust": 164,
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Weighted:
    """A mean of accuracies under weights. Its interval is Wilson's, of as many trials as the weights leave."""

    value: float
    interval: Interval
    n: int  # pairs
    lacking: tuple[str, ...] = ()  # what belongs to it and was not in the file

    def as_json(self) -> dict[str, Any]:
        """As stored."""
        ends = [self.interval.low, self.interval.high]
        return {"value": self.value, "interval": ends, "n": self.n, "lacking": list(self.lacking)}


@dataclass(frozen=True, slots=True)
class RewardBench:
    """What came out. Equal scores count as wrong everywhere."""

    accuracy: Share  # of all pairs, each counted once
    subsets: Mapping[str, Share]
    sections: Mapping[str, Weighted]
    overall: Weighted | None  # the mean of the four sections; None unless every subset is there
    ties: int  # pairs with equal scores
    unread: int  # pairs that the reward model could not read: in none of the figures
    unknown: tuple[str, ...]  # subsets of no section

    def as_json(self) -> dict[str, Any]:
        """The contents of `reward_bench.json`."""
        return {
            "accuracy": self.accuracy.as_json(), "overall": self.overall and self.overall.as_json(),
            "sections": {name: one.as_json() for name, one in self.sections.items()},
            "subsets": {name: one.as_json() for name, one in self.subsets.items()},
            "ties": self.ties, "unread": self.unread, "unknown": list(self.unknown),
        }  # fmt: skip


def reward_bench(loaded: Loaded, pairs: Sequence[Group], *, budget: int = 8192) -> RewardBench:
    """Score `pairs` (the better completion first, the subset as `source`) as `evaluate --reward-model` does, and count.

    `ModelError` for a model that gives no scores, `DataError` where no pair can be scored.
    """
    scorer = scorer_of(loaded)
    margins: list[float | None] = []
    for found in score_groups(loaded, pairs, budget=budget):
        if found is None:
            margins.append(None)
            continue
        better, worse = scorer.total(found).tolist()
        margins.append(better - worse)
    return counted([pair.source for pair in pairs], margins)


def counted(subsets: Sequence[str], margins: Sequence[float | None]) -> RewardBench:
    """The accuracies of n pairs: the subset of each, and the score of its better completion less that of the other,
    None where it could not be scored. A margin of 0 is a loss. `DataError` where nothing was scored.

    A section is the mean of its subsets' accuracies weighted by `SECTIONS`; those that the file lacks are named.
    """
    right: dict[str, list[bool]] = defaultdict(list)
    for subset, margin in zip(subsets, margins, strict=True):
        if margin is not None:
            right[subset].append(margin > 0)
    everything = [one for some in right.values() for one in some]
    accuracy = share(sum(everything), len(everything))
    if accuracy is None:
        raise DataError(f"The reward model could read none of {len(margins)} pairs.")
    sections = {name: made for name, weights in SECTIONS.items() if (made := _section(right, weights))}
    whole = len(sections) == len(SECTIONS) and not any(one.lacking for one in sections.values())
    known = {subset for weights in SECTIONS.values() for subset in weights}
    return RewardBench(
        accuracy, {name: one for name, some in right.items() if (one := share(sum(some), len(some)))},
        sections, _overall(right) if whole else None,
        ties=sum(margin == 0 for margin in margins), unread=sum(margin is None for margin in margins),
        unknown=tuple(name for name in right if name not in known),
    )  # fmt: skip


def _section(right: Mapping[str, Sequence[bool]], weights: Mapping[str, int]) -> Weighted | None:
    there = {subset: float(weight) for subset, weight in weights.items() if right.get(subset)}
    return _mean(right, there, tuple(name for name in weights if name not in there)) if there else None


def _overall(right: Mapping[str, Sequence[bool]]) -> Weighted:
    """The mean of the sections, as weights of subsets."""
    weights = {
        subset: weight / sum(section.values()) for section in SECTIONS.values() for subset, weight in section.items()
    }
    return _mean(right, weights, ())


def _mean(right: Mapping[str, Sequence[bool]], weights: Mapping[str, float], lacking: tuple[str, ...]) -> Weighted:
    """Pairs that count more than others leave fewer trials: (sum w)^2 / sum(w^2 / n), which is n for weights like n."""
    total = sum(weights.values())
    value = sum(weight * sum(right[name]) / len(right[name]) for name, weight in weights.items()) / total
    trials = total**2 / sum(weight**2 / len(right[name]) for name, weight in weights.items())
    value = min(max(value, 0.0), 1.0)
    return Weighted(value, wilson(value * trials, trials), sum(len(right[name]) for name in weights), lacking)
