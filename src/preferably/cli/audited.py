"""What the terminal says of an audit: the verdict, each finding with its outcome, and the figures."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

if TYPE_CHECKING:
    from preferably.evaluation.audit import Audit, Figure, Table

SIDES = {"after": "audited", "before": "before", "control": "never learnt"}
STYLES = {"good": "green", "bad": "red", "not sure": "yellow"}


def show(console: Console, found: "Audit") -> None:
    """The verdict first, then what it rests on; made for 80 columns."""
    console.print(Text(found.verdict, style=f"bold {STYLES[found.outcome]}"))
    console.print()
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(overflow="fold", max_width=15)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for one in found.findings:
        grid.add_row(one.name, Text(one.outcome, style=STYLES[one.outcome]), Text(one.words))
    console.print(grid)
    for table in found.tables:
        console.print()
        _figures(console, table)


def _figures(console: Console, table: "Table") -> None:
    sides = [side for side in ("after", "before", "control") if any(getattr(row, side) for row in table.rows)]
    grid = Grid(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    grid.add_column(Text(table.title), overflow="fold", min_width=16)
    for side in sides:
        grid.add_column(SIDES[side], justify="right", no_wrap=True)
    grid.add_column("n", justify="right", no_wrap=True)
    write = _WRITTEN[table.unit]
    for row in table.rows:
        first = row.after or row.before or row.control
        shown = [_figure(getattr(row, side), write) for side in sides]
        grid.add_row(Text(row.name), *shown, str(first.n) if first else "0")
    console.print(grid)
    if table.note:
        console.print(Text(table.note, style="dim"))


def _figure(one: "Figure | None", write: Callable[[float], str]) -> Text:
    if one is None:
        return Text("-", style="dim")
    text = Text(write(one.value))
    if one.interval is not None:
        ends = " to ".join(write(end).rstrip("%") for end in (one.interval.low, one.interval.high))
        text.append(f" ({ends})", style="dim")
    return text


_WRITTEN: dict[str, Callable[[float], str]] = {
    "share": lambda value: f"{100 * value:.0f}%", "nats": lambda value: f"{value:.2f}",
    "rank": lambda value: f"{value:,.0f}",
    "number": lambda value: f"{value:,.{0 if value == int(value) else 2}f}",
}  # fmt: skip
