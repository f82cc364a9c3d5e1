"""`preferably reward fit` and `explain`, and what `evaluate --reward-model` prints."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from preferably.errors import ConfigError, DataError

if TYPE_CHECKING:
    from preferably.evaluation.attribution import Explained
    from preferably.evaluation.rewards import RewardReport
    from preferably.statistics.shares import Share

app = typer.Typer(help="Fit a reward model to few verdicts, or look into one.", no_args_is_help=True)
STRONGEST, LEAST = 5, 0.5  # pieces of a text that are listed, and the share of the strongest's effect that they need
COLOURS = {3: "on green4", 2: "on dark_green", 1: "green", -1: "red", -2: "on dark_red", -3: "on red3"}


@app.command("fit")
def fit(
    model: Annotated[str, typer.Option(help="a language model, which stays as it is: the SFT model, say")],
    data: Annotated[list[str], typer.Option(help="comparisons: a file, or a store; may be given again")],
    output: Annotated[Path, typer.Option(help="run directory to write")],
    held_out: Annotated[float, typer.Option(min=0, help="share of prompts to hold out, or a count from 1 on")] = 0.1,
    aggregate: Annotated[str, typer.Option(help="how several labelers' verdicts count: majority or posterior")] = (
        "majority"
    ),
    seed: Annotated[int, typer.Option(help="of what is held out")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
) -> None:
    """Fit a reward to a few hundred verdicts, in seconds: linear in the states and log-probs of a language model."""
    from preferably import api
    from preferably.cli.watching import watching

    with watching() as watch:
        how: dict[str, Any] = {"held_out": held_out, "aggregate": aggregate, "seed": seed, "device": device}
        fitted, report = api.fit_reward(model, data=data, output=output, progress=watch.training("reward fit"), **how)
    console = Console(highlight=False)
    if report is not None:
        show(report)
    console.print(f"fitted to {fitted.verdicts:,} comparisons\nmodel   {fitted.model}", soft_wrap=True)


@app.command("explain")
def explain(
    model: Annotated[str, typer.Option(help="the reward model, or its run directory")],
    prompt: Annotated[str | None, typer.Option(help="what was asked")] = None,
    completion: Annotated[list[str] | None, typer.Option(help="an answer; give two to compare them")] = None,
    data: Annotated[str | None, typer.Option(help="a file of comparisons to take the prompt and answers from")] = None,
    row: Annotated[int, typer.Option(help="which one in --data, from 1")] = 1,
    by: Annotated[str, typer.Option(help="sentences or words")] = "sentences",
    output: Annotated[Path | None, typer.Option(help="page to write")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
) -> None:
    """Why does the reward model prefer this one? The score of every axis, and what each piece of the text adds."""
    from preferably import api

    if by not in ("sentences", "words"):
        raise ConfigError(f"--by is sentences or words; got {by!r}.")
    group = _asked(prompt, completion, data, row)
    found = api.explain(model, group, by=by, output=output, device=device)  # type: ignore[arg-type]
    console = Console(highlight=False)
    taken_apart = [one.pieces for one in found.completions if len(one.pieces) > 1]
    most = max((abs(piece.total) for pieces in taken_apart for piece in pieces), default=0.0)
    for index, one in enumerate(found.completions):
        console.print(_title(index, one, found.axes))
        console.print(_shaded(one, most if len(one.pieces) > 1 else 0.0), soft_wrap=False)
        if len(one.pieces) > 1:
            console.print(_strongest(one, found.axes))
        console.print()
    if output is not None:
        console.print(Text(f"page  {output}"), soft_wrap=True)


def _asked(prompt: str | None, completion: list[str] | None, data: str | None, row: int):  # type: ignore[no-untyped-def]
    from preferably.data.load import load_feedback
    from preferably.feedback.records import Completion, Group, Message

    if data is not None:
        if prompt is not None or completion:
            raise ConfigError("Give either --data, or --prompt and --completion.")
        records = load_feedback([data], "rankings", max_rejected=1.0).records
        if not 1 <= row <= len(records):
            raise ConfigError(f"--row is 1 to {len(records)}; got {row}.")
        return records[row - 1].group
    if prompt is None or not completion:
        raise ConfigError("Give --prompt and one --completion or more, or --data FILE.")
    if not prompt.strip() or not all(one.strip() for one in completion):
        raise DataError("The prompt, or a completion, is empty.")
    answers = tuple(Completion((Message("assistant", one),)) for one in completion)
    return Group((Message("user", prompt),), answers)


def _title(index: int, one: "Explained", axes: tuple[str, ...]) -> Text:
    title = Text(f"{chr(ord('A') + index)}  ", style="bold")
    title.append(f"{one.total:+.3f}", style="bold")
    for name, value in zip(axes, one.axes, strict=True) if len(axes) > 1 else ():
        title.append(f"  {name} {value:+.3f}", style="dim")
    title.append(f"  (its pieces add up to {one.together:+.3f})", style="dim")
    return title


def _shaded(one: "Explained", most: float) -> Text:
    from preferably.data.accounting import printable
    from preferably.reporting.explanation import shade

    text = Text()
    for piece in one.pieces:
        level = shade(piece.total, most)
        written = "".join(part if part == "\n" else printable(part) for part in piece.text)
        text.append(written, style=COLOURS.get(level, ""))
        if abs(level) == 3:
            text.append(f"[{piece.total:+.2f}]", style="dim")
    return text


def _strongest(one: "Explained", axes: tuple[str, ...]) -> Table:
    """The pieces that count most, with what each adds in all and, where there are several, on every axis."""
    from preferably.data.accounting import printable

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    named = axes if len(axes) > 1 else ()
    for name in ("adds", *named):
        table.add_column(Text(name), justify="right")
    table.add_column("strongest pieces", max_width=60, no_wrap=True, overflow="ellipsis")
    ordered = sorted(one.pieces, key=lambda piece: -abs(piece.total))
    least = LEAST * abs(ordered[0].total) if ordered else 0.0
    for piece in [piece for piece in ordered if abs(piece.total) >= least][:STRONGEST]:
        values = (piece.total, *(piece.axes if named else ()))
        table.add_row(*(f"{value:+.3f}" for value in values), Text(printable(" ".join(piece.text.split()))))
    return table


def show(report: "RewardReport") -> None:
    """Print what `evaluate --reward-model` found."""
    from preferably.evaluation.rewards import FEW

    console = Console(highlight=False)
    found = report.accuracy
    console.print(
        f"accuracy [bold]{found.value:.3f}[/bold] \\[{found.interval.low:.3f}, {found.interval.high:.3f}] on "
        f"{report.pairs} pairs; {report.ties} ties, {report.unread} records that it cannot read"
    )
    if report.ceiling is not None and report.agreement is not None:
        console.print(
            f"two labelers agree on {report.agreement.value:.1%} of what both judged, so about {report.ceiling:.1%} is "
            "the most that can be reached against one of them", soft_wrap=True,
        )  # fmt: skip
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "", "accuracy", "95%", "pairs"):
        table.add_column(name, justify="left" if not name else "right")
    tables = {"axis": report.axes} | report.by | {"without a model": report.baselines}
    for title, cells in tables.items():
        for index, (name, cell) in enumerate(cells.items()):
            table.add_row(f"[bold]{title if not index else ''}[/bold]", escape(name), *_row(cell))
    console.print(table)
    if calibrated := report.calibration:
        console.print(
            f"calibration error {calibrated.error:.3f} \\[{calibrated.interval[0]:.3f}, {calibrated.interval[1]:.3f}]; "
            f"with its margins divided by {calibrated.temperature:.2f} (fitted on every other pair) "
            f"{calibrated.error_after:.3f} on the rest", soft_wrap=True,
        )  # fmt: skip
    else:
        console.print(f"calibration is not told: that takes {FEW} records or more", style="dim", soft_wrap=True)


def _row(cell: "Share") -> tuple[str, str, str]:
    return f"{cell.value:.3f}", f"{cell.interval.low:.3f} to {cell.interval.high:.3f}", f"{cell.n:,}"
