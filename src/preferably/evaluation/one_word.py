"""Rows of one prompt that say different things of it, which an audit cannot believe."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from preferably.data.formats import parse_row
from preferably.data.readers import read_rows
from preferably.errors import DataError
from preferably.feedback.records import Group, Judged
from preferably.feedback.store.naming import is_store


def one_word(prompts: Sequence[Group], says: Callable[[Mapping[str, Any]], Any], columns: str) -> None:
    """`DataError` where a row says other things than an earlier one of the same prompt; `says` reads it of the row's
    `columns`.

    Of rows of one prompt the loader keeps the first alone, so the files that the prompts are from are read again.
    """
    asked = {(one.prompt, one.tools) for one in prompts}
    first: dict[Any, tuple[str, Any]] = {}
    for place, group in _rows(prompts):
        key = group.prompt, group.tools
        if key not in asked:
            continue
        said = says(json.loads(group.columns or "{}"))
        earlier, other = first.setdefault(key, (place, said))
        if said != other:
            raise DataError(
                f"{place} contradicts {earlier}: both ask {group.prompt_text[:60]!r}, with different {columns}; "
                "expected one row a prompt, or rows that say the same. Mend or remove one of them."
            )


def _rows(prompts: Sequence[Group]) -> Iterator[tuple[str, Group]]:
    """The prompts, and every row of the files that they are from, with their places."""
    for at, one in enumerate(prompts):
        yield (f"{one.place[0]}:{one.place[1]}" if one.place else f"Prompt {at + 1}"), one
    for file in dict.fromkeys(one.place[0] for one in prompts if one.place):
        if os.path.isfile(file) and not is_store(file):
            for line, row in read_rows(file):
                made = parse_row(row, "prompts", (file, line)) if isinstance(row, dict) else None
                if isinstance(made, Judged):
                    yield f"{file}:{line}", made.group
