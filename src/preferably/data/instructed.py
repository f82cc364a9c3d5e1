"""Prompts with instructions that can be checked, and responses to them, in the shapes of IFEval's files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preferably.data.accounting import Accounting
from preferably.data.columns import BadRow, Row, list_of, shown, text_of
from preferably.data.parsing import read_as
from preferably.errors import DataError
from preferably.feedback.records import Place


@dataclass(frozen=True, slots=True)
class Instructed:
    """A prompt, and the instructions in it: their names, each with its arguments."""

    key: str
    prompt: str
    instructions: tuple[tuple[str, Mapping[str, Any]], ...]
    place: Place | None = None


def read_instructed(path: str | Path, *, limit: int | None = None) -> tuple[list[Instructed], Accounting]:
    """Prompts from rows with `key`, `prompt`, `instruction_id_list` and `kwargs` (one object for each instruction).

    `DataError` where no row can be used, and for a prompt that is there twice, as responses are found by it.
    """
    found, account = read_as([path], _instructed, limit=limit)
    _refuse_twins(path, [one.prompt for one in found])
    return found, account


def read_responses(path: str | Path) -> tuple[dict[str, str], Accounting]:
    """Responses by prompt, from rows with `prompt` and `response`, which may be empty; raises as `read_instructed`."""
    found, account = read_as([path], _response)
    _refuse_twins(path, [prompt for prompt, _ in found])
    return dict(found), account


def _instructed(row: Row, place: Place) -> Instructed:
    names = list_of(row.need("instruction_id_list"), "instruction_id_list")
    given = list_of(row.need("kwargs"), "kwargs")
    if not names:
        raise BadRow("instruction_id_list", "empty", "a prompt without an instruction to check")
    if len(names) != len(given):
        reason = f"{len(names)} instructions and arguments for {len(given)}; each needs an object, {{}} for none"
        raise BadRow("kwargs", "wrong_number", reason)
    for one in given:
        if not isinstance(one, dict):
            raise BadRow("kwargs", "wrong_type", f"expected an object of arguments, got {shown(one)}")
    key = row.get("key")
    if isinstance(key, bool) or not isinstance(key, str | int | None):
        raise BadRow("key", "wrong_type", f"expected a number or a name, got {shown(key)}")
    pairs = tuple((text_of(name, "instruction_id_list"), one) for name, one in zip(names, given, strict=True))
    return Instructed("" if key is None else str(key), text_of(row.need("prompt"), "prompt"), pairs, place)


def _response(row: Row, place: Place) -> tuple[str, str]:
    return text_of(row.need("prompt"), "prompt"), text_of(row.need("response"), "response", may_be_blank=True)


def _refuse_twins(path: str | Path, prompts: Sequence[str]) -> None:
    seen: set[str] = set()
    for prompt in prompts:
        if prompt in seen:
            raise DataError(f"{path} has the prompt {shown(prompt)} twice; leave one of the two out.")
        seen.add(prompt)
