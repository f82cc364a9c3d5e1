"""The columns of one row: which are there, which were read, and what was mended on the way."""

import json
import math
from contextlib import suppress
from typing import Any

# A text this long is a run of one token or a whole book in one cell; tokenising it would take minutes for one reject.
LONGEST_TEXT = 1_000_000  # characters

# Columns that say something about the row and not what was said in it: who, where from, and what the parts of a reward
# gave (`preferably sample --reward` writes that).
ABOUT_THE_ROW = frozenset({"id", "labeler", "labeler_group", "source", "rewards"})


class BadRow(Exception):
    """Why a row cannot be used; `formats` makes a `Reject` of it. Never leaves this package."""

    def __init__(self, field: str, code: str, reason: str) -> None:
        super().__init__(reason)
        self.field, self.code, self.reason = field, code, reason


class Row:
    """A row as its shape reads it.

    `wanted` is the kind of feedback that is asked for, None for any. `repairs` and `warnings` are codes of
    `accounting`, each with a word on what it was about; `shape` is the name of the shape that the row was read as.
    """

    def __init__(self, columns: dict[str, Any], wanted: str | None = None) -> None:
        self.columns, self.wanted = columns, wanted
        self.shape = ""
        self.repairs: dict[str, str] = {}
        self.warnings: dict[str, str] = {}
        self._read: set[str] = set()

    def has(self, *names: str) -> bool:
        """Whether each of these columns holds something: null, or no text, as tables have them, is as good as none."""
        return all(self.columns.get(name) not in (None, "") for name in names)

    def get(self, name: str) -> Any:
        """What the column holds; None where it is not there."""
        self._read.add(name)
        return self.columns.get(name)

    def need(self, name: str) -> Any:
        """What the column holds, which may be null; `BadRow` where it is not there."""
        if name not in self.columns:
            raise self.missing(name)
        return self.get(name)

    def missing(self, name: str, expected: str = "") -> BadRow:
        """That the column `name` is not there, with the likely reason."""
        near = [key for key in self.columns if key not in (name, "") and key.strip().lower() == name]
        here = ", ".join(sorted(map(str, self.columns))[:8])[:120] or "no columns"
        hint = f"rename the column {near[0]!r} to {name!r}" if near else f"the row has {here}"
        return BadRow(name, "missing_field", f"no column {expected or name}; {hint}")

    def rest(self) -> str:
        """What the row holds beside what was read, as a JSON object, without bytes and times; empty for nothing."""
        kept: dict[str, str] = {}
        for name, value in self.columns.items():
            if name not in self._read and value is not None:
                with suppress(TypeError, ValueError):  # bytes and times, which other kinds of file hold
                    kept[name] = json.dumps(value, ensure_ascii=False, allow_nan=False)
        inside = ", ".join(f"{json.dumps(name)}: {value}" for name, value in kept.items())
        return f"{{{inside}}}" if kept else ""

    def unread(self) -> list[str]:
        """The columns that hold something and that nobody looked at, in their order."""
        known = self._read | ABOUT_THE_ROW
        return [name for name, value in self.columns.items() if name not in known and value not in (None, "", [])]


def text_of(value: Any, field: str, *, may_be_blank: bool = False) -> str:
    """`value`, if it is text, says something, and is no monster."""
    if not isinstance(value, str):
        raise BadRow(field, "wrong_type", f"expected text, got {kind(value)}")
    if not may_be_blank and not value.strip():
        raise BadRow(field, "empty", "empty, or only whitespace")
    if len(value) >= LONGEST_TEXT:
        raise BadRow(field, "text_too_large", f"{len(value):,} characters, {LONGEST_TEXT:,} or more are refused")
    return value


def number_of(value: Any, field: str) -> float:
    """`value`, if it is a number that is finite."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRow(field, "bad_score", f"expected a number, got {shown(value)}")
    return float(value)


def list_of(value: Any, field: str) -> list[Any]:
    """`value`, if it is a list."""
    if not isinstance(value, list):
        raise BadRow(field, "wrong_type", f"expected a list, got {kind(value)}")
    return value


def kind(value: Any) -> str:
    """What `value` is, in words."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def shown(value: Any) -> str:
    """`value`, short enough for a message."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
