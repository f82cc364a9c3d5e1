"""Annotation files in AlpacaEval's format: two outputs for an instruction, and which of them an annotator prefers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preferably.data.accounting import Accounting
from preferably.data.columns import BadRow, Row, shown, text_of
from preferably.data.parsing import read_as
from preferably.feedback.records import Place

DRAW = 1.5


@dataclass(frozen=True, slots=True)
class Annotation:
    """What an annotator said of the outputs of a baseline (`generator_1`) and of a model (`generator_2`)."""

    instruction: str
    baseline: str
    model: str
    outputs: tuple[str, str]  # of the baseline, of the model
    preference: float | None  # from 1 (the baseline's) to 2 (the model's), 1.5 a draw; None where there is no verdict
    annotator: str = ""
    place: Place | None = None

    @property
    def won(self) -> float | None:
        """How far the model is preferred: 1 its output, 0.5 neither, 0 that of the baseline, or a chance between."""
        return None if self.preference is None else self.preference - 1

    def as_row(self) -> dict[str, Any]:
        """The row that AlpacaEval writes."""
        return {
            "instruction": self.instruction, "output_1": self.outputs[0], "generator_1": self.baseline,
            "output_2": self.outputs[1], "generator_2": self.model, "annotator": self.annotator,
            "preference": self.preference,
        }  # fmt: skip


def read_annotations(paths: Sequence[str | Path]) -> tuple[list[Annotation], Accounting]:
    """The annotations of files in AlpacaEval's format, and what became of every row.

    Rows have `instruction`, `output_1`, `generator_1`, `output_2`, `generator_2`, `preference` and perhaps `annotator`;
    what else they have is not looked at.

    A preference of 0 is a draw, as older files write it; null, or NaN as text, is no verdict. One that is no number, or
    neither 0 nor from 1 to 2, rejects its row. Raises `DataError` where no row can be used.
    """
    return read_as(paths, _annotation)


def _annotation(row: Row, place: Place) -> Annotation:
    instruction, first, second = (
        text_of(row.need(name), name, may_be_blank=name != "instruction")
        for name in ("instruction", "output_1", "output_2")
    )
    baseline, model = (text_of(row.need(name), name) for name in ("generator_1", "generator_2"))
    annotator = text_of(row.get("annotator") or "", "annotator", may_be_blank=True)
    said = _preference(row.need("preference"))
    return Annotation(instruction, baseline, model, (first, second), said, annotator, place)


def _preference(value: Any) -> float | None:
    """Some files hold numbers as text, as tables do."""
    if value is None or value == "":
        return None
    expected = f"expected 1 (output_1 is better) to 2 (output_2), 1.5 or 0 for a draw; got {shown(value)}"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadRow("preference", "bad_choice", expected)
    try:
        number = float(value)
    except ValueError:
        raise BadRow("preference", "bad_choice", expected) from None
    if math.isnan(number):
        return None
    if number == 0:
        return DRAW
    if not 1 <= number <= 2:
        raise BadRow("preference", "bad_choice", expected)
    return number
