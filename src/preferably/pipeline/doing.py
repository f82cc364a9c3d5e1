"""What each kind of stage does: one call of what users call. It gives the figures that the job's account holds."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any, Protocol

from preferably import api
from preferably.data.accounting import SHOWN
from preferably.data.check import check_files
from preferably.data.comparable import comparable, read_comparable
from preferably.data.importing import read_rows_in, rows_in
from preferably.errors import DataError
from preferably.evaluation.auditing import kept
from preferably.evaluation.side_by_side import side_by_side
from preferably.feedback.store.kept_replies import KeptReplies
from preferably.feedback.store.store import Store
from preferably.judging.constitution import read_constitution
from preferably.judging.described import deciders, judged_by
from preferably.judging.labeling import Labeled, label, pairs_shown
from preferably.judging.llm import LanguageJudge
from preferably.judging.settings import JudgeSettings, is_judge_file, read_judges
from preferably.methods import method_named
from preferably.models.loading import load, model_directory
from preferably.pipeline.audits import roles_of
from preferably.pipeline.fit import fit_of
from preferably.pipeline.flows import FLOWS
from preferably.pipeline.keeping import products_of
from preferably.pipeline.labelers import labelers_behind
from preferably.pipeline.stages import FINDINGS, JUDGMENTS, LABELERS, SAMPLES, Stage
from preferably.training.closing import Progress
from preferably.training.run_directory import RunDirectory

Figures = dict[str, Any]
LOADING = ("device", "dtype")


class Watcher(Protocol):
    """Who is told how a stage goes."""

    def training(self, name: str) -> Progress:
        """A training begins."""

    def counting(self, name: str) -> tuple[Callable[[int], None], Callable[[int], None]]:
        """Something that is counted begins: what is told the total, and what is told how many more are done."""

    def note(self, text: str) -> None:
        """Something is worth knowing."""


class StopAskedError(BaseException):
    """A training was asked to stop, and is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def do(stage: Stage, watcher: Watcher) -> Figures:
    """Do a stage in its folder, or go on with it; its figures. Raises what that raises, and `StopAskedError`."""
    return DOES[stage.kind](stage, watcher)


def _train(stage: Stage, watcher: Watcher) -> Figures:
    own = dict(stage.settings) | stage.free
    for role in ("reward", "guard", "held_out_data", "ptx_data", "reference_model", "critic"):
        names = stage.named(role)
        if names:
            own[role] = names if role in ("reward", "held_out_data", "ptx_data") else names[0]
    begun = any((stage.folder / name).exists() for name in ("checkpoints", "metrics.jsonl", "model"))
    [model] = stage.named("model")
    run = api.train(
        stage.method, model=model, data=stage.named("data"), output=stage.folder, resume=begun,
        progress=watcher.training(stage.name), **own,
    )  # fmt: skip
    if run.stopped_by is not None:
        raise StopAskedError(run.stopped_by)
    found: dict[str, Any] = {"steps": run.state.step, "warnings": sorted({one["code"] for one in run.warnings})}
    if run.state.reason:
        found["ended"] = run.state.reason
    found |= fit_of(run.path)
    if method_named(stage.method).scores:
        found["scores"] = True
    return found


def _ready(stage: Stage, watcher: Watcher) -> Figures:
    own = {name: stage.settings[name] for name in ("samples", "max_tokens", "limit", "seed")}
    [model], [prompts] = stage.named("model"), stage.named("prompts")
    checker = next(iter(stage.named("checker")), None)
    loaded = load(model_directory(model), **{name: stage.settings[name] for name in LOADING})
    found = api.check(loaded, data=prompts, checker=checker, wanted=stage.settings["format"], **own).as_json()
    RunDirectory(stage.folder).write_json("readiness.json", found)
    return {name: found[name] for name in ("ready", "verdict", "prompts")}


