"""A board of models from annotation files: what AlpacaEval tells of them, and how far that can be trusted."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from preferably.data.annotations import Annotation
from preferably.errors import DataError
from preferably.evaluation.controls import FEWEST
from preferably.evaluation.flags import CONSTANT, Flag, commonest_of, flags_of_outputs
from preferably.statistics.intervals import Interval, bootstrap_mean, standard_error
from preferably.statistics.length_control import Controlled, length_controlled
from preferably.statistics.rankings import Board, Game, islands, ranked

# Telling m models apart resamples m (m - 1) / 2 x 80 times: seconds for a few models, an hour for fifty.
MOST = 12


@dataclass(frozen=True, slots=True)
class Entry:
    """A model against a baseline by an annotator. Rates are in percent, as AlpacaEval has them."""

    model: str
    baseline: str
    annotator: str
    win_rate: float | None  # 100 mean(preference - 1); None where nothing has a verdict
    standard_error: float | None  # 100 sd / sqrt(n), n - 1 in the sd; None of fewer than two
    discrete_win_rate: float | None  # 100 (wins + draws / 2) / n
    n_wins: int  # preference above 1.5
    n_wins_base: int
    n_draws: int  # 1.5, and nothing near it
    n_total: int  # annotations with a verdict
    missing: int  # annotations without one: in none of the figures
    avg_length: float  # characters of the model's output, of all annotations
    instructions: int  # different ones with a verdict: what the interval is over
    interval: Interval | None  # of the win rate
    controlled: Controlled  # shares, not percent
    commonest: float  # the share of instructions that got the commonest output; 0 where all differ
    flags: tuple[Flag, ...]  # outputs of either side that deserve a look

    @property
    def bounds(self) -> tuple[float, float]:
        """The win rate, percent, if every missing verdict were a loss, and if every one were a win."""
        known, total = (self.win_rate or 0.0) * self.n_total, self.n_total + self.missing
        return known / total, (known + 100 * self.missing) / total

    @property
    def constant(self) -> bool:
        """Whether the model gave one output to more than half of the instructions: its win rate is then the judge's
        weakness, and no strength of the model."""
        return self.commonest > CONSTANT

    def as_json(self) -> dict[str, Any]:
        """As stored: the names are AlpacaEval's where it has one."""
        found = asdict(self) | {"bounds": list(self.bounds), "constant": self.constant}
        found["flags"] = [one.as_json() for one in self.flags]
        found["interval"] = None if self.interval is None else [self.interval.low, self.interval.high]
        within = self.controlled
        found["controlled"] = {
            "win_rate": _percent(within.win_rate), "influence": within.influence, "why": within.why,
            "interval": within.interval and [100 * within.interval.low, 100 * within.interval.high],
            "band": within.band and [100 * end for end in within.band],
        }  # fmt: skip
        return found


@dataclass(frozen=True, slots=True)
class Ranked:
    """The models of one annotator on one scale, or why there is none."""

    annotator: str
    board: Board | None
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """`groups` hold models that cannot be told from each other; `separable` are pairs (better, worse)."""
        if self.board is None:
            return {"annotator": self.annotator, "why": self.why}
        strengths = [
            {"model": one.name, "strength": one.strength, "interval": [one.interval.low, one.interval.high],
             "games": one.games}
            for one in self.board.standings
        ]  # fmt: skip
        return {
            "annotator": self.annotator, "groups": self.board.groups, "separable": self.board.separable,
            "strengths": strengths, "confidence": self.board.confidence,
        }  # fmt: skip


def entries(annotations: Sequence[Annotation], *, confidence: float = 0.95, seed: int = 0) -> list[Entry]:
    """One entry for each model, baseline and annotator in `annotations`, the highest win rates first.

    `generator_2` is the model and `generator_1` the baseline, whatever their names; files that hold several of either
    give several entries, and none of them is an average over baselines. `DataError` for no annotations.
    Source of the figures: AlpacaEval, https://github.com/tatsu-lab/alpaca_eval.
    """
    if not annotations:
        raise DataError("A board needs at least one annotation; got none.")
    found: dict[tuple[str, str, str], list[Annotation]] = defaultdict(list)
    for one in annotations:
        found[one.annotator, one.baseline, one.model].append(one)
    made = [_entry(some, confidence, seed) for some in found.values()]
    return sorted(made, key=lambda one: (one.annotator, one.baseline, -(one.win_rate or 0.0), one.model))


