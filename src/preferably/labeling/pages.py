"""Templates as responses: everything in them is escaped, and a name that is not there is an error."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from preferably.labeling.markdown import as_text, rendered
from preferably.labeling.project import Project

TEMPLATES = Path(__file__).parent / "templates"


class Pages:
    """The templates of a project's app."""

    def __init__(self, project: Project) -> None:
        self.environment = Environment(
            loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self.environment.filters |= {"markdown": rendered, "visible": as_text, "json": _json}
        self.environment.globals |= {"project": project}

    def page(self, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        """A page; `person` and `token` are those of the visit, None and empty at the door."""
        values = {"person": None, "token": "", "here": ""} | values
        return HTMLResponse(self.environment.get_template(template).render(**values), status_code)


def _json(value: Any) -> Markup:
    """JSON for the inside of a `script` of data: nothing in it can end that element."""
    text = json.dumps(value, ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
