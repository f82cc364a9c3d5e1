"""`preferably label import`, `export`, `copy` and `agreement`: the store of judgments."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.console import Console
from rich.text import Text

from preferably.cli import label_serving
from preferably.errors import ConfigError

if TYPE_CHECKING:
    from preferably.feedback.store.store import Store

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
    labeler: Annotated[str, typer.Option(help="who judged the rows that name nobody")] = "",
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
        found, account = rows_in(
            rows, labeler=labeler, labeler_kind=labeler_kind, max_rejected=max_rejected,  # type: ignore[arg-type]
        )  # fmt: skip
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
    """Every judgment with its group, as JSON lines, from which `import` makes a store of the same judgments.

    Left out are replies of servers, groups that nobody judged, and what the labeling app keeps (people, tasks, turns):
    `label copy` takes all of it.
    """
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
    lead: Annotated[list[str] | None, typer.Option(help="a labeler who counts as a lead; may be given again")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="everything, for programs")] = False,
) -> None:
    """What the labels are worth: who agrees, who is reliable, who leans or drifts, which prompts are disputed."""
    from preferably.cli.agreement import print_worth
    from preferably.feedback.store.labels_read import worth_in
    from preferably.feedback.store.store import Store

    with Store(store, create=False) as opened:
        found = worth_in(opened, leads=lead or [])
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False, indent=2))
    else:
        print_worth(Console(highlight=False), found)


def _told(store: "Store") -> str:
    counts = store.counts()
    corrected = f", {counts['superseded']:,} of them corrected since" if counts["superseded"] else ""
    return f"{store.name} holds {counts['judgments']:,} judgments about {counts['items']:,} groups{corrected}."
