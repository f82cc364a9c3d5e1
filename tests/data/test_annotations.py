"""Annotation files in AlpacaEval's format: what is read, what is no verdict, what is refused."""

import json

import pytest

from preferably.data.annotations import Annotation, read_annotations
from preferably.data.writers import write_rows
from preferably.errors import DataError

ROW = {
    "instruction": "Say hi.", "output_1": "Hello", "generator_1": "base", "output_2": "Hi", "generator_2": "mine",
    "annotator": "somebody", "preference": 2, "raw_completion": {"text": "m"}, "price_per_example": 0.1,
}  # fmt: skip


def written(tmp_path, *rows):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(rows))
    return path


def test_a_row_is_read_and_what_is_beside_it_is_not_looked_at(tmp_path):
    (one,), account = read_annotations([written(tmp_path, ROW)])
    assert one == Annotation("Say hi.", "base", "mine", ("Hello", "Hi"), 2.0, "somebody", one.place)
    assert (one.won, account.used, account.warned) == (1.0, 1, {})


@pytest.mark.parametrize(
    ("written_as", "preference"),
    [(1, 1.0), (1.5, 1.5), (1.25, 1.25), ("2", 2.0), (0, 1.5), (0.0, 1.5), (None, None), ("nan", None), ("", None)],
)
def test_numbers_draws_and_what_is_no_verdict(tmp_path, written_as, preference):
    """0 is how older files write a draw: the published figures come out only if it is one."""
    (one,), _ = read_annotations([written(tmp_path, ROW | {"preference": written_as})])
    assert one.preference == preference


@pytest.mark.parametrize("wrong", [3, -1, 0.5, True, "m", [1], {"a": 1}])
def test_any_other_preference_rejects_its_row(tmp_path, wrong):
    found, account = read_annotations([written(tmp_path, ROW, ROW | {"preference": wrong})])
    assert len(found) == 1 and account.rejected == {"bad_choice": 1}
    assert account.rejects[0].line == 2 and "expected 1 (output_1 is better)" in account.rejects[0].reason


def test_rows_that_lack_a_column_are_counted(tmp_path):
    rows = [ROW] + [{key: value for key, value in ROW.items() if key != name} for name in ("preference", "generator_2")]
    found, account = read_annotations([written(tmp_path, *rows)])
    assert len(found) == 1 and account.rejected == {"missing_field": 2} and account.read == 3


def test_nan_is_no_json_and_is_counted_as_such(tmp_path):
    found, account = read_annotations([written(tmp_path, ROW, ROW | {"preference": float("nan")})])
    assert len(found) == 1 and account.rejected == {"bad_number": 1}


def test_an_empty_output_is_an_output(tmp_path):
    (one,), _ = read_annotations([written(tmp_path, ROW | {"output_2": ""})])
    assert one.outputs == ("Hello", "")


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="None of the 1 rows can be used"):
        read_annotations([written(tmp_path, {"prompt": "a", "chosen": "b", "rejected": "c"})])


def test_what_is_written_is_read_again(tmp_path):
    kept = [Annotation("q", "base", "mine", ("a", "b"), said, "j") for said in (1.0, 1.5, 1.75, None)]
    write_rows((one.as_row() for one in kept), tmp_path / "out.json")
    found, _ = read_annotations([tmp_path / "out.json"])
    assert [one.as_row() for one in found] == [one.as_row() for one in kept]
