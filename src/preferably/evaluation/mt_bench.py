"""What MT-bench's judgments say of models: pairs in both orders, and single scores, by turn and by category."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from preferably.data.mt_bench import LEAST, MOST, Duel, Grade, Question
from preferably.errors import DataError
from preferably.statistics.intervals import Interval, bootstrap_mean
from preferably.statistics.rankings import Game

NO_CATEGORY = "not named"


@dataclass(frozen=True, slots=True)
class Cell:
    """A mean over judgments, with an interval over the questions that they are of."""

    value: float | None  # None where every judgment failed
    n: int  # judgments that count
    questions: int
    failed: int  # judgments without a verdict or a score: in none of the figures
    interval: Interval | None

    def as_json(self) -> dict[str, Any]:
        """As stored."""
        ends = self.interval and [self.interval.low, self.interval.high]
        return asdict(self) | {"interval": ends}


@dataclass(frozen=True, slots=True)
class Record:
    """A model's games. `adjusted` is (wins + ties / 2) / n, a share; its cells are the same of fewer games."""

    model: str
    judge: str
    against: tuple[str, ...]
    wins: int  # both orders say so
    losses: int
    ties: int  # both orders say so, or they differ
    inconsistent: int  # ties because the orders differ
    errors: int  # games of which one order has no verdict
    adjusted: Cell
    turns: Mapping[int, Cell]
    categories: Mapping[str, Cell]

    @property
    def win_rate(self) -> float | None:
        """Wins among the games with a verdict, ties counted as none; None without one."""
        return self.wins / self.adjusted.n if self.adjusted.n else None

    @property
    def loss_rate(self) -> float | None:
        """Losses among the games with a verdict; None without one."""
        return self.losses / self.adjusted.n if self.adjusted.n else None

    def as_json(self) -> dict[str, Any]:
        """As stored."""
        names = ("model", "judge", "against", "wins", "losses", "ties", "inconsistent", "errors")
        plain = {name: getattr(self, name) for name in (*names, "win_rate", "loss_rate")}
        return plain | {"win_rate_adjusted": self.adjusted.as_json()} | _cells(self.turns, self.categories)


@dataclass(frozen=True, slots=True)
class Scores:
    """A model's scores, 1 to 10."""

    model: str
    judge: str
    score: Cell
    repeated: int  # scores of a question and turn that had one already; all of them count
    turns: Mapping[int, Cell]
    categories: Mapping[str, Cell]

    def as_json(self) -> dict[str, Any]:
        """As stored."""
        plain = {"model": self.model, "judge": self.judge, "score": self.score.as_json(), "repeated": self.repeated}
        return plain | _cells(self.turns, self.categories)


@dataclass(frozen=True, slots=True)
class _Said:
    """One judgment as it counts for one model."""

    question: str
    turn: int
    value: float | None


def records(
    duels: Sequence[Duel], questions: Iterable[Question] = (), *, against: str | None = None, confidence: float = 0.95,
    seed: int = 0,
) -> list[Record]:  # fmt: skip
    """Each model's games by each judge, the best first; with `against`, its games with that model alone.

    A game is won only where both orders say so; where they differ it is a tie, and where one failed it is an error:
    counted, and in no figure. Intervals are by question (`bootstrap_mean`). `questions` give the categories.
    `DataError` for no judgments, none with `against`, and a question that `questions` lack.
    Source: Zheng et al. 2023, https://arxiv.org/abs/2306.05685, and FastChat's `show_result`.
    """
    if not duels:
        raise DataError("There are no judgments of pairs.")
    met = [duel for duel in duels if against is None or against in duel.models]
    if not met:
        known = ", ".join(sorted({name for duel in duels for name in duel.models}))
        raise DataError(f"No judgment is about {against!r}; the models are {known}.")
    category = _categories(questions, {duel.question for duel in met})
    games: dict[tuple[str, str], list[tuple[Duel, str, float | None]]] = defaultdict(list)
    for duel in met:
        for name, other, won in _sides(duel):
            if name != against:
                games[duel.judge, name].append((duel, other, won))
    found = []
    for (judge, name), some in games.items():
        said = [_Said(duel.question, duel.turn, won) for duel, _, won in some]
        values = [one.value for one in said]
        cell = _averages((0.0, 1.0), confidence, seed)
        found.append(Record(
            name, judge, tuple(dict.fromkeys(other for _, other, _ in some)),
            values.count(1.0), values.count(0.0), values.count(0.5),
            sum(not duel.failed and not duel.consistent for duel, _, _ in some), values.count(None),
            cell(said), *_tables(said, category, cell),
        ))  # fmt: skip
    return sorted(found, key=lambda one: (one.judge, -(one.adjusted.value or 0.0), one.model))


