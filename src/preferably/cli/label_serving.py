"""`preferably label serve`, `queue` and `invite`: people judge in the browser."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from preferably.errors import ConfigError

DEFAULT = "preferably.db"
StoreName = Annotated[str, typer.Option(help="a file, or postgresql://user@host/name")]
ProjectFile = Annotated[
    Path | None, typer.Option(help="labeling.yaml: guidelines, rubric, examples, gold ... (docs/labeling.md)")
]


def serve(
    store: StoreName = DEFAULT,
    project: ProjectFile = None,
    port: Annotated[int, typer.Option(help="0 is any that is free")] = 8000,
    host: Annotated[str, typer.Option(help="the address to listen at; others than this machine's need HTTPS")] = (
        "127.0.0.1"
    ),
    name: Annotated[list[str] | None, typer.Option(help="a name that browsers know it by; may be repeated")] = None,
    behind_https: Annotated[bool, typer.Option(help="browsers come by HTTPS, through a proxy")] = False,
) -> None:
    """The labeling app. The first time it prints the link by which its first admin comes in."""
    desk_of, address_of = _server_parts()
    address = address_of(host, port, tuple(one.lower() for one in name or ()), behind_https)
    console = Console(highlight=False)
    with _opened(store) as opened:
        desk = desk_of(opened, _project(project), https=behind_https)

        def ready(url: str) -> None:
            console.print(Text(f"{desk.project.title}: {url}"), soft_wrap=True)
            if not any(person.role == "admin" and person.active for person in desk.people.all()):
                code = desk.people.invite("admin", by="the command line")
                console.print(Text(f"come in as its admin (works once): {url}/join#{code}"), soft_wrap=True)
            console.print(Text("Ctrl-C ends it.", style="dim"))

        from preferably.labeling.server import serve as answer

        answer(desk, address, ready)


def queue(
    files: Annotated[list[str], typer.Argument(help="rows with prompts and completions, as docs/data.md has them")],
    store: StoreName = DEFAULT,
    kind: Annotated[
        str | None, typer.Option(help="pair, ranking, rating, thumbs or edit; default: pair, of more than two ranking")
    ] = None,
    project: ProjectFile = None,
    overlap: Annotated[
        int | None, typer.Option(min=1, max=100, help="how many people answer each; default: what --project says, or 1")
    ] = None,
    priority: Annotated[float, typer.Option(help="larger comes first")] = 0.0,
    batch: Annotated[str, typer.Option(help="a name for these tasks; default: the first file's")] = "",
    gold: Annotated[bool, typer.Option(help="the rows' verdicts are known to be right: try labelers by them")] = False,
    max_rejected: Annotated[float, typer.Option(help="the share of rows at fault from which nothing is queued")] = 0.01,
) -> None:
    """Queue completions to be judged by people; what is queued already is not queued twice."""
    wanted = overlap or _project(project).overlap
    queue_rows(
        files, store, kind=kind, overlap=wanted, priority=priority, batch=batch, gold=gold, max_rejected=max_rejected
    )


def queue_rows(files: list[str], store: str, *, batch: str = "", **how: Any) -> None:
    """Queue the rows of files, and say what became of them."""
    from preferably.labeling.material import tasks_in
    from preferably.labeling.project import Project
    from preferably.labeling.queue import Queue

    console, name = Console(highlight=False), batch or Path(files[0]).name
    found, account = tasks_in(files, **how)
    console.print(Text(account.describe()), soft_wrap=True)
    with _opened(store) as opened:
        done = Queue(opened, Project()).add(found, name)
    known = f", {done['known']:,} were there already" if done["known"] else ""
    console.print(Text(f"{done['queued']:,} tasks queued in the batch {name}{known}"), soft_wrap=True)
    console.print(Text(f"preferably label serve --store {store}", style="dim"), soft_wrap=True)


def invite(
    url: Annotated[str, typer.Argument(help="what people open: as `serve` printed it")],
    store: StoreName = DEFAULT,
    role: Annotated[str, typer.Option(help="labeler, lead or admin")] = "labeler",
    group: Annotated[str, typer.Option(help="group of labelers, by which figures are told apart")] = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="how many links, one for each person")] = 1,
) -> None:
    """Links by which people come in, each of them once, within seven days."""
    from preferably.labeling.people import People

    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"The link begins with what people open, http:// or https://; got {url!r:.80}.")
    with _opened(store, create=False) as opened:
        people = People(opened)
        for _ in range(count):
            typer.echo(f"{url.rstrip('/')}/join#{people.invite(role, group, by='the command line')}")


def _opened(store: str, *, create: bool = True) -> Any:
    from preferably.feedback.store.store import Store

    return Store(store, create=create)


def _project(file: Path | None) -> Any:
    from preferably.labeling.project import read_project

    return read_project(file)


def _server_parts() -> tuple[Any, Any]:
    try:
        from preferably.labeling.desk import Desk
        from preferably.labeling.server import Address
    except ImportError as error:
        raise ConfigError(f"The labeling app needs {error.name}: pip install 'preferably[label]'.") from error
    return Desk, Address
