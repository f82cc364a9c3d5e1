"""The model card of a run: what was measured and what was trained, and nothing that the files do not say."""

import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from preferably.methods import METHODS
from preferably.reporting import audits, result, reward, scrutiny
from preferably.reporting.account import account, data_of, key_settings, method_of, model_of, row_of, stage
from preferably.reporting.curves import bad_steps
from preferably.reporting.figures import percent, plural
from preferably.reporting.report import win_rate_command
from preferably.reporting.run_files import RunFiles, read_run, text
from preferably.reporting.visible import plain

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
LONGEST = 300  # characters of one text in the card


def write_card(run: Path) -> Path:
    """Writes `run/MODEL_CARD.md` and returns its path; a copy goes to `run/model/README.md` where that folder exists.

    A README.md that is there already and is no card of ours is left alone.
    """
    target = run / "MODEL_CARD.md"
    target.write_text(card(run), encoding="utf-8")
    readme = run / "model" / "README.md"
    if readme.parent.is_dir() and (not readme.exists() or "preferably-card" in readme.read_text(errors="replace")):
        shutil.copyfile(target, readme)
    return target


def card(run: Path, library: str = "transformers") -> str:
    """The card of the run in `run`, as Markdown; `library` is what loads the model that it goes with."""
    read = read_run(run)
    return _environment().get_template("card.md.j2").render(_facts(read) | {"front": Markup(_front(read, library))})


def _facts(run: RunFiles) -> dict[str, Any]:
    axes = result.axes(run)
    return {
        "name": run.name,
        "run": run,
        "method": row_of(run),
        "method_name": method_of(run),
        "model": model_of(run),
        "data_name": data_of(run),
        "settings": key_settings(run),
        "stage": stage(run),
        "state": text(run.status, "state"),
        "reward": reward.told(run),
        "headline": result.headline(run),
        "decodings": result.decodings(run),
        "controlled": scrutiny.controlled(run.win_rate),
        "sliced": scrutiny.sliced(run.win_rate),
        "flagged": scrutiny.flagged(run.win_rate),
        "command": win_rate_command(run),
        "axes": axes,
        "audits": audits.told(run),
        "fallen": result.fallen(axes),
        "account": account(run),
        "readiness": result.readiness(run.readiness),
        "preference_accuracy": result.facts(run.preference_accuracy),
        "warnings": [(text(record, "code"), text(record, "message")) for record in run.warnings],
        "bad_steps": bad_steps(run.metrics),
        "versions": result.facts(run.environment),
    }


def _front(run: RunFiles, library: str) -> str:
    """The metadata that hubs read: only what is known. A path on this machine is no base model."""
    front: dict[str, Any] = {
        "library_name": library,
        "pipeline_tag": "text-classification" if _scores(run) else "text-generation",
    }
    if HUB_NAME.fullmatch(model_of(run)) and not Path(model_of(run)).exists() and not model_of(run).endswith("/model"):
        front["base_model"] = model_of(run)
    front["tags"] = ["preferably", *([method_of(run)] if method_of(run) in METHODS else [])]
    written: str = yaml.safe_dump(front, sort_keys=False)
    return written.rstrip()


def _scores(run: RunFiles) -> bool:
    return (row := row_of(run)) is not None and row.scores


def in_markdown(value: object) -> str:
    """Text of others as one line of Markdown that means nothing but itself: no markup, HTML, link or table cell."""
    line = plain(value)
    line = line if len(line) <= LONGEST else line[:LONGEST] + "…"
    return re.sub(r"([\\`*_{}\[\]<>#|~$&])", r"\\\1", line)


def in_code(value: object) -> str:
    """Text of others in a code span; as plain text where it has characters that a code span cannot hold."""
    line = plain(value)
    return in_markdown(line) if not line or len(line) > LONGEST or set("`|<\\") & set(line) else f"`{line}`"


@cache
def _environment() -> Environment:
    """Every text that the template prints goes through `in_markdown` unless the template asked for code."""
    environment = Environment(
        loader=PackageLoader("preferably.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else Markup(in_markdown(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "plural": plural, "code": lambda value: Markup(in_code(value))}
    environment.filters |= {"line": lambda value: Markup(plain(value)), "link": Markup}
    return environment
