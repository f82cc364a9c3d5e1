"""The examples of docs/data.md are read as it says."""

import json
import re
from pathlib import Path

from preferably.data.accounting import CODES, NO_FAULT, REPAIRS, WARNINGS
from preferably.data.columns import Row
from preferably.data.formats import SHAPES, parse_row, shape_of
from preferably.feedback.records import Judged

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
BLOCKS = [[json.loads(line) for line in block.splitlines()] for block in re.findall(r"```jsonl\n(.*?)```", TEXT, re.S)]


def test_there_is_one_example_for_each_shape_in_the_order_in_which_they_count():
    table = re.findall(r"^\| (\w+) \| .* \|$", TEXT.split("## Shapes")[1].split("```")[0], re.M)[1:]
    assert [shape_of(Row(row)).name for row in BLOCKS[0]] == table
    assert sorted(table) == sorted(shape.name for shape in SHAPES)


def test_every_example_is_a_record_and_no_column_of_it_is_left_unread():
    for row in (row for block in BLOCKS for row in block):
        read = Row(row)
        assert isinstance(parse_row(row, None, ("docs", 1), read), Judged)
        assert not read.unread() and not read.warnings and not read.repairs
    assert len(BLOCKS) == 2 and len(BLOCKS[1]) == 3


def test_codes_that_are_named_exist():
    table = TEXT.split("## Bad input")[1]
    named = set(re.findall(r"\b[RFW] ((?:`\w+`(?:, )?)+)", table))
    codes = {code for group in named for code in re.findall(r"`(\w+)`", group)}
    assert codes <= CODES.keys() | REPAIRS.keys() | WARNINGS.keys() and len(codes) > 50
    assert all(f"`{code}`" in TEXT for code in NO_FAULT)
