"""What the terminal says of the models that decided."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from preferably.judging.described import Decider


def show(console: Console, deciders: "Sequence[Decider]") -> None:
    """Which model on which server, what asking it took, and what the server cannot do; nothing of a function or of a
    model here."""
    for one in (one for one in deciders if one.server is not None):
        cost = "" if one.cost is None else f", a cost of {one.cost:.4g}"
        console.print(
            Text(f"{one.model} at {one.server}: {one.requests:,} requests, {one.tokens:,} tokens{cost}"), soft_wrap=True
        )
        for doubt in one.doubts:
            console.print(Text(f"  {doubt}", style="dim"), soft_wrap=True)
