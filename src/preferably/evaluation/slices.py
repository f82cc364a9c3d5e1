"""The win rate by slices of the prompts: where the model is better, and where that is only chance."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from statistics import fmean
from typing import Any

from preferably.errors import ConfigError
from preferably.feedback.records import Group
from preferably.statistics.intervals import Interval, bootstrap_mean
from preferably.statistics.multiple import holm, parts_apart

FEWEST = 30  # prompts of a slice, below which nothing is claimed of it (tests/statistics/test_coverage.py)
MOST = 100  # slices of a column; what has more is no slice but a name of each prompt
NONE = "(none)"  # prompts whose row has nothing in the column


@dataclass(frozen=True, slots=True)
class Slice:
    """The win rate on the prompts that have one value in a column."""

    column: str
    name: str
    prompts: int
    n: int  # prompts with a comparison that was judged
    win_rate: float | None
    interval: Interval | None  # None for fewer than FEWEST prompts: too few to claim anything
    differs: bool  # from the overall figure, with all slices held together (Holm)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        span = None if self.interval is None else [self.interval.low, self.interval.high]
        return {
            "column": self.column, "slice": self.name, "prompts": self.prompts, "n": self.n, "win_rate": self.win_rate,
            "interval": span, "differs": self.differs,
        }  # fmt: skip


def slices_of(
    prompts: Sequence[Group], values: Sequence[float | None], columns: Sequence[str], *, confidence: float = 0.95,
    seed: int = 0,
) -> tuple[Slice, ...]:  # fmt: skip
    """The win rate by what the rows of `prompts` hold in each of `columns`; `values` are per prompt, None is missing.

    An interval of a slice is made as the overall one is. A slice differs from the overall figure where it differs from
    all other prompts (the same question), by permutation, and Holm's procedure over all slices of all columns that have
    `FEWEST` prompts or more. `ConfigError` for a column that no prompt has, that holds lists or objects, or that has
    more than `MOST` values.
    """
    found: list[tuple[Slice, float | None]] = []
    for column in dict.fromkeys(columns):
        found += _of_column(prompts, values, column, confidence, seed)
    tested = [at for at, (_, p) in enumerate(found) if p is not None]
    apart = holm([p for _, p in found if p is not None], confidence)
    differing = {at for at, told in zip(tested, apart, strict=True) if told}
    return tuple(
        Slice(one.column, one.name, one.prompts, one.n, one.win_rate, one.interval, at in differing)
        for at, (one, _) in enumerate(found)
    )


def _of_column(
    prompts: Sequence[Group], values: Sequence[float | None], column: str, confidence: float, seed: int
) -> Iterator[tuple[Slice, float | None]]:
    """The slices of one column, the largest first, each with its p-value where it has enough prompts."""
    names = names_in(prompts, column)
    order = sorted(dict.fromkeys(names), key=lambda name: (-names.count(name), name))
    known = [(order.index(name), value) for name, value in zip(names, values, strict=True) if value is not None]
    p_values = parts_apart([value for _, value in known], [at for at, _ in known], seed=seed) if known else {}
    for at, name in enumerate(order):
        own = [value for number, value in known if number == at]
        enough = len(own) >= FEWEST
        span = bootstrap_mean(own, confidence, seed=seed) if enough else None
        mean = fmean(own) if own else None
        told = Slice(column, name, names.count(name), len(own), mean, span, False)
        yield told, p_values.get(at) if enough else None


def names_in(prompts: Sequence[Group], column: str) -> list[str]:
    """The slice of each prompt by a column. Raises as `slices_of` does."""
    rows = [columns_of(prompt) for prompt in prompts]
    known = dict.fromkeys(name for row in rows for name in row)
    if column not in known:
        near = get_close_matches(column, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; the columns there: {', '.join(known) or 'none'}."
        raise ConfigError(f"No prompt has a column {column!r} to be sliced by{hint}")
    names = [_name(row.get(column), column) for row in rows]
    if len(set(names)) > MOST:
        raise ConfigError(
            f"The column {column!r} has {len(set(names)):,} different values, which slices nothing; expected at most "
            f"{MOST}. Give a column of kinds, such as a category or a source."
        )
    return names


def columns_of(prompt: Group) -> Mapping[str, Any]:
    """What else the row of a prompt holds, `source` among it where that is known."""
    held: dict[str, Any] = json.loads(prompt.columns) if prompt.columns else {}
    return ({"source": prompt.source} if prompt.source else {}) | held


def _name(value: Any, column: str) -> str:
    if value is None or value == "":
        return NONE
    if isinstance(value, list | dict):
        kind = "lists" if isinstance(value, list) else "objects"
        raise ConfigError(f"The column {column!r} holds {kind}; expected texts or numbers to slice the prompts by.")
    return value if isinstance(value, str) else json.dumps(value)
