"""`preferably train` and `preferably methods`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from preferably.config import ALIASES, TrainSettings, read_yaml, settings
from preferably.errors import ConfigError
from preferably.methods import METHODS

if TYPE_CHECKING:
    from preferably.training.plan import Plan

SEVERAL = ("data", "held_out_data", "reward", "ptx_data")  # that can be given more than once
OWN = {"method", "model", "data", "output"}


def _listing() -> str:
    """Every further setting on a line, from the one table of settings."""
    lines = []
    for name, field in TrainSettings.model_fields.items():
        if name in OWN:
            continue
        default = "" if field.default is None or field.default == () else f" \\[{field.default}]"
        lines.append(f"[cyan]--{name.replace('_', '-')}[/cyan]{default}  {field.description}")
    return "[bold]Settings[/bold], each also as --set name=value or in the settings file:\n\n" + "\n\n".join(lines)


EPILOG = _listing()


def train(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="sft, dpo, ipo, ... (see `preferably methods`)")],
    file: Annotated[Path | None, typer.Argument(help="a YAML file of settings")] = None,
    model: Annotated[list[str] | None, typer.Option(help="directory, run directory or hub id to start from")] = None,
    data: Annotated[list[str] | None, typer.Option(help="file of feedback; may be given again")] = None,
    output: Annotated[list[str] | None, typer.Option(help="run directory to write")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name=value, any setting")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in --output")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done, held in memory and taken in time, and leave")
    ] = False,
) -> None:
    """Train a model on feedback, and write a run directory with the model and a report."""
    # An argument that looks like a setting of the extra flags is one: click hands `FILE` whatever comes first.
    extra = list(context.args)
    if file is not None and str(file).startswith("--"):
        extra, file = [str(file), *extra], None
    own = (("model", model), ("data", data), ("output", output))
    given = [(name, value) for name, values in own for value in values or ()]
    # Flags win over the file, whatever name either uses for a setting.
    values: dict[str, Any] = once(read_yaml(file).items()) if file is not None else {}
    if values.get("method", method) != method:
        raise ConfigError(f"{file} says method {values['method']!r}, the command {method!r}; make them agree.")
    values |= once([*given, *flags(extra), *map(pair, set_ or [])])
    for name in ("model", "output"):
        if not values.get(name):
            raise ConfigError(
                f"--{name} is missing; for example: preferably train dpo --model M --data D --output runs/1."
            )
    values.pop("method", None)
    processes = settings({"method": method} | values).processes

    from preferably.training import parallel

    if processes > 1 == parallel.world() and not dry_run:
        from preferably.cli.launching import launch

        raise typer.Exit(launch(processes, ["-m", "preferably", *sys.argv[1:]]))

    from preferably import api
    from preferably.cli.watching import watching

    if dry_run:
        if parallel.is_main():
            _show(api.plan(method, **values))
        return

    with parallel.together(), watching(quiet=not parallel.is_main()) as watch:
        run = api.train(method, resume=resume, progress=watch.training(f"train {method}"), **values)
    console = Console(highlight=False, quiet=not parallel.is_main())
    console.print(f"{run.state.reason or 'finished'} after {run.state.step} steps")
    if run.stopped_by is not None:
        console.print("go on with it: the same command and --resume")
        raise typer.Exit(128 + run.stopped_by)
    console.print(Text(f"model   {run.model}\nreport  {run.path / 'report.html'}"), soft_wrap=True)


def _show(plan: "Plan") -> None:
    """Print what a run would do; a `ConfigError` if it would not fit, as the run itself gives."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, figures in plan.lines():
        table.add_row(f"[bold]{name}[/bold]", escape(figures))
    Console(highlight=False).print(table)
    if plan.refused:
        raise ConfigError(plan.refused)


def once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Settings under our names; `loss_type` stays, for what it means depends on the method.

    Lists of files are collected; any other setting that is there twice is a `ConfigError`.
    """
    values: dict[str, Any] = {}
    spelt: dict[str, str] = {}
    for given, value in pairs:
        name = given if given == "loss_type" else ALIASES.get(given, given)
        if name in SEVERAL:
            value = [*values.get(name, ()), *(value if isinstance(value, list) else [value])]
        elif name in values:
            raise ConfigError(
                f"A setting was given twice: {spelt[name]} = {values[name]} and {given} = {value}; give it once."
            )
        values[name], spelt[name] = value, given
    return values


def flags(arguments: list[str]) -> list[tuple[str, Any]]:
    """`--name value`, `--name=value`, and `--name` alone for true."""
    pairs = []
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--"):
            raise ConfigError(f"Did not expect {flag!r}; settings are given as --name value.")
        name, equals, value = flag[2:].partition("=")
        if not equals:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        pairs.append((name.replace("-", "_"), _value(name.replace("-", "_"), value)))
    return pairs


def pair(text: str) -> tuple[str, Any]:
    """`name=value`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes name=value; got {text!r}.")
    return name.strip(), _value(name, value.strip())


def _value(name: str, value: str) -> Any:
    """Tuples are written with commas; all else is converted where settings are checked."""
    return value.split(",") if name in ("betas", "held_out_data", "eval_data") else value


def methods() -> None:
    """The table of methods: what each needs, its settings, its paper."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 1, 0))
    for row in METHODS.values():
        takes = ", ".join(f"{name} {bounds.default:g}" for name, bounds in row.hyperparameters.items()) or "none"
        needs = f"needs {row.feedback}" + (", a reference" if row.reference else "")
        table.add_row(f"[bold]{row.name}[/bold]", f"{row.about}\n[dim]{needs}; settings: {takes}\n{row.paper}[/dim]")
    Console(highlight=False).print(table)
