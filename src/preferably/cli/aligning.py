"""`preferably align` and `preferably init`."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from preferably.cli.audited import STYLES
from preferably.errors import ConfigError
from preferably.reporting.figures import duration, percent, plural

if TYPE_CHECKING:
    from preferably.cli.watching import Watch
    from preferably.pipeline.gates import Closed
    from preferably.pipeline.stages import Stage
    from preferably.training.closing import Progress

WIDE = 100  # columns of a terminal from which a plan has room beside its figures
MARKS = {"done": "done", "begun": "goes on", "new": "to do"}


def align(
    file: Annotated[Path, typer.Argument(help="the file of the job (preferably init writes one)")] = Path("align.yaml"),
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value, any key: train.0.beta=0.2")] = None,
    skip_gate: Annotated[
        list[str] | None,
        typer.Option("--skip-gate", help="ready or check: go on where it is closed; told in the report"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say which stages are to do, with time and memory where known, and leave")
    ] = False,
) -> None:
    """Do a whole job: SFT, readiness, preferences, their check, training, evaluation, audits, report.

    What is done with the same settings, data and models is not done again: after any end the same command goes on.
    """
    from preferably.pipeline.plan import read_align

    settings = read_align(file, dict(_change(text) for text in set_ or []))
    console = Console(highlight=False)
    if dry_run:
        return _outlook(console, settings, skip_gate or [])
    from preferably.cli.watching import watching
    from preferably.pipeline.align import align as run

    with watching() as watch:
        made = run(settings, watcher=_Watcher(watch), skip=skip_gate or [])
    if made.stopped_by is not None:
        console.print("asked to stop; the same command goes on")
        raise typer.Exit(128 + made.stopped_by)
    told = made.account.as_json(made.path)
    _print_rounds(console, told["rounds"])
    _print_audits(console, [one for one in told["stages"] if one["kind"] == "audit"])
    console.print(Text(f"report  {made.report}"), soft_wrap=True)


def _change(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes name=value; got {text!r}.")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        return name.strip(), value.strip()


class _Watcher:
    """What the terminal says of a job."""

    def __init__(self, watch: "Watch") -> None:
        self.watch = watch

    def begins(self, stage: "Stage", number: int, of: int, *, done: bool, moved: Path | None) -> None:
        """A line for the stage, and the command that does the same."""
        say = self.watch.console.print
        word = "[dim]done before[/dim]" if done else ""
        say(f"[bold]{number}/{of} {escape(stage.name)}[/bold] {word}".rstrip(), soft_wrap=True)
        if moved is not None:
            say(f"[dim]  what was made of other settings or data is in {escape(str(moved))}[/dim]", soft_wrap=True)
        if not done and stage.command:
            say(f"[dim]  by hand: {escape(stage.command)}[/dim]", soft_wrap=True)

    def closed(self, gate: "Closed", *, skipped: bool) -> None:
        """A gate that does not stop the job."""
        word = "skipped" if skipped else "warns only"
        self.watch.console.print(f"[yellow]gate {gate.gate} ({word}):[/yellow] {escape(str(gate))}", soft_wrap=True)

    def training(self, name: str) -> "Progress":
        """A line of progress."""
        return self.watch.training(name)

    def counting(self, name: str) -> tuple[Callable[[int], None], Callable[[int], None]]:
        """A line of progress of what is counted."""
        bars, task = self.watch.bars, self.watch.stage(name)
        return (lambda total: bars.update(task, total=total)), (lambda more: bars.advance(task, more))

    def note(self, text: str) -> None:
        """What is worth knowing."""
        self.watch.note(text)


def _outlook(console: Console, settings: Any, skip: list[str]) -> None:
    from preferably.pipeline.outlook import outlook

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("stage", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("memory", justify="right", no_wrap=True)
    beside = console.width >= WIDE  # else below, where words need not be broken
    if beside:
        table.add_column("what", overflow="fold")
    below: list[Text] = []
    refused, seconds, unknown, commands = "", 0.0, 0, []
    reasons: dict[str, None] = {}  # of many stages, told once
    for one in outlook(settings, skip=skip):
        done = one.state == "done"
        why = one.why
        if one.seconds is None and one.stage.kind not in ("sft", "train"):
            why, reasons = "", reasons | dict.fromkeys(filter(None, [one.why]))
        about = "; ".join(part for part in (one.work, one.refused or why) if part)
        time = duration(one.seconds) if one.seconds is not None else "not known"
        memory = "" if done else "not known" if one.memory is None else f"{one.memory / 1e9:.2f} GB"
        took = f"took {time}" if done else time
        said = Text(about, style="red" if one.refused else "")
        table.add_row(one.stage.name, MARKS[one.state], took, memory, *([said] if beside else []))
        if about and not beside:
            below.append(Text.assemble((f"{one.stage.name}: ", "bold"), said))
        refused = refused or (f"{one.stage.name}: {one.refused}" if one.refused else "")
        if not done:
            seconds, unknown = seconds + (one.seconds or 0.0), unknown + (one.seconds is None)
            commands.append(one.stage.command)
    console.print(table)
    if below:
        console.print()
    for text in below:
        console.print(text)
    rest = f", and {plural(unknown, 'stage')} of which it is not known" if unknown else ""
    console.print(f"\nto do: {duration(seconds)}{rest}" if commands else "\nnothing to do: every stage is done")
    for reason in reasons:
        console.print(Text(f"{reason}; a stage that is like one that is done is taken to last as long", style="dim"))
    if commands:
        console.print("\n[bold]the same by hand[/bold]")
    for command in filter(None, commands):
        console.print(Text(command), soft_wrap=True)
    if refused:
        raise ConfigError(refused)


def _print_rounds(console: Console, rounds: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("round", "model", "win rate", "95%", "verdict", "KL", "held out"):
        table.add_column(title, justify="left" if title in ("model", "verdict") else "right")
    for one in rounds:
        training, quality = one["training"], one["quality"] or {}
        interval = quality.get("interval")
        kl = training.get("objective/kl")
        table.add_row(
            str(one["round"]), escape(one["run"]), percent(quality.get("win_rate")),
            f"{percent(interval[0])} to {percent(interval[1])}" if interval else "-",
            quality.get("verdict", "not evaluated"), "-" if kl is None else f"{kl:.2f}",
            _held_out(training),
        )  # fmt: skip
    if rounds:
        console.print(table)


def _held_out(training: dict[str, Any]) -> str:
    """How well a training fits what it did not learn from."""
    named = {"eval_loss": "loss", "eval_objective/scores": "score"}
    return ", ".join(f"{word} {training[key]:.3f}" for key, word in named.items() if key in training) or "-"


def _print_audits(console: Console, stages: list[dict[str, Any]]) -> None:
    """Each audit of the models of the last round: its outcome and what it says."""
    last = max((one["round"] for one in stages), default=1)
    for one in (one for one in stages if one["round"] == last):
        figures = one["figures"]
        console.print()
        console.print(Text.assemble((one["name"], "bold"), "  ", (figures["outcome"], STYLES[figures["outcome"]])))
        console.print(Padding(Text(figures["verdict"]), (0, 0, 0, 2)))
    if stages:
        console.print()


def init(
    file: Annotated[Path, typer.Argument(help="the file to write; what it names goes beside it")] = Path("align.yaml"),
    recipe: Annotated[str | None, typer.Option(help="a complete job instead of the starter (--list)")] = None,
    list_: Annotated[bool, typer.Option("--list", help="name the recipes and leave")] = False,
) -> None:
    """Write a commented starter file for `preferably align`, or a recipe. Nothing is overwritten."""
    from preferably.pipeline.starter import recipes, write_starter

    console = Console(highlight=False)
    if list_:
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for name, about in recipes().items():
            table.add_row(f"[bold]{name}[/bold]", escape(about))
        return console.print(table)
    for place in write_starter(file, recipe):
        console.print(Text(f"written  {escape(str(place))}"), soft_wrap=True)
    where = "" if file.parent == Path() else f"cd {shlex.quote(str(file.parent))}; "
    named = "" if file.name == "align.yaml" else f" {shlex.quote(file.name)}"
    console.print("It says which files you supply; then look at what it would do:")
    console.print(f"  {where}preferably align{named} --dry-run", soft_wrap=True)