def scores(
    grades: Sequence[Grade], questions: Iterable[Question] = (), *, confidence: float = 0.95, seed: int = 0
) -> list[Scores]:
    """Each model's mean score by each judge, the best first; raises as `records` does."""
    if not grades:
        raise DataError("There are no scores of single answers.")
    category = _categories(questions, {grade.question for grade in grades})
    by_model: dict[tuple[str, str], list[_Said]] = defaultdict(list)
    for grade in grades:
        by_model[grade.judge, grade.model].append(_Said(grade.question, grade.turn, grade.score))
    cell = _averages((LEAST, MOST), confidence, seed)
    found = [
        Scores(
            name, judge, cell(said), len(said) - len({(one.question, one.turn) for one in said}),
            *_tables(said, category, cell),
        )
        for (judge, name), said in by_model.items()
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.judge, -(one.score.value or 0.0), one.model))


def games_of(duels: Iterable[Duel]) -> list[Game]:
    """What `statistics.rankings` ranks models by: the games with a verdict."""
    return [Game(*duel.models, duel.won, duel.question) for duel in duels if duel.won is not None]


def _sides(duel: Duel) -> list[tuple[str, str, float | None]]:
    """(model, the other one, what it won) of both."""
    (first, second), won = duel.models, duel.won
    return [(first, second, won), (second, first, None if won is None else 1 - won)]


def _categories(questions: Iterable[Question], asked: set[str]) -> dict[str, str]:
    known = {question.id: question.category or NO_CATEGORY for question in questions}
    if known and (lacking := sorted(asked - known.keys())):
        raise DataError(
            f"{len(lacking)} questions that were judged are not in the file of questions, the first {lacking[0]}; "
            "give the questions that were asked, or none."
        )
    return known


def _averages(bounds: tuple[float, float], confidence: float, seed: int) -> Callable[[Sequence[_Said]], Cell]:
    def cell(said: Sequence[_Said]) -> Cell:
        by_question: dict[str, list[float]] = defaultdict(list)
        for one in said:
            if one.value is not None:
                by_question[one.question].append(one.value)
        values = [value for several in by_question.values() for value in several]
        if not values:
            return Cell(None, 0, 0, len(said), None)
        means, counts = ([tell(one) for one in by_question.values()] for tell in (fmean, len))
        interval = bootstrap_mean(means, confidence, seed=seed, bounds=bounds, weights=counts)
        return Cell(fmean(values), len(values), len(by_question), len(said) - len(values), interval)

    return cell


def _tables(
    said: Sequence[_Said], category: Mapping[str, str], cell: Callable[[Sequence[_Said]], Cell]
) -> tuple[dict[int, Cell], dict[str, Cell]]:
    """Cells by turn, and by category where they are known."""
    turns: dict[int, list[_Said]] = defaultdict(list)
    kinds: dict[str, list[_Said]] = defaultdict(list)
    for one in said:
        turns[one.turn].append(one)
        if category:
            kinds[category[one.question]].append(one)
    return {turn: cell(turns[turn]) for turn in sorted(turns)}, {name: cell(some) for name, some in kinds.items()}


def _cells(turns: Mapping[int, Cell], categories: Mapping[str, Cell]) -> dict[str, Any]:
    return {
        "turns": {str(turn): cell.as_json() for turn, cell in turns.items()},
        "categories": {name: cell.as_json() for name, cell in categories.items()},
    }
