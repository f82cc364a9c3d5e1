"""`preferably label import`, `export` and `copy`: the store of judgments."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from preferably.errors import ConfigError

if TYPE_CHECKING:
    from preferably.feedback.store.store import Store

app = typer.Typer(help="The store of judgments: what people, judges and rules said.", no_args_is_help=True)

DEFAULT = "preferably.db"
StoreName = Annotated[str, typer.Option(help="a file, or postgresql://user@host/name")]


@app.command("import")
def import_(
    files: Annotated[list[str], typer.Argument(help="files of feedback, or what `export` wrote", show_default=False)],
    store: StoreName = DEFAULT,
    labeler_kind: Annotated[str, typer.Option(help="who judged: human, model or rule")] = "human",
    max_rejected: Annotated[float, typer.Option(help="the share of rows at fault from which nothing is kept")] = 0.01,
) -> None:
    """Keep the judgments of files; importing a file twice adds nothing."""
    from preferably.data.importing import import_export, import_rows, is_export
    from preferably.feedback.store.store import Store

    if labeler_kind not in ("human", "model", "rule"):
        raise ConfigError(f"--labeler-kind is human, model or rule; got {labeler_kind!r}.")
    exports = [name for name in files if is_export(name)]
    rows = [name for name in files if name not in exports]
    console = Console(highlight=False)
    with Store(store) as opened:
        before = opened.counts()["judgments"]
        for name in exports:
            console.print(Text(f"{name}: {import_export(name, opened):,} judgments of a store"), soft_wrap=True)
        if rows:
            account = import_rows(rows, opened, labeler_kind=labeler_kind, max_rejected=max_rejected)  # type: ignore[arg-type]
            console.print(Text(account.describe()), soft_wrap=True)
        added = opened.counts()["judgments"] - before
        console.print(Text(f"{added:,} judgments added. {_told(opened)}"), soft_wrap=True)


@app.command()
def export(
    output: Annotated[Path, typer.Option(help="a new file of JSON lines, also with .gz")],
    store: StoreName = DEFAULT,
) -> None:
    """Everything in the store as JSON lines, from which `import` makes the same store again."""
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
    """A backup of a store, or its move to another database, also while it is in use; every row is verified."""
    from preferably.feedback.store.moving import copy_store

    counts = copy_store(source, target)
    said = f"{counts['judgments']:,} judgments about {counts['items']:,} groups copied to {target}, row for row"
    Console(highlight=False).print(Text(said), soft_wrap=True)


def _told(store: "Store") -> str:
    counts = store.counts()
    corrected = f", {counts['superseded']:,} of them corrected since" if counts["superseded"] else ""
    return f"{store.name} holds {counts['judgments']:,} judgments about {counts['items']:,} groups{corrected}."
