"""`preferably label import`, `export`, `copy` and `agreement`: the store of judgments."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from preferably.cli import label_serving
from preferably.errors import ConfigError, DataError

if TYPE_CHECKING:
    from preferably.feedback.store.store import Store
    from preferably.feedback.worth import Agreement
    from preferably.statistics.shares import Share

app = typer.Typer(help="The store of judgments, and the app in which people judge.", no_args_is_help=True)
app.command("serve")(label_serving.serve)
app.command("queue")(label_serving.queue)
app.command("invite")(label_serving.invite)

DEFAULT = label_serving.DEFAULT
StoreName = label_serving.StoreName


@app.command("import")
def import_(
    files: Annotated[list[str], typer.Argument(help="files of feedback, or what `export` wrote", show_default=False)],
    store: StoreName = DEFAULT,
    labeler_kind: Annotated[str, typer.Option(help="who judged: human, model or rule")] = "human",
    max_rejected: Annotated[float, typer.Option(help="the share of rows at fault from which nothing is kept")] = 0.01,
) -> None:
    """Keep the judgments of files, of all of them or of none; importing a file twice adds nothing."""
    from preferably.data.importing import export_in, is_export, rows_in
    from preferably.feedback.store.entry import LabelerKind
    from preferably.feedback.store.naming import is_store
    from preferably.feedback.store.store import Store

    if labeler_kind not in get_args(LabelerKind):
        raise ConfigError(f"--labeler-kind is human, model or rule; got {labeler_kind!r}.")
    for name in filter(is_store, files):
        raise ConfigError(
            f"{name} is a store itself: `preferably label copy` copies it whole, `label export` writes lines that can "
            "be imported into another one."
        )
    exports = [name for name in files if is_export(name)]
    rows = [name for name in files if name not in exports]
    console = Console(highlight=False)
    entries = []
    for name in exports:
        found = export_in(name)
        console.print(Text(f"{name}: {len(found):,} judgments of a store"), soft_wrap=True)
        entries += found
    if rows:
        found, account = rows_in(rows, labeler_kind=labeler_kind, max_rejected=max_rejected)  # type: ignore[arg-type]
        console.print(Text(account.describe()), soft_wrap=True)
        entries += found
    with Store(store) as opened:  # once everything is read: what cannot be leaves no store behind
        before = opened.counts()["judgments"]
        opened.say(entries)
        added = opened.counts()["judgments"] - before
        console.print(Text(f"{added:,} judgments added. {_told(opened)}"), soft_wrap=True)


@app.command()
def export(
    output: Annotated[Path, typer.Option(help="a new file of JSON lines, also with .gz")],
    store: StoreName = DEFAULT,
) -> None:
    """Everything in the store as JSON lines, from which `import` makes a store of the same judgments."""
    from preferably.data.writers import write_rows
    from preferably.feedback.store.moving import lines_of
    from preferably.feedback.store.store import Store

    if not output.name.removesuffix(".gz").endswith(".jsonl"):
        raise ConfigError(f"--output is a file of JSON lines, NAME.jsonl; got {output}.")
    with Store(store, create=False) as opened:
        write_rows(lines_of(opened), output)
        Console(highlight=False).print(Text(f"{output} written. {_told(opened)}"), soft_wrap=True)


@app.command("copy")
def copy(
    source: Annotated[str, typer.Argument(help="the store: a file or a URL")],
    target: Annotated[str, typer.Argument(help="where there is none yet: a file or a URL")],
) -> None:
    """A backup of a store, or its move to another database, also while it is in use."""
    from preferably.feedback.store.moving import copy_store

    counts = copy_store(source, target)
    said = f"{counts['judgments']:,} judgments about {counts['items']:,} groups copied to {target}"
    Console(highlight=False).print(Text(said), soft_wrap=True)


@app.command()
def agreement(
    store: StoreName = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="everything, for programs")] = False,
) -> None:
    """How far labelers agree, beyond what chance would give; who is reliable, and who has leanings."""
    from preferably.feedback.store.store import Store
    from preferably.feedback.worth import Said, worth_of

    with Store(store, create=False) as opened:
        judged = opened.judged()
        entries = opened.entries(superseded=False)
        said = [Said(one.group, one.judgment, one.seconds, one.shown) for one in entries if one.judgment.state == "ok"]
    if not said:
        raise DataError(f"The store {store} holds no verdict yet.")
    found = worth_of(judged, said)
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
    else:
        _print_agreement(Console(highlight=False), found)


def _print_agreement(console: Console, found: "Agreement") -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("questions", f"{found.questions:,}, {found.coefficients[0].units:,} of them answered by two or more")
    for one in found.coefficients:
        if one.value is None:
            table.add_row(one.name, f"not defined: {one.why}")
            continue
        span = f" \\[{one.interval.low:.2f}, {one.interval.high:.2f}]" if one.interval else f" ({one.why})"
        table.add_row(one.name, f"{one.value:.2f}{span}")
    if found.noise is not None:
        table.add_row("wrong verdicts", f"{found.noise:.0%}, if labelers err alike and independently")
    console.print(table)
    console.print()
    people = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    people.add_column("labeler", overflow="ellipsis", max_width=30)
    for name in ("judged", "agrees", "reliable", "first shown", "longer", "seconds"):
        people.add_column(name, justify="right")
    for person in found.labelers:
        people.add_row(
            Text(person.name or "(nobody named)"), f"{person.judged:,}", _share(person.agrees),
            "-" if person.reliability is None else f"{person.reliability:.0%}", _leaning(person.first),
            _leaning(person.longer), "-" if person.seconds is None else f"{person.seconds:.0f}",
        )  # fmt: skip
    console.print(people)
    console.print()
    for line in (
        "agrees       with others, of the questions that both answered",
        "reliable     the chance to be right, by the verdicts of all together",
        "first shown  of their choices between two, those of the one that was shown first; * more or less than half",
        "longer       those of the longer one; * more or less than half",
    ):
        console.print(Text(line, style="dim"), soft_wrap=True)


def _share(found: "Share | None") -> str:
    return "-" if found is None else f"{found.value:.0%}"


def _leaning(found: "Share | None") -> str:
    """A share that should be one half, marked where it is not (95%)."""
    leans = found is not None and 0.5 not in found.interval
    return _share(found) + ("[yellow]*[/yellow]" if leans else " ")


def _told(store: "Store") -> str:
    counts = store.counts()
    corrected = f", {counts['superseded']:,} of them corrected since" if counts["superseded"] else ""
    return f"{store.name} holds {counts['judgments']:,} judgments about {counts['items']:,} groups{corrected}."
