"""JSON as the standard has it, and what neither JSON nor any other container may bring into a row."""

import json
from collections import Counter
from typing import Any

Problem = tuple[str, str]  # a code of accounting.CODES, and the reason in words

DIGITS = 1000  # Python refuses to convert more than 4300 digits, and no id or label has so many


class Decoder:
    """Python's decoder keeps the last of two equal keys and reads NaN; this one tells."""

    def __init__(self) -> None:
        self.problem: Problem | None = None  # of the value that was decoded last
        self._json = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_float=self._float,
            parse_int=self._int,
            parse_constant=self._constant,
        )

    def decode(self, text: str, position: int) -> tuple[Any, int]:
        """The value at `position` and where it ends; raises `json.JSONDecodeError` and `RecursionError`."""
        self.problem = None
        return self._json.raw_decode(text, position)

    def whole(self, text: str) -> Any:
        """The one value that `text` holds, in whitespace; raises as `decode`."""
        start = len(text) - len(text.lstrip(" \t\r\n"))
        value, end = self.decode(text, start)
        if text[end:].strip(" \t\r\n"):
            raise json.JSONDecodeError("more after the end of the value", text, end)
        return value

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            self.problem = ("duplicate_key", f"the key {twice[:40]!r} is there twice")
        return made

    def _float(self, text: str) -> float:
        number = float(text)
        if number in (float("inf"), float("-inf")):
            self.problem = ("bad_number", "a number too large to hold")
        return number

    def _int(self, text: str) -> int:
        if len(text) > DIGITS:
            self.problem = ("bad_number", f"an integer of {len(text)} digits")
            return 0
        return int(text)

    def _constant(self, name: str) -> float:
        self.problem = ("bad_number", f"{name} is not JSON")
        return 0.0


def problem_in(value: Any) -> Problem | None:
    """What a row must not hold, from whichever container: NUL, half a surrogate pair, NaN or infinity."""
    pending = [value]
    while pending:  # a stack of our own: a deep row must not exhaust Python's
        item = pending.pop()
        if isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, str):
            if "\0" in item:
                return "nul", "a NUL character in a string"
            if not item.isascii() and any("\ud800" <= character <= "\udfff" for character in item):
                return "lone_surrogate", "half of a surrogate pair in a string"
        elif isinstance(item, float) and not -float("inf") < item < float("inf"):
            return "bad_number", f"{item} is no number that JSON knows"
    return None


def without_null(value: Any) -> Any:
    """`value` without the keys whose value is null: what columns hold where a row lacks a key that others have."""
    if isinstance(value, dict):
        return {key: without_null(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_null(item) for item in value]
    return value


def kind_of(value: Any) -> str:
    """What a person calls a JSON value."""
    names = {list: "list", str: "string", bool: "boolean", int: "number", float: "number", dict: "object"}
    return names.get(type(value), "null")


def not_utf8(data: bytes, position: int) -> Problem:
    """The byte of `data` at `position` (from 0) is not UTF-8."""
    byte = data[position]
    hint = ""
    if byte >= 0xA0:  # in Latin-1 a letter, below it nothing that people type
        hint = f" (in Latin-1 it would be {chr(byte)!r}: is the file in Latin-1 or Windows-1252?)"
    return "not_utf8", f"byte {position + 1} of the row, 0x{byte:02x}, is not UTF-8{hint}; save the file as UTF-8"
