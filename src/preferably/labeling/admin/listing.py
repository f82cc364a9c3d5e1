"""What of a list is shown: a page of it, in an order and under filters that the page knows by name."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from preferably.errors import ConfigError

T = TypeVar("T")
FARTHEST = 1_000_000  # page


@dataclass(frozen=True, slots=True)
class Listing:
    """The order, the filters and the page that somebody asked for."""

    sort: str
    falling: bool
    number: int  # of the page, from 1
    filters: Mapping[str, str]  # those that are set

    @classmethod
    def of(
        cls,
        query: Sequence[tuple[str, str]],
        *,
        sorts: Sequence[str],
        filters: Mapping[str, Collection[str]] | None = None,
    ) -> "Listing":
        """What a query asks for: `sort` one of `sorts` (the first unless said, `-` before it for falling), `page`, and
        `filters` by the values that each may have. Raises `ConfigError` for anything else."""
        allowed = filters or {}
        asked: dict[str, str] = {}
        for name, value in query:
            if name not in ("sort", "page", *allowed) or name in asked:
                raise ConfigError(f"This list can be narrowed by {', '.join(allowed) or 'nothing'}; got {name!r:.60}.")
            asked[name] = value
        sort = asked.get("sort", "") or sorts[0]
        if sort.removeprefix("-") not in [one.removeprefix("-") for one in sorts]:
            names = ", ".join(one.removeprefix("-") for one in sorts)
            raise ConfigError(f"This list can be sorted by {names}; got {sort!r:.60}.")
        number = asked.get("page", "") or "1"
        if not (number.isascii() and number.isdigit() and len(number) <= len(str(FARTHEST))):
            raise ConfigError(f"A page is a number from 1; got {number!r:.60}.")
        chosen = {name: asked[name] for name in allowed if asked.get(name)}
        for name, value in chosen.items():
            if value not in allowed[name]:
                raise ConfigError(f"Nothing here has {name} {value!r:.60}.")
        return cls(sort.removeprefix("-"), sort.startswith("-"), max(1, int(number)), chosen)

    def link(self, **changes: str | int) -> str:
        """The query of the same list with some of it changed; another order or filter begins at its first page."""
        asked: dict[str, Any] = {"sort": ("-" if self.falling else "") + self.sort, **self.filters, **changes}
        return "?" + urlencode({name: value for name, value in asked.items() if value not in ("", None)})

    def turned(self, name: str, *, falling: bool = True) -> str:
        """The query of the same list in the order of `name`: the other way round where that is its order already."""
        down = not self.falling if self.sort == name else falling
        return self.link(sort=("-" if down else "") + name)


@dataclass(frozen=True, slots=True)
class Leaf(Generic[T]):
    """One page of a list."""

    rows: Sequence[T]
    number: int
    count: int  # pages
    total: int  # rows on all of them


def leaf_of(rows: Sequence[T], listing: Listing, size: int) -> "Leaf[T]":
    """The page of `rows` that is asked for; the last one where there are fewer."""
    count = max(1, ceil(len(rows) / size))
    number = min(listing.number, count)
    return Leaf(rows[(number - 1) * size : number * size], number, count, len(rows))


def ordered(rows: Sequence[T], key: Callable[[T], Any], falling: bool) -> list[T]:
    """`rows` in the order of `key`; those of which it is None stand last, whichever way round."""
    known = [row for row in rows if key(row) is not None]
    return sorted(known, key=key, reverse=falling) + [row for row in rows if key(row) is None]
