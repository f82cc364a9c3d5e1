"""What a reward model is worth: how often it prefers what labelers preferred, where it does not, and what its scores
mean as probabilities."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from preferably.data.baselines import labelers
from preferably.errors import DataError
from preferably.feedback.records import Judged, Preference
from preferably.feedback.views import deciding, unsettled, verdicts
from preferably.judging.reward import score_groups, scorer_of
from preferably.models.loading import Loaded
from preferably.statistics.calibration import (
    Bin,
    calibration_error,
    calibration_interval,
    fit_temperature,
    log_loss,
    probability,
    reliability,
)
from preferably.statistics.shares import Share, share
from preferably.statistics.style_control import style_of

Rights = list[tuple[int, float]]  # of pairs: which record each is of, and 1, 0.5 or 0
FEW = 30  # records below which nothing is said of calibration, and answers of two labelers, of the ceiling
LENGTHS = ("200 or more shorter", "40 to 199 shorter", "about as long", "40 to 199 longer", "200 or more longer")
CELLS = 12  # of a table; the rest is added up as one

# What needs no model to guess: the value of a completion that the better one would have more of.
BASELINES: dict[str, Callable[[str], float]] = {
    "longer": lambda text: len(text),
    "shorter": lambda text: -len(text),
    "more lines": lambda text: text.count("\n"),
    "more distinct words": lambda text: len(set(text.lower().split())),
    "more digits": lambda text: sum(map(str.isdigit, text)),
    "more list items and headings": lambda text: sum(style_of(text)[1:3]),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """A verdict on two completions, the better one first, and what the reward model says of them."""

    record: int  # pairs of one record go together
    margin: float  # score of the better one less that of the other, in the reward model's unit
    longer: int  # characters that the better one has more
    strength: float | None
    source: str
    labelers: tuple[str, ...]
    guesses: Mapping[str, float]  # what each baseline gets: 1, 0.5 or 0

    @property
    def right(self) -> float:
        """1 where the better one scores higher, 0.5 for equal scores."""
        return _right(self.margin)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What sigmoid(margin) is worth as the probability that a labeler prefers the one that the model prefers."""

    error: float
    interval: tuple[float, float]
    bins: list[Bin]
    temperature: float  # fitted on every other record
    error_after: float  # on the rest, with margins divided by it
    log_loss: float  # nats; ln 2 = 0.693 is a coin


@dataclass(frozen=True, slots=True)
class RewardReport:
    """The contents of `evaluation/reward_model.json`."""

    accuracy: Share
    pairs: int
    ties: int  # verdicts that neither is better: no pair, and what the model says of them is in `tied_margin`
    unread: int  # records that the reward model could not read
    axes: dict[str, Share]
    by: dict[str, dict[str, Share]]
    baselines: dict[str, Share]
    calibration: Calibration | None
    agreement: Share | None  # of two labelers on the same pair
    ceiling: float | None  # what the best model could get against one labeler
    tied_margin: float | None = None  # mean |margin| of ties
    margin: float | None = None  # mean |margin| of pairs

    def as_json(self) -> dict[str, Any]:
        """As stored; shares have `value`, `n` and `interval`."""

        def told(value: Any) -> Any:
            if isinstance(value, Share):
                return value.as_json()
            return {name: told(one) for name, one in value.items()} if isinstance(value, dict) else value

        names = ("accuracy", "pairs", "ties", "unread", "axes", "by", "baselines", "agreement", "ceiling")
        out = {"schema": 1} | {name: told(getattr(self, name)) for name in (*names, "tied_margin", "margin")}
        return out | {"calibration": asdict(self.calibration) if self.calibration else None}


