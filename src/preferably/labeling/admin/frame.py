"""What every page of the admins' is set in."""

import shlex
from typing import Any

from starlette.responses import RedirectResponse, Response

from preferably.errors import ConfigError
from preferably.labeling.desk import Visit
from preferably.labeling.figures import Figures

SITES = (
    ("/admin", "Overview"), ("/admin/agreement", "Agreement"), ("/admin/disagreements", "Disagreements"),
    ("/admin/tasks", "Tasks"), ("/admin/train", "Training"), ("/admin/people", "People"),
    ("/admin/demographics", "Demographics"),
)  # fmt: skip
LARGEST = 2**53


def page(visit: Visit, template: str, **values: Any) -> Response:
    """A page of the admins'."""
    return visit.page(template, sites_of_admins=SITES, store=visit.desk.store.name, **values)


def figures(visit: Visit) -> Figures:
    """The figures that take a while."""
    found: Figures = visit.request.app.state.figures
    return found


def query(visit: Visit) -> list[tuple[str, str]]:
    """What stands behind the ? of the address."""
    return list(visit.request.query_params.multi_items())


def back(address: str) -> Response:
    """Where one goes once something was done."""
    return RedirectResponse(address, 303)


def field(visit: Visit, name: str, most: int = 200) -> str:
    """A field of a form. Raises `ConfigError` where it is missing or too long."""
    value = visit.body.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise ConfigError(f"The form has no {name} of up to {most} characters.")
    return value.strip()


def whole(text: str, what: str) -> int:
    """A whole number from 0. Raises `ConfigError` for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) < LARGEST):
        raise ConfigError(f"{what} is a whole number; got {text!r:.40}.")
    return int(text)


def first_command(visit: Visit) -> str:
    """What queues the first tasks."""
    store, overlap = visit.desk.store.name, str(visit.desk.project.overlap)
    return shlex.join(("preferably", "label", "queue", "pairs.jsonl", "--store", store, "--overlap", overlap))
