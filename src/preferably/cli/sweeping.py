"""`preferably sweep`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from preferably.cli.training import flags, once, pair
from preferably.config import ALIASES
from preferably.errors import ConfigError


def sweep(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="dpo, kto, ... (see `preferably methods`)")],
    model: Annotated[str, typer.Option(help="directory, run directory or hub id to start from")],
    data: Annotated[list[str], typer.Option(help="file of feedback; may be given again")],
    output: Annotated[str, typer.Option(help="directory for all runs")],
    judge: Annotated[str, typer.Option(help="module:function, a judge's .yaml file, or a reward model")],
    grid: Annotated[list[str], typer.Option(help="setting=value,value,...; may be given again")],
    prompts: Annotated[str | None, typer.Option(help="held-out prompts; default: those that the runs hold out")] = None,
    samples: Annotated[int, typer.Option(help="answers per prompt")] = 4,
    temperature: Annotated[float, typer.Option(help="of both models; 0 is greedy")] = 0.7,
    max_tokens: Annotated[int, typer.Option(help="longest answer, tokens")] = 256,
    limit: Annotated[int | None, typer.Option(help="judge on only so many prompts")] = None,
) -> None:
    """Train at every combination of settings; win rate against KL, and which to take. The same command goes on."""
    from preferably.cli.watching import watching
    from preferably.pipeline.sweep import sweep as run

    chosen: dict[str, list[str]] = {}
    for name, value in map(pair, grid):  # the values of a setting that is given again are joined
        chosen.setdefault(ALIASES.get(name, name), []).extend(value if isinstance(value, list) else value.split(","))
    if any(not part.strip() for parts in chosen.values() for part in parts):
        raise ConfigError("--grid takes setting=value,value,...; one of the values is empty.")
    with watching() as watch:
        found = run(
            method, model=model, data=data, output=output, grid=chosen, judge=judge, prompts=prompts, samples=samples,
            temperature=temperature, max_tokens=max_tokens, limit=limit, progress=watch.training,
            **once(flags(list(context.args))),
        )  # fmt: skip
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in ("", *chosen, "KL", "win rate", "95%", "warnings"):
        table.add_column(title, justify="left" if title in ("", "warnings") else "right")
    front = {point.path for point in found.frontier}
    for point in found.points:
        mark = "*" if point.path in front else ""
        figures = ["-", "-", escape(point.reason[:60])]
        if point.measured and point.interval is not None:
            low, high = point.interval
            figures = [f"{point.kl:.2f}", f"{point.win_rate:.3f}", f"{low:.3f} to {high:.3f}"]
        said = [f"{value:g}" if isinstance(value, float) else str(value) for value in point.settings.values()]
        table.add_row(mark, *said, *figures, ", ".join((*point.warnings, *point.flagged)))
    console.print(table)
    console.print("\n* on the frontier: no other point wins more at no more KL")
    if found.stopped_by is not None:
        console.print("asked to stop; the same command goes on")
        raise typer.Exit(128 + found.stopped_by)
    best = found.recommendation
    name = f"[bold]{escape(best.point.name)}[/bold]" if best.point else "none of these settings"
    console.print(f"take {name}: {escape(best.reason)}", soft_wrap=True)
    for hint in best.hints:
        console.print(f"  {escape(hint)}", soft_wrap=True)
    console.print(Text(f"page    {Path(output) / 'sweep.html'}"), soft_wrap=True)