def evaluate_reward(loaded: Loaded, records: Sequence[Judged], *, budget: int = 8192) -> RewardReport:
    """Score what the records hold and compare with what was said of it.

    A record counts each pair of its completions on which its labelers have a majority, or somebody settled, once;
    accuracy by labeler, and by group of labelers, is against each one's own verdicts. Of several axes each is held
    against what was said on it, and the total against ratings weighted as in the total. `DataError` where there is no
    pair.
    """
    scorer = scorer_of(loaded)
    several = dict(zip(scorer.axes, scorer.weights, strict=True)) if len(scorer.axes) > 1 else {}
    weights = {axis: weight for axis, weight in several.items() if weight} or None
    compared = [record for record in records if len(record.group.completions) > 1]
    scores = score_groups(loaded, [record.group for record in compared], budget=budget)
    pairs: list[Pair] = []
    tied: list[float] = []
    by_labeler: dict[str, Rights] = defaultdict(list)
    by_group: dict[str, Rights] = defaultdict(list)
    by_axis: dict[str, Rights] = defaultdict(list)
    for number, (record, found) in enumerate(zip(compared, scores, strict=True)):
        if found is None:
            continue
        totals = scorer.total(found).tolist()
        said = verdicts(record, weights)
        settled = replace(record, judgments=tuple(deciding(record.judgments)))
        for (one, other), verdict in _majorities(verdicts(settled, weights)).items():
            apart = totals[one] - totals[other]
            if not verdict:
                tied.append(abs(apart))
                continue
            better, worse = (one, other) if verdict > 0 else (other, one)
            pairs.append(_pair(number, record, better, worse, totals, tuple(said)))
        groups = {judgment.labeler: judgment.labeler_group for judgment in record.judgments}
        for name, answers in said.items():
            for question, verdict in answers.items():
                if len(question) == 2 and verdict:
                    right = (number, _right(verdict * (totals[question[0]] - totals[question[1]])))
                    by_labeler[name].append(right)
                    by_group[groups[name]].append(right)
        for column, axis in enumerate(several):
            own = found[:, column].tolist()
            for (one, other), verdict in _majorities(verdicts(settled, axis)).items():
                if verdict:
                    by_axis[axis].append((number, _right(verdict * (own[one] - own[other]))))
    unread = sum(found is None for found in scores)
    if not pairs:
        raise DataError(f"There is no pair to rank: {len(records)} records, {len(tied)} ties, {unread} too long.")
    speakers = {"labeler group": by_group, "labeler": by_labeler}
    return _report(pairs, tied, by_axis, speakers, unread, records)


def _right(margin: float) -> float:
    return 0.5 + 0.5 * float(np.sign(margin))


def _majorities(said: Mapping[str, Mapping[tuple[int, ...], int]]) -> dict[tuple[int, int], int]:
    """Of two completions: 1 if most labelers prefer the first, -1 the second, 0 a tie; nothing where they are split."""
    votes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for answers in said.values():
        for question, verdict in answers.items():
            if len(question) == 2:
                votes[question[0], question[1]].append(verdict)
    found = {}
    for pair, given in votes.items():
        counts = {verdict: given.count(verdict) for verdict in (1, 0, -1)}
        most = [verdict for verdict, n in counts.items() if n == max(counts.values())]
        if len(most) == 1:
            found[pair] = most[0]
    return found


def _pair(
    number: int, record: Judged, better: int, worse: int, totals: Sequence[float], labelers: tuple[str, ...]
) -> Pair:
    texts = [record.group.completions[index].text for index in (better, worse)]
    guesses = {name: _right(value(texts[0]) - value(texts[1])) for name, value in BASELINES.items()}
    strengths = [
        said.strength
        for said in record.judgments
        if isinstance(said, Preference) and said.strength is not None and said.choice == better and worse in said.order
    ]
    return Pair(
        number, totals[better] - totals[worse], len(texts[0]) - len(texts[1]), fmean(strengths) if strengths else None,
        record.group.source, labelers, guesses,
    )  # fmt: skip


