"""How figures are written on the page and the card: one minus sign, one dash, one number of digits for each kind."""

import math

NONE = "–"  # a figure that does not exist, told apart from 0 and from NaN


def percent(value: float | None, digits: int = 1) -> str:
    """`0.81` -> `81.0%`."""
    return _odd(value) or f"{value:.{digits}%}".replace("-", "−")


def difference_in_points(after: float | None, before: float | None) -> str:
    """`0.9, 0.8` -> `+10.0`: percentage points."""
    if after is None or before is None:
        return NONE
    return signed(100 * (after - before), 1)


def signed(value: float | None, digits: int = 2) -> str:
    """`0.125` -> `+0.12`; a difference that rounds to zero carries no sign."""
    if odd := _odd(value):
        return odd
    written = f"{value:+.{digits}f}"
    return (written[1:] if float(written) == 0 else written).replace("-", "−")


def decimal(value: float | None, digits: int = 2) -> str:
    """`21.04` -> `21.04`."""
    return _odd(value) or f"{value:,.{digits}f}".replace("-", "−")


def count(value: float | None) -> str:
    """`1084.0` -> `1,084`; a count that is not whole keeps its decimals."""
    if odd := _odd(value):
        return odd
    assert value is not None
    return (f"{value:,.0f}" if value == int(value) else f"{value:,.1f}").replace("-", "−")


def significant(value: float | None, digits: int = 4) -> str:
    """`1e-05` -> `1e-05`, `0.69314` -> `0.6931`, `123456.0` -> `123,456`."""
    if odd := _odd(value):
        return odd
    assert value is not None
    value = value or 0.0  # no score of minus nothing
    written = f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.{digits}g}"
    return written.replace("-", "−") if "e" not in written else written.replace("-", "−", int(value < 0))


def duration(seconds: float | None) -> str:
    """`75` -> `1 min 15 s`."""
    if odd := _odd(seconds):
        return odd
    assert seconds is not None
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02d} min"


def plural(value: float, noun: str) -> str:
    """`1, "row"` -> `1 row`; `2, "row"` -> `2 rows`."""
    return f"{count(value)} {noun}{'' if value == 1 else 's'}"


def _odd(value: float | None) -> str:
    """What is written for a value that is no finite number; empty for one that is."""
    if value is None:
        return NONE
    if math.isnan(value):
        return "NaN"
    return "" if math.isfinite(value) else ("∞" if value > 0 else "−∞")
