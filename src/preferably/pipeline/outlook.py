"""What a job would do, before it does anything: each stage done or to do, with time and memory where they are known."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preferably import api
from preferably.data.load import load_feedback
from preferably.errors import PreferablyError
from preferably.judging.settings import is_judge_file, read_judges
from preferably.pipeline.audits import filled
from preferably.pipeline.flows import answers, work_of
from preferably.pipeline.gates import check_gates
from preferably.pipeline.inputs import check_inputs
from preferably.pipeline.keeping import State, digest_of, read_kept, state_of
from preferably.pipeline.plan import AlignSettings
from preferably.pipeline.stages import Stage, stages_of

LENGTHS = "how long answers will be is not known before"
WHY = {
    "ready": LENGTHS, "sample": LENGTHS, "evaluate": LENGTHS, "audit": LENGTHS,
    "judge": "how soon the server answers is not known before",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outlook:
    """One stage before it is done. `seconds` and `memory` (bytes) are None where they are not known, and `why` says it;
    `refused` is why a training would not begin."""

    stage: Stage
    state: State
    work: str  # what there is to do, in numbers
    seconds: float | None = None
    memory: int | None = None
    why: str = ""
    refused: str = ""


def outlook(settings: AlignSettings, *, skip: Collection[str] = ()) -> Iterator[Outlook]:
    """Each stage of the job in turn. A stage whose inputs are not made yet counts as to do; if they come out as before,
    it will be found done. Nothing is trained or written, and no server is asked. `skip` are gates as of `align`.

    Trainings whose data is there are estimated as `preferably train --dry-run` does it, on the model that the job
    begins with where theirs is not made yet. Raises what cannot be used.
    """
    check_gates(skip)
    stages = stages_of(settings, lenient="check" in skip)
    check_inputs(settings, stages)
    outputs: dict[str, str] = {}
    took: list[Stage] = []
    for stage in stages:
        known = all(name in outputs for name in stage.needs)
        state: State = state_of(stage, digest_of(stage, outputs)) if known else "new"
        if state == "done":
            kept = read_kept(stage)
            outputs[stage.name] = kept.output
            took.append(stage)
            yield Outlook(stage, state, "", kept.seconds)
        elif stage.kind in ("sft", "train"):
            yield _training(stage, state, settings, outputs)
        else:
            seconds, why = _as_before(stage, took)
            yield Outlook(stage, state, _work(stage, settings, stages), seconds, why=why)


def _training(stage: Stage, state: State, settings: AlignSettings, outputs: Mapping[str, str]) -> Outlook:
    missing = [one.stage for one in stage.inputs if one.role != "model" and one.stage and one.stage not in outputs]
    if missing:
        return Outlook(stage, state, stage.method, why=f"needs what {', '.join(dict.fromkeys(missing))} makes")
    own = dict(stage.settings) | stage.free
    for role in ("reward", "guard", "held_out_data", "ptx_data", "reference_model", "critic"):
        if names := stage.named(role):
            own[role] = names if role in ("reward", "held_out_data", "ptx_data") else names[0]
    [model] = (one for one in stage.inputs if one.role == "model")
    stands_in = bool(model.stage) and model.stage not in outputs
    name = settings.model if stands_in else model.name
    try:
        plan = api.plan(stage.method, model=name, data=stage.named("data"), output=stage.folder, **own)
    except PreferablyError as error:
        return Outlook(stage, state, stage.method, why="it would be refused", refused=str(error))
    if isinstance(plan.estimate, str):
        return Outlook(stage, state, stage.method, why=plan.estimate)
    work = f"{plan.estimate.work.steps:,} steps on {plan.account['train']:,} rows"
    seconds = None if plan.seconds is None else sum(plan.seconds.values())
    why = f"estimated on {settings.model}" if stands_in else ""
    return Outlook(stage, state, work, seconds, plan.estimate.memory.peak, why, plan.refused or "")


def _as_before(stage: Stage, took: Sequence[Stage]) -> tuple[float | None, str]:
    """The seconds that the last stage took which does the same: of an earlier round, or of another road; None and why
    not, where there is none. How fast a model writes can be measured, but not how long its answers will be."""
    alike = [one for one in took if _does(one) == _does(stage)]
    if alike:
        return read_kept(alike[-1]).seconds, f"as {alike[-1].name} took"
    return None, WHY.get(stage.kind, "")


def _does(stage: Stage) -> tuple[Any, ...]:
    """What decides how long a stage takes: its settings but the seed, which each round has anew, and what it asks."""
    own = {name: value for name, value in stage.settings.items() if name != "seed"}
    return stage.kind, own, [(one.role, one.name) for one in stage.inputs if not one.stage]


def _work(stage: Stage, settings: AlignSettings, stages: Sequence[Stage]) -> str:
    """How much there is of it, where counting is enough to know."""
    own, prompts = stage.settings, _prompts(stage)
    if stage.kind == "audit":
        return work_of(filled(settings.audit[own["audit"]], settings.prompts))
    if stage.kind == "sample":
        models = len(stage.named("model"))
        return _asked(stage) + (f" of {models} models" if models > 1 else "")
    if stage.kind == "ready":
        return _asked(stage)
    if stage.kind == "evaluate":
        judge = stage.named("judge")[0]
        asked = len(read_judges(judge)) * 2 * prompts * own["samples"] if is_judge_file(judge) else 0
        judged = f", {asked:,} questions to {judge}" if asked else f", judged by {judge}"
        return f"{_asked(stage)} of two models{judged}"
    if stage.kind == "judge":
        [drawn] = (one for one in stages if one.name in stage.needs)
        answers = drawn.settings["samples"] * len(drawn.named("model"))
        orders = 2 if own["orders"] == "both" else 1
        judge = stage.named("judge")[0]
        asked = _prompts(drawn) * answers * (answers - 1) // 2 * orders * len(read_judges(judge))
        return f"at most {asked:,} questions to {judge}"
    return ", ".join(Path(name).name for name in stage.named("data")) if stage.kind == "check" else ""


def _asked(stage: Stage) -> str:
    return answers(_prompts(stage), stage.settings["samples"])


def _prompts(stage: Stage) -> int:
    """How many prompts a stage asks."""
    if not (names := stage.named("prompts")):
        return 0
    limit: Any = stage.settings.get("limit")
    return len(load_feedback(names, "prompts", limit=limit).groups)