def _sample(stage: Stage, watcher: Watcher) -> Figures:
    output = stage.folder / SAMPLES
    output.unlink(missing_ok=True)  # what was written whole just before an end, and is written the same again
    [newest, *others], [prompts] = stage.named("model"), stage.named("prompts")
    starting, progress = watcher.counting(stage.name)
    how = dict(stage.settings) | {"data": prompts, "output": output, "starting": starting, "progress": progress}
    if others:
        drawn: Any = side_by_side([newest, *others], replies=KeptReplies(_kept_where(others)), **how)
        asked = drawn.rows + drawn.failed + drawn.empty + drawn.equal
        if drawn.failed > stage.free["max_failed"] * asked:
            raise DataError(
                f"Some model gave no whole answer to {drawn.failed} of {asked} prompts, more than max_failed "
                f"{stage.free['max_failed']:g} allows: what is left would be the prompts with short answers. Let "
                "max_tokens be more. What servers answered is kept."
            )
    else:
        drawn = api.sample(newest, reward=stage.named("reward"), **how)
    figures = asdict(drawn) | {"accounting": _accounting(stage, output)}
    if others and drawn.empty:  # which stand in no row that could be at fault
        figures["accounting"]["read"] += drawn.empty
        figures["accounting"]["rejected"]["empty"] = drawn.empty
        figures["accounting"]["rejects"].append(f"{drawn.empty} prompts to which a model answered nothing")
    return figures


def _accounting(stage: Stage, rows: Path) -> Figures:
    """What becomes of the rows that were drawn where they are judged; `rejects` are the first that are at fault. No
    stage behind that one sees these, so their gate is here."""
    account = read_rows_in([rows])[1] if stage.named("reward") else read_comparable([rows])[1]
    counted = account.as_json()
    told = {name: counted[name] for name in ("read", "used", "deduplicated", "rejected")}
    return told | {"rejects": [str(replace(one, file=rows.name)) for one in account.faults[:SHOWN]]}


def _kept_where(models: list[str]) -> str:
    """Where servers' replies are kept: where the first file of one says."""
    files = [name for name in models if is_judge_file(name)]
    return read_judges(files[0])[0].replies if files else "preferably.db"


def _judge(stage: Stage, watcher: Watcher) -> Figures:
    [rows], [judge], constitution = stage.named("data"), stage.named("judge"), stage.named("constitution")
    principles = read_constitution(constitution[0]).all if constitution else []
    with Store(stage.folder / JUDGMENTS) as store:
        try:
            if not is_judge_file(judge):
                told = [_scored(stage, judge, rows, store)]
                if failed := told[0]["failed"]:
                    watcher.note(f"{stage.name}: {judge} gave no score to {failed} of {told[0]['asked']} answers.")
                return {"judges": told}
            told = [_labeled(stage, one, rows, store, principles, watcher) for one in read_judges(judge)]
        except DataError as error:
            raise DataError(str(error).replace("--max-rejected ", "train: max_rejected: ")) from error
    worst = max(told, key=lambda one: one["failed"] / max(one["asked"], 1))
    if worst["failed"] > stage.free["max_failed"] * worst["asked"]:
        raise DataError(
            f"{worst['failed']} of {worst['asked']} questions to {worst['labeler']} got no answer ({worst['why']}), "
            f"more than max_failed {stage.free['max_failed']:g} allows. What was answered is kept: the same command "
            "asks the others again."
        )
    return {"judges": told}


def _scored(stage: Stage, judge: str, rows: str, store: Store) -> Figures:
    """Keep the scores that a function or a reward model gave to what was drawn, as ratings by it."""
    entries, _ = rows_in(
        [rows], labeler=judge, labeler_kind=stage.settings["kind"], max_rejected=stage.free["max_rejected"]
    )
    store.say(entries)
    with open(rows, encoding="utf-8") as file:
        scores = [score for line in file for score in json.loads(line)["ratings"]]
    failed = scores.count(None)  # it could not tell
    return {"labeler": judge, "asked": len(scores), "ok": len(scores) - failed, "failed": failed, "judged_by": None}


