"""Data sets of the Hugging Face hub to rows, streamed through `datasets`."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from preferably.data.accounting import Reject, printable
from preferably.data.json_values import problem_in, without_null
from preferably.errors import DataError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
PART = re.compile(r"[\w.+-]+")
USUAL = "train"  # the split that is read where none is named and there are several


@dataclass(frozen=True, slots=True)
class HubId:
    """`owner/name`, `owner/name:split` or `owner/name:config:split`."""

    name: str
    config: str | None = None
    split: str | None = None


def hub_id(text: str) -> HubId | None:
    """What `text` names on the hub, if it has that form; whether it exists is not looked up."""
    name, *parts = text.split(":")
    if not NAME.fullmatch(name) or len(parts) > 2 or not all(PART.fullmatch(part) for part in parts):
        return None
    return HubId(name, parts[0] if len(parts) == 2 else None, parts[-1] if parts else None)


def hub_rows(wanted: HubId, text: str) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """The rows of a split, counted from 1. Null is what a row lacks. `DataError` for whatever `datasets` raises."""
    try:
        import datasets
    except ImportError as missing:
        raise DataError(
            f"{text} is no file here; to read it from the hub: pip install 'preferably[data]'."
        ) from missing
    number = 0
    try:
        # The data files alone are read: no script of the data set is run, `datasets` has no way to any more.
        rows = iter(_split(datasets.load_dataset(wanted.name, wanted.config, streaming=True), wanted, text))
        while (row := next(rows, None)) is not None:
            number += 1
            problem = problem_in(row)
            yield number, Reject(text, number, "row", *problem) if problem else without_null(row)
    except DataError:
        raise
    except Exception as problem:  # datasets, pyarrow, the hub's client and the network each have errors of their own
        reason = printable(" ".join(str(problem).split())) or type(problem).__name__
        where = f"after {number} rows" if number else f"at {os.environ.get('HF_ENDPOINT', 'https://huggingface.co')}"
        raise DataError(
            f"{text} is no file here, and cannot be read from the hub {where}: {reason[:300].rstrip('.')}. "
            "Expected a path, or owner/name, owner/name:split, owner/name:config:split of a data set that you may read "
            "(hf auth login)."
        ) from problem


def _split(found: Any, wanted: HubId, text: str) -> Any:
    names = list(found)
    name = wanted.split or (names[0] if len(names) == 1 else USUAL)
    if name not in found:
        raise DataError(f"{text}: expected one of the splits {', '.join(names)}; for example {wanted.name}:{names[0]}.")
    split = found[name]
    return split.decode(False) if split.features else split  # images and sounds stay bytes
