"""Counts of people that may be shown, so that nobody can be found in them."""

from collections.abc import Mapping

LEAST = 5  # people in a cell that is shown, or in all that is not


def showable(counts: Mapping[str, int], total: int, *, least: int = LEAST) -> dict[str, int | None]:
    """`counts` of people by what they said, of `total` who were asked, with None for what must not be told.

    A cell is shown from `least` people on. What is left of `total` once the shown cells are taken off (the cells that
    are not shown, and whoever said nothing) is none, with every cell shown, or `least` people or more: else the
    smallest shown cell goes too, until that holds. So neither a cell nor a subtraction is about fewer than `least`,
    and it is never told that all say the same. Raises `ValueError` where the counts are more than `total`.

    >>> showable({"north": 20, "south": 6, "west": 2}, 28)
    {'north': 20, 'south': None, 'west': None}
    """
    if any(count < 0 for count in counts.values()) or sum(counts.values()) > total:
        raise ValueError(f"{sum(counts.values())} said something of {total} who were asked.")
    shown = {name: count for name, count in counts.items() if count >= least}
    while shown:
        rest = total - sum(shown.values())
        if rest >= least or (rest == 0 and len(shown) == len(counts) > 1):
            break
        del shown[min(reversed(shown), key=shown.__getitem__)]
    return {name: shown.get(name) for name in counts}