def _labeled(
    stage: Stage, one: JudgeSettings, rows: str, store: Store, principles: Any, watcher: Watcher
) -> Figures:  # fmt: skip
    judged, _ = comparable([rows], keep=one.reference, max_rejected=stage.free["max_rejected"])
    judge = LanguageJudge(one, KeptReplies(one.replies, store))
    starting, progress = watcher.counting(f"{stage.name}: {one.labeler}")
    starting(sum(len(pairs_shown(each.group, stage.settings["orders"], Random(0))) for each in judged))
    found: Labeled = label(
        judge, [each.group for each in judged], store, orders=stage.settings["orders"], principles=principles,
        seed=stage.settings["seed"], progress=progress,
    )  # fmt: skip
    states = {state: found.states[state] for state in ("ok", "invalid", "refused", "failed")}
    why = ", ".join(reason for reason, _ in found.why.most_common(1))
    about = {"labeler": found.labeler, "asked": found.asked, "why": why, "consistency": found.consistency}
    return about | states | {"judged_by": judged_by(deciders(judge))}


def _check(stage: Stage, watcher: Watcher) -> Figures:
    held_out, told = stage.named("prompts"), {}
    for kind in stage.settings["kinds"]:
        found = check_files(
            stage.named("data"), feedback=kind, held_out=held_out, max_rejected=stage.settings["max_rejected"]
        )
        told[kind] = found.as_json()
    RunDirectory(stage.folder).write_json(FINDINGS, {"findings": told})
    RunDirectory(stage.folder).write_json(LABELERS, labelers_behind(stage.named("data")))
    return {kind: {"read": one["rows"]["read"], "used": one["rows"]["used"], "groups": one["groups"],
                   "verdict": one["verdict"]} for kind, one in told.items()}  # fmt: skip


def _evaluate(stage: Stage, watcher: Watcher) -> Figures:
    own = {name: stage.settings[name] for name in ("samples", "temperature", "max_tokens", "limit", "seed", "slices")}
    loading = {name: stage.settings[name] for name in LOADING}
    [model], [against], [prompts] = stage.named("model"), stage.named("against"), stage.named("prompts")
    [judge] = stage.named("judge")
    axes = {name: stage.named(f"axis {name}")[0] for name in stage.settings["axes"]}
    headline = not stage.name.endswith("-over-previous")
    target = Path(model) if headline else stage.folder
    _, progress = watcher.counting(stage.name)
    theirs = load(model_directory(against), **loading)
    found = api.evaluate(
        model, against=theirs, data=prompts, judge=judge, output=target, axes=axes, progress=progress,
        note=watcher.note, **own, **loading,
    )  # fmt: skip
    if headline:  # the run has it too, for its page; here it stays when another evaluation takes its place there
        for name in products_of(stage):
            (stage.folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(target / name, stage.folder / name)
    warned = [f"{one.kind} ({one.side})" for one in found.flags if one.warns]
    asked = [told for one in (found, *found.axes.values()) for told in judged_by(one.judged_by) or ()] or None
    return found.figure() | {"verdict": found.verdict, "flags": warned, "judged_by": asked}


def _audit(stage: Stage, watcher: Watcher) -> Figures:
    own = dict(stage.settings)
    name, [model], [against] = own.pop("audit"), stage.named("model"), stage.named("against")
    for role, several in roles_of(name):
        if names := stage.named(role):
            own[role] = names if several else names[0]

    def begins(what: str, total: int | None) -> Callable[[int], None]:
        starting, progress = watcher.counting(f"{stage.name}: {what}")
        if total is not None:
            starting(total)
        return progress

    found = FLOWS[name](model, against, **own, begins=begins, note=watcher.note)
    kept(found, stage.folder)  # the run has it too, as soon as it is whole here
    told = [one.as_json() for one in found.findings]
    return {"audit": name, "outcome": found.outcome, "verdict": found.verdict, "findings": told,
            "judged_by": found.facts["judged_by"]}  # fmt: skip


DOES: dict[str, Callable[[Stage, Watcher], Figures]] = {
    "sft": _train, "ready": _ready, "sample": _sample, "judge": _judge, "check": _check, "train": _train,
    "evaluate": _evaluate, "audit": _audit,
}  # fmt: skip