def _report(
    pairs: list[Pair], tied: list[float], by_axis: Mapping[str, Rights],
    by_speaker: Mapping[str, Mapping[str, Rights]], unread: int, records: Sequence[Judged],
) -> RewardReport:  # fmt: skip
    cells = {
        "strength": _cells(pairs, _strength_cells([pair.strength for pair in pairs])),
        "length": _cells(pairs, [_length_cell(pair.longer) for pair in pairs]),
        "source": _cells(pairs, [pair.source or None for pair in pairs]),
    } | {kind: _shares({name: right for name, right in found.items() if name}) for kind, found in by_speaker.items()}
    axes = {axis: _some(right) for axis, right in by_axis.items()}
    people = labelers(map(unsettled, records))
    agreement = people.agreement if people else None
    return RewardReport(
        _some([(pair.record, pair.right) for pair in pairs]), len(pairs), len(tied), unread, axes,
        {name: table for name, table in cells.items() if table},
        {name: _some([(pair.record, pair.guesses[name]) for pair in pairs]) for name in BASELINES},
        _calibration(pairs), agreement,
        _ceiling(agreement), fmean(tied) if tied else None, fmean(abs(pair.margin) for pair in pairs),
    )  # fmt: skip


def _ceiling(agreement: Share | None) -> float | None:
    """The accuracy against one labeler that nothing can beat, if every pair is as hard as any other: two labelers who
    each say what most would say with probability p agree with a = p^2 + (1 - p)^2, so p = (1 + sqrt(2a - 1)) / 2."""
    if agreement is None or agreement.n < FEW or agreement.value < 0.5:
        return None
    return (1 + (2 * agreement.value - 1) ** 0.5) / 2


def _calibration(pairs: Sequence[Pair]) -> Calibration | None:
    """None of fewer records than tell anything."""
    _, record = np.unique([pair.record for pair in pairs], return_inverse=True)
    if record.max() + 1 < FEW:
        return None
    margins, right = np.array([abs(pair.margin) for pair in pairs]), np.array([pair.right for pair in pairs])
    sure, even = probability(margins), record % 2 == 0
    interval = calibration_interval(sure, right, groups=record)
    temperature = fit_temperature(margins[even], right[even])
    after = calibration_error(probability(margins[~even] / temperature), right[~even])
    return Calibration(
        calibration_error(sure, right), (interval.low, interval.high), reliability(sure, right), temperature, after,
        log_loss(margins, right),
    )  # fmt: skip


def _length_cell(longer: int) -> str:
    """How much longer the better one is, characters."""
    place = sum((longer > -200, longer > -40, longer >= 40, longer >= 200))
    return LENGTHS[place]


def _strength_cells(strengths: Sequence[float | None]) -> list[str | None]:
    """Each strength as it is where there are few, else by quarters."""
    known = sorted({strength for strength in strengths if strength is not None})
    if len(known) <= 8:
        return [None if strength is None else f"{strength:g}" for strength in strengths]
    edges = np.quantile([strength for strength in strengths if strength is not None], [0.25, 0.5, 0.75])
    names = [f"up to {edges[0]:g}", f"up to {edges[1]:g}", f"up to {edges[2]:g}", f"above {edges[2]:g}"]
    return [
        None if strength is None else names[int(np.searchsorted(edges, strength, side="left"))]
        for strength in strengths
    ]


def _cells(pairs: Sequence[Pair], names: Sequence[str | None]) -> dict[str, Share]:
    found: dict[str, Rights] = defaultdict(list)
    for pair, name in zip(pairs, names, strict=True):
        if name is not None:
            found[name].append((pair.record, pair.right))
    if len(found) < 2:
        return {}
    shares = _shares(found)
    return {name: shares[name] for name in LENGTHS if name in shares} if set(shares) <= set(LENGTHS) else shares


def _shares(found: Mapping[str, Rights]) -> dict[str, Share]:
    """The largest cells alone, all others together, so that the counts add up."""
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    shown = dict(ordered[:CELLS])
    if rest := [value for _, values in ordered[CELLS:] for value in values]:
        shown["all others"] = rest
    return {name: _some(values) for name, values in shown.items()}


def _some(values: Rights) -> Share:
    """The interval is that of as many trials as there are records, as the pairs of one say much the same."""
    found = share(sum(right for _, right in values), len(values), len({record for record, _ in values}))
    assert found is not None, "a cell without a pair"
    return found