def rankings(
    annotations: Sequence[Annotation], *, confidence: float = 0.95, most: int = MOST, seed: int = 0
) -> list[Ranked]:
    """Which models can be told apart, for each annotator that judged two or more against baselines.

    A preference above 1.5 is a win, below it a loss, so the ranking is that of `discrete_win_rate`. There is none where
    no chain of comparisons connects all models, and of more than `most`, baselines included.
    """
    games: dict[str, list[Game]] = defaultdict(list)
    for one in annotations:
        if one.won is not None and one.model != one.baseline:
            result = 0.5 if one.won == 0.5 else float(one.won > 0.5)
            games[one.annotator].append(Game(one.model, one.baseline, result, one.instruction))
    return [
        ranked_games(annotator, some, confidence=confidence, most=most, seed=seed)
        for annotator, some in games.items()
        if len({game.first for game in some}) > 1
    ]


def ranked_games(
    annotator: str, games: Sequence[Game], *, confidence: float = 0.95, most: int = MOST, seed: int = 0
) -> Ranked:
    """Models on one scale by the games that one annotator judged; without one where it cannot be told, and why."""
    apart = islands(games)
    if len(apart) > 1:
        parts = "; ".join(", ".join(part) for part in apart)
        return Ranked(annotator, None, f"no comparison connects these models, so they have no common scale: {parts}")
    if len(apart[0]) > most:
        return Ranked(annotator, None, f"{len(apart[0])} models are more than the {most} that are told apart at once")
    return Ranked(annotator, ranked(games, confidence=confidence, seed=seed))


def _entry(some: Sequence[Annotation], confidence: float, seed: int) -> Entry:
    known = [(one, one.won) for one in some if one.won is not None]
    won = [value for _, value in known]
    wins, draws = sum(value > 0.5 for value in won), sum(value == 0.5 for value in won)
    by_instruction: dict[str, list[float]] = defaultdict(list)
    for one, value in known:
        by_instruction[one.instruction].append(value)
    counts = list(map(len, by_instruction.values()))
    interval = (
        bootstrap_mean(list(map(fmean, by_instruction.values())), confidence, seed=seed, weights=counts)
        if won
        else None
    )
    error = standard_error(won)
    return Entry(
        some[0].model, some[0].baseline, some[0].annotator,
        win_rate=100 * math.fsum(won) / len(won) if won else None,
        standard_error=_percent(error),
        discrete_win_rate=100 * (wins + draws / 2) / len(won) if won else None,
        n_wins=wins, n_wins_base=len(won) - wins - draws, n_draws=draws, n_total=len(won),
        missing=len(some) - len(won),
        avg_length=fmean(len(one.outputs[1]) for one in some),
        instructions=len(by_instruction),
        interval=interval and Interval(100 * interval.low, 100 * interval.high, confidence, interval.method,
                                       interval.note),
        controlled=_controlled(known, confidence, seed),
        commonest=commonest_of([(one.instruction, one.outputs[1].strip()) for one in some]),
        flags=flags_of_outputs(some),
    )  # fmt: skip


def _controlled(known: Sequence[tuple[Annotation, float]], confidence: float, seed: int) -> Controlled:
    if not known:
        return Controlled(None, why="nothing has a verdict")
    longer = [len(one.outputs[1]) - len(one.outputs[0]) for one, _ in known]
    prompts = [one.instruction for one, _ in known]
    if (count := len(set(prompts))) < FEWEST:
        return Controlled(None, why=f"{count} instructions are too few for a fit, which takes {FEWEST}")
    return length_controlled([value for _, value in known], longer, prompts, confidence=confidence, seed=seed)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
