"""What was made is kept: a stage's folder with the digest of all that it came from, and of all that came out."""

import glob
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from preferably.errors import CheckpointError
from preferably.evaluation.auditing import name_of
from preferably.judging.settings import is_judge_file, read_judges
from preferably.pipeline.contents import of_data, of_file, of_judge, of_model, of_store
from preferably.pipeline.stages import FINDINGS, JUDGMENTS, LABELERS, Input, Stage
from preferably.training.disk import sync, telling
from preferably.training.run_directory import RunDirectory

MARKER = "stage.json"
EARLIER = "earlier"  # in the output: what was made of other settings or data
READERS = {"data": of_data, "model": of_model, "judge": of_judge, "file": lambda name: of_file(Path(name))}
# What a stage makes that others read, by its kind; of a training it is the model, and of an audit a file of its name.
PRODUCTS = {"ready": ("readiness.json",), "sample": ("samples.jsonl",), "check": (FINDINGS, LABELERS),
            "evaluate": ("evaluation/win_rate.json", "samples.jsonl")}  # fmt: skip
SHOWN_BY_THE_RUN = ("evaluate", "audit")  # what these make, the run that they are about holds too
State = Literal["done", "begun", "new"]


@dataclass(slots=True)
class Kept:
    """What `stage.json` says."""

    digest: str = ""
    finished: bool = False
    seconds: float = 0.0  # of all tries
    tries: int = 0
    output: str = ""  # digest of what it made
    figures: dict[str, Any] = field(default_factory=dict)


def read_kept(stage: Stage) -> Kept:
    """The marker in the folder of a stage; an empty one where there is none. `CheckpointError` for one that is none."""
    file = stage.folder / MARKER
    if not file.exists():
        return Kept()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Kept(**{name: found[name] for name in Kept.__dataclass_fields__})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{file} cannot be read ({error}); move {stage.folder} away, and it is made anew."
        ) from error


def keep(stage: Stage, kept: Kept) -> None:
    """Write the marker, whole or not at all."""
    values = {name: getattr(kept, name) for name in Kept.__dataclass_fields__}
    RunDirectory(stage.folder).write_json(MARKER, {"stage": stage.name, "command": stage.command} | values)


def digest_of(stage: Stage, outputs: Mapping[str, str]) -> str:
    """The digest of all that decides what a stage makes: its settings, the contents of what it reads from outside, and
    the `outputs` of the stages that it needs. Names of files and folders are no part of it, but for that by which a
    function or a reward model is a labeler."""
    read = [[one.role, outputs[one.stage] if one.stage else _contents(one)] for one in stage.inputs]
    whole: list[Any] = [stage.kind, stage.method, stage.settings, read]
    if stage.kind == "judge":  # two names for one judge would be two labelers in one store
        whole.append([name for judge in stage.named("judge") for name in _labelers(judge)])
    told = json.dumps(whole, sort_keys=True, default=str)
    return sha256(told.encode()).hexdigest()


def _contents(one: Input) -> str:
    return READERS[one.holds](one.name)


def _labelers(judge: str) -> list[str]:
    """The names by which a judge is in a store."""
    return [one.labeler for one in read_judges(judge)] if is_judge_file(judge) else [judge]


def products_of(stage: Stage) -> tuple[str, ...]:
    """The files in its folder that a stage makes."""
    return (name_of(stage.settings["audit"]),) if stage.kind == "audit" else PRODUCTS[stage.kind]


def output_of(stage: Stage) -> str:
    """The digest of what a stage made; empty where a part of it is missing."""
    if stage.kind in ("sft", "train"):
        there = (stage.folder / "model" / "config.json").exists()
        return of_model(str(stage.folder)) if there else ""
    if stage.kind == "judge":
        file = stage.folder / JUDGMENTS
        return of_store(file) if file.exists() else ""
    files = [stage.folder / name for name in products_of(stage)]
    if not all(file.exists() for file in files):
        return ""
    return sha256(" ".join(map(of_file, files)).encode()).hexdigest()


def state_of(stage: Stage, digest: str) -> State:
    """Whether a stage is done, was begun with the same settings and data, or is new; what was changed or taken out of
    its folder since makes it new."""
    kept = read_kept(stage)
    if kept.digest != digest:
        return "new"
    if not kept.finished:
        return "begun"
    return "done" if output_of(stage) == kept.output else "new"


def make_room(output: Path, stage: Stage, digest: str) -> Path | None:
    """Move what a stage's folder holds of other settings or data to `earlier/`, and what was moved there of these
    back; where it was moved to. Nothing is removed.

    Each move is one rename, so at any end everything is in one of the two places. Raises what writing raises.
    """
    moved = None
    with telling(stage.folder):
        kept = read_kept(stage)
        if stage.folder.exists() and any(stage.folder.iterdir()) and not (kept.digest == digest and not kept.finished):
            moved = _place(output, stage, kept.digest or "unknown")
            while moved.exists():  # its own output was changed by hand, or it was there twice
                moved = moved.with_name(moved.name + "+")
            moved.parent.mkdir(parents=True, exist_ok=True)
            os.rename(stage.folder, moved)
        before = _place(output, stage, digest)
        if before.exists() and before != moved and not stage.folder.exists():
            stage.folder.parent.mkdir(parents=True, exist_ok=True)
            os.rename(before, stage.folder)
        stage.folder.mkdir(parents=True, exist_ok=True)
        sync(stage.folder.parent)
    return moved


def restore(stage: Stage, run: Path) -> bool:
    """Let the run that an evaluation or an audit is about hold its result; whether it did not."""
    changed = False
    for name in products_of(stage):
        ours, theirs = stage.folder / name, run / name
        if not theirs.exists() or theirs.read_bytes() != ours.read_bytes():
            theirs.parent.mkdir(parents=True, exist_ok=True)
            with telling(theirs):
                shutil.copyfile(ours, theirs.with_name(theirs.name + ".tmp"))
                os.replace(theirs.with_name(theirs.name + ".tmp"), theirs)
            changed = True
    return changed


def retract(output: Path, stage: str, name: str, run: Path) -> bool:
    """Take the file `name` that an evaluation or an audit made out of the run that it is about, where this job put it
    there, now or with other settings or data; whether it did. What was made by hand stays."""
    theirs, earlier = run / name, output / EARLIER
    if not theirs.exists():
        return False
    folders = [output / stage, *earlier.glob(f"{glob.escape(stage.replace('/', '-'))}-*")]
    made = [folder / name for folder in folders if (folder / name).exists()]
    if theirs.read_bytes() not in [file.read_bytes() for file in made]:
        return False
    with telling(theirs):
        theirs.unlink()
    return True


def _place(output: Path, stage: Stage, digest: str) -> Path:
    return output / EARLIER / f"{stage.name.replace('/', '-')}-{digest[:12]}"
