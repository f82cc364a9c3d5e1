"""What all pages share: templates in which every text is escaped, scripts by their hash, one file written whole."""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from preferably.errors import ConfigError
from preferably.reporting.charts import Chart, library
from preferably.reporting.figures import count, duration, percent, plural
from preferably.reporting.run_files import Record
from preferably.reporting.visible import shown


def write_page(target: Path, template: str, values: dict[str, Any]) -> Path:
    """Renders `template` to `target` and returns it; a `ConfigError` where nothing can be written there."""
    page = environment().get_template(template).render(values)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")
        os.replace(unfinished, target)  # a reader never sees half a page
    except OSError as error:
        raise ConfigError(f"Cannot write {target}: {error.strerror or error}; give another place.") from None
    return target


def shell(scripts: Sequence[str], *, connect: bool = False) -> dict[str, Any]:
    """What `base.html.j2` asks for: style, the named scripts after the chart library, and the policy that lets only
    these run. With `connect` the page may ask the server that it came from.
    """
    style = Markup(_asset("style.css"))
    sources = [Markup(library()), *(Markup(_asset(name)) for name in scripts)] if scripts else []
    allowed = " ".join(_hash(source) for source in sources) or "'none'"
    asks = "connect-src 'self'; " if connect else ""
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {allowed}; img-src data:; {asks}"
        "base-uri 'none'; form-action 'none'"
    )
    return {"style": style, "scripts": sources, "policy": Markup(policy)}


def data_block(charts: Sequence[Chart]) -> Markup:
    """The specs of `charts` by slug, as JSON that cannot end the element that it stands in."""
    written = json.dumps(specs(charts), ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def specs(charts: Sequence[Chart]) -> dict[str, Record]:
    """The specs of `charts` by slug."""
    return {chart.slug: chart.spec for chart in charts}


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return files("preferably.reporting").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Everything that a template prints goes through `shown`: escaped, hidden characters drawn."""
    made = Environment(
        loader=PackageLoader("preferably.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"count": count, "plural": plural, "percent": percent, "duration": duration, "large": _large}
    return made


def _large(win_rate: float | None) -> Markup:
    """The headline figure with a smaller sign."""
    written = percent(win_rate)
    return Markup("{}<small>%</small>").format(written[:-1]) if written.endswith("%") else Markup(written)
