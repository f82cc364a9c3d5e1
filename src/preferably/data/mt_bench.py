"""Files in the shapes of MT-bench: questions of several turns, and what a judge said of pairs or of single answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preferably.data.accounting import Accounting
from preferably.data.columns import BadRow, Row, list_of, number_of, shown, text_of
from preferably.data.parsing import read_as
from preferably.errors import DataError
from preferably.feedback.records import Place

WINNERS = ("model_1", "model_2", "tie", "error")
LEAST, MOST = 0.0, 10.0  # of a score; the scale is 1 to 10, and judges give 0 where there is no answer
UNREAD = -1.0  # the score of a judgment that holds none


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, turn by turn, and how it should be answered where that is known."""

    id: str
    category: str
    turns: tuple[str, ...]
    reference: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Duel:
    """What a judge said of the answers of two models, shown in one order and then in the other."""

    question: str
    turn: int
    models: tuple[str, str]
    winners: tuple[str, str]  # `WINNERS`, of the first and of the second order
    judge: str = ""

    @property
    def failed(self) -> bool:
        """Whether one of the two has no verdict, so that there is none of the pair."""
        return "error" in self.winners

    @property
    def consistent(self) -> bool:
        """Whether both orders say the same."""
        return self.winners[0] == self.winners[1]

    @property
    def won(self) -> float | None:
        """1 where both orders say that the first model is better, 0 the second, else 0.5; None where one failed."""
        if self.failed:
            return None
        return {"model_1": 1.0, "model_2": 0.0}.get(self.winners[0], 0.5) if self.consistent else 0.5

    def as_row(self) -> dict[str, Any]:
        """The row that MT-bench's tools read."""
        names, said = ("model_1", "model_2"), ("g1_winner", "g2_winner")
        about = {"question_id": written_id(self.question)} | dict(zip(names, self.models, strict=True))
        return about | dict(zip(said, self.winners, strict=True)) | {"judge": [self.judge], "turn": self.turn}


@dataclass(frozen=True, slots=True)
class Grade:
    """A judge's score of one answer; None where the judgment holds none."""

    question: str
    turn: int
    model: str
    score: float | None
    judge: str = ""


def read_questions(path: str | Path) -> tuple[list[Question], Accounting]:
    """The questions of a file: `question_id`, `category`, `turns`, and `reference` where there is one.

    Raises `DataError` where no row can be used, and for an id that two rows have.
    """
    found, account = read_as([path], _question)
    ids = [question.id for question in found]
    if twice := next((one for number, one in enumerate(ids) if one in ids[:number]), None):
        raise DataError(f"{path} has two questions with the question_id {twice}; give each its own.")
    return found, account


def read_duels(paths: Sequence[str | Path]) -> tuple[list[Duel], Accounting]:
    """Pairwise judgments: `question_id`, `model_1`, `model_2`, `g1_winner`, `g2_winner`, `turn` and `judge`.

    `g2_winner` is that of the swapped order, told in terms of the same `model_1` and `model_2`.
    """
    return read_as(paths, _duel)


def read_grades(paths: Sequence[str | Path]) -> tuple[list[Grade], Accounting]:
    """Scores of single answers: `question_id`, `model`, `score` (-1: the judgment held none), `turn` and `judge`."""
    return read_as(paths, _grade)


def _question(row: Row, place: Place) -> Question:
    turns = tuple(text_of(one, "turns") for one in list_of(row.need("turns"), "turns"))
    if not turns:
        raise BadRow("turns", "empty", "a question without a turn")
    reference = row.get("reference")
    told = tuple(text_of(one, "reference", may_be_blank=True) for one in list_of(reference or [], "reference"))
    category = text_of(row.get("category") or "", "category", may_be_blank=True)
    return Question(question_id(row), category, turns, told)


def _duel(row: Row, place: Place) -> Duel:
    first, second = (text_of(row.need(name), name) for name in ("model_1", "model_2"))
    if first == second:
        raise BadRow("model_2", "bad_choice", f"{shown(first)} is compared with itself")
    said: list[str] = []
    for name in ("g1_winner", "g2_winner"):
        winner = row.need(name)
        if winner not in WINNERS:
            raise BadRow(name, "bad_choice", f"expected {', '.join(WINNERS)}; got {shown(winner)}")
        said.append(winner)
    return Duel(question_id(row), _turn(row), (first, second), (said[0], said[1]), _judge(row))


def _grade(row: Row, place: Place) -> Grade:
    score = row.need("score")
    if score is not None and number_of(score, "score") == UNREAD:
        score = None
    if score is not None and not LEAST <= score <= MOST:
        raise BadRow("score", "bad_score", f"expected {LEAST:g} to {MOST:g}, or -1 for none; got {shown(score)}")
    return Grade(question_id(row), _turn(row), text_of(row.need("model"), "model"), score, _judge(row))


def question_id(row: Row) -> str:
    """The id of a question, a number or a name, as text."""
    value = row.need("question_id")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRow("question_id", "wrong_type", f"expected a number or a name, got {shown(value)}")
    return str(value)


def written_id(name: str) -> int | str:
    """The id as these files have it: a number where it is one."""
    return int(name) if name.isdecimal() and name.isascii() else name


def _turn(row: Row) -> int:
    value = row.need("turn")
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadRow("turn", "wrong_type", f"expected 1, 2, ...; got {shown(value)}")
    return value


def _judge(row: Row) -> str:
    """The judge's name; beside it these files have the name of the prompt, which differs by category."""
    value: Any = row.get("judge")
    if isinstance(value, list) and value:
        value = value[0]
    return text_of(value or "", "judge", may_be_blank=True)
