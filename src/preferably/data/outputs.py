"""What a model answered, in files of suites: AlpacaEval's outputs and MT-bench's answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preferably.data.accounting import Accounting
from preferably.data.columns import BadRow, Row, list_of, shown, text_of
from preferably.data.mt_bench import question_id, written_id
from preferably.data.parsing import read_as
from preferably.errors import DataError
from preferably.feedback.records import Place


@dataclass(frozen=True, slots=True)
class Output:
    """A model's output for an instruction."""

    instruction: str
    output: str
    generator: str

    def as_row(self) -> dict[str, Any]:
        """The row that AlpacaEval reads."""
        return {"instruction": self.instruction, "output": self.output, "generator": self.generator}


@dataclass(frozen=True, slots=True)
class Answers:
    """A model's answers to the turns of a question."""

    question: str
    model: str
    turns: tuple[str, ...]

    def as_row(self) -> dict[str, Any]:
        """The row that MT-bench's tools read."""
        choices = [{"index": 0, "turns": list(self.turns)}]
        return {"question_id": written_id(self.question), "model_id": self.model, "choices": choices}


def read_outputs(path: str | Path, *, limit: int | None = None) -> tuple[list[Output], Accounting]:
    """Outputs from rows with `instruction`, `output` (which may be empty) and `generator`: those of one model.

    `DataError` where no row can be used, for several generators, and for an instruction that is there twice.
    """
    found, account = read_as([path], _output, limit=limit)
    _refuse_several(path, [one.generator for one in found], [one.instruction for one in found])
    return found, account


def read_answers(path: str | Path) -> tuple[list[Answers], Accounting]:
    """Answers from rows with `question_id`, `model_id` and `choices`, of which the first counts; raises the same."""
    found, account = read_as([path], _answers)
    _refuse_several(path, [one.model for one in found], [one.question for one in found])
    return found, account


def _output(row: Row, place: Place) -> Output:
    instruction, generator = (text_of(row.need(name), name) for name in ("instruction", "generator"))
    return Output(instruction, text_of(row.need("output"), "output", may_be_blank=True), generator)


def _answers(row: Row, place: Place) -> Answers:
    choices = list_of(row.need("choices"), "choices")
    first = choices[0] if choices else None
    if not isinstance(first, dict) or not first.get("turns"):
        raise BadRow("choices", "wrong_type", f"expected a list of objects with turns, got {shown(choices)}")
    turns = list_of(first["turns"], "choices[0].turns")
    said = tuple(text_of(one, "choices[0].turns", may_be_blank=True) for one in turns)
    return Answers(question_id(row), text_of(row.need("model_id"), "model_id"), said)


def _refuse_several(path: str | Path, models: Sequence[str], asked: Sequence[str]) -> None:
    if len(set(models)) > 1:
        raise DataError(f"{path} holds answers of {', '.join(sorted(set(models)))}; expected those of one model.")
    seen: set[str] = set()
    for one in asked:
        if one in seen:
            raise DataError(f"{path} answers {shown(one)} twice; leave one of the two out.")
        seen.add(one)
