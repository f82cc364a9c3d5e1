"""What the terminal says of replies that can win without being good."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from preferably.evaluation.flags import Flag

SIDES = {"model": "the model", "against": "what it is compared with"}


def show(console: Console, flags: "Sequence[Flag]", sides: Mapping[str, str] = SIDES) -> None:
    """The flags that warn, with examples; `sides` are what to call the two, those of others are left out."""
    from preferably.data.accounting import printable

    for flag in (flag for flag in flags if flag.warns and flag.side in sides):
        line = Text.assemble((f"warning ({flag.kind}): ", "yellow"), f"{sides[flag.side]}: {flag.message}.")
        console.print(line, soft_wrap=True)
        for example in flag.examples:
            console.print(Text(f"  {printable(example)}", style="dim"), soft_wrap=True)
