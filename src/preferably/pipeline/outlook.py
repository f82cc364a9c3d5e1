"""What a job would do, before it does anything: each stage done or to do, with time and memory where they are known."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preferably import api
from preferably.data.load import load_feedback, load_prompts
from preferably.errors import PreferablyError
from preferably.evaluation.auditing import prompts_of
from preferably.evaluation.safety import look_alikes
from preferably.feedback.records import Group
from preferably.judging.constitution import read_constitution
from preferably.judging.settings import is_judge_file, read_judges
from preferably.methods import method_named
from preferably.models.loading import load, model_directory
from preferably.pipeline.asking import counted, pairs_of, price
from preferably.pipeline.audits import filled
from preferably.pipeline.flows import answers, work_of
from preferably.pipeline.gates import check_gates
from preferably.pipeline.inputs import check_inputs
from preferably.pipeline.keeping import State, digest_of, read_kept, state_of
from preferably.pipeline.plan import AlignSettings
from preferably.pipeline.stages import REWARDS, Stage, stages_of
from preferably.pipeline.stand_ins import AT_LEAST, REWARD, drawn, told_apart
from preferably.training.drawing import Tried, try_drawing
from preferably.training.reading import MAX_LENGTH

WHY = {
    "judge": "how soon the server answers is not known before",
    "check": "how many rows there will be is not known before",
}  # fmt: skip
AUDITS = {  # of which the time is not counted
    "run": "how many checkpoints the audit run will see is not known before",
    "suppression": "how many replies suppression must look at, and what relearning takes, is not known before",
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

    Trainings are estimated as `preferably train --dry-run` does it, on the model that the job begins with where theirs
    is not made yet, and on as many preferences as there can be at most where these are to be sampled. Stages that draw
    answers are told at most: all answers as long as they may be. Raises what cannot be used.
    """
    check_gates(skip)
    stages = stages_of(settings, lenient="check" in skip)
    check_inputs(settings, stages, skip)
    outputs: dict[str, str] = {}
    took: list[Stage] = []
    tried = _Tries(settings)
    for stage in stages:
        known = all(name in outputs for name in stage.needs)
        state: State = state_of(stage, digest_of(stage, outputs)) if known else "new"
        if state == "done":
            kept = read_kept(stage)
            outputs[stage.name] = kept.output
            took.append(stage)
            yield Outlook(stage, state, "", kept.seconds)
        elif stage.kind in ("sft", "train"):
            yield _training(stage, state, settings, outputs, stages)
        else:
            seconds, memory, why = tried.at_most(stage)
            if (before := _as_before(stage, took)) is not None:
                seconds, why = before
            yield Outlook(stage, state, _work(stage, settings, stages), seconds, memory, why)


@dataclass(slots=True)
class _Tries:
    """The model that the job begins with, tried once for all stages that draw."""

    settings: AlignSettings
    tried: Tried | None = None

    def at_most(self, stage: Stage) -> tuple[float | None, int | None, str]:
        """Seconds and bytes of a stage that draws answers, and what they are without; None and why not, for others."""
        if stage.kind not in ("ready", "sample", "evaluate", "audit"):
            kept = stage.kind == "judge" and not is_judge_file(stage.named("judge")[0])
            return (0.0, 0, "") if kept else (None, None, WHY.get(stage.kind, ""))
        own, made = stage.settings, self.settings
        unknown = AUDITS.get(own.get("audit", ""), "")
        served = [name for name in stage.named("model") if is_judge_file(name)]
        models = len(stage.named("model")) - len(served) if stage.kind in ("sample", "ready") else 2
        served += [name for one in stage.inputs if one.holds == "judge" for name in (one.name,) if name not in served]
        try:
            prompts = _asks(stage, made)
            if self.tried is None:
                self.tried = try_drawing(made.model, prompts, device=made.device, dtype=made.dtype)
            drawn = {"samples": own["samples"], "tokens": own["max_tokens"], "models": models}
            seconds, memory = self.tried.at_most(prompts, **drawn)
        except PreferablyError as error:
            return None, None, str(error)
        if unknown:
            return None, memory if own["audit"] == "run" else None, unknown
        without = f", without what {', '.join(served)} takes" if served else ""
        return seconds, memory, f"at most: all answers {own['max_tokens']} tokens long{without}"


def _asks(stage: Stage, settings: AlignSettings) -> list[Group]:
    """The prompts that a stage answers."""
    limit: Any = stage.settings.get("limit")
    if stage.kind != "audit":
        return load_prompts(stage.named("prompts"), limit).groups
    data = stage.named("data")
    return prompts_of(data[0], limit) if data else [one.prompt for one in look_alikes()[:limit]]


def _training(
    stage: Stage, state: State, settings: AlignSettings, outputs: Mapping[str, str], stages: Sequence[Stage]
) -> Outlook:  # fmt: skip
    unmade = [one for one in stage.inputs if one.stage and one.stage not in outputs]
    roles = {one.role for one in unmade}
    own = dict(stage.settings) | stage.free
    for role in ("reward", "guard", "held_out_data", "ptx_data", "reference_model", "critic"):
        if names := stage.named(role):
            own[role] = names if role in ("reward", "held_out_data", "ptx_data") else names[0]
    notes = []
    [model] = stage.named("model")
    if "model" in roles:
        model = settings.model
        notes.append(f"estimated on {settings.model}")
    if scorers := roles & set(REWARDS):
        own |= {role: REWARD if role == "reward" else REWARD[0] for role in scorers}
        notes.append(AT_LEAST)
    data: Any = stage.named("data")
    try:
        if "data" in roles:
            own.pop("aggregate", None)  # of labelers, who are not known yet
            data = _at_most(stage, settings, own, {one.stage for one in unmade if one.role == "data"}, stages)
            notes.append(f"at most: {len(data):,} {method_named(stage.method).feedback}, with what is to be sampled")
        plan = api.plan(stage.method, model=model, data=data, output=stage.folder, **own)
    except PreferablyError as error:
        if "data" in roles:  # of what stands in, it says nothing of the data that will be
            return Outlook(stage, state, stage.method, why=f"cannot be estimated before there is data: {error}")
        return Outlook(stage, state, stage.method, why="it would be refused", refused=str(error))
    if isinstance(plan.estimate, str):
        return Outlook(stage, state, stage.method, why=plan.estimate)
    work = f"{plan.estimate.work.steps:,} steps on {plan.account['train']:,} rows{_uncounted(stage)}"
    seconds = None if plan.seconds is None else sum(plan.seconds.values())
    return Outlook(stage, state, work, seconds, plan.estimate.memory.peak, "; ".join(notes), plan.refused or "")


def _at_most(
    stage: Stage, settings: AlignSettings, own: Mapping[str, Any], unmade: Collection[str], stages: Sequence[Stage]
) -> list[Group]:  # fmt: skip
    """What a training can read at most: the feedback that is there, and stand-ins for what its job is to sample."""
    feedback = method_named(stage.method).feedback
    there = [one.name for one in stage.inputs if one.role == "data" and one.stage not in unmade]
    found = load_feedback(there, feedback, max_rejected=own.get("max_rejected", 0.01)).groups if there else []
    outline = load(model_directory(settings.model), weights=False)
    by_name = {one.name: one for one in stages}
    for name in sorted(unmade):
        asked = _drawn_for(by_name[name], by_name)
        several = asked.settings["samples"] * len(asked.named("model"))
        groups = drawn(
            asked.named("prompts"), outline, samples=several, tokens=asked.settings["max_tokens"],
            limit=asked.settings["limit"], most=own.get("max_length") or MAX_LENGTH,
        )  # fmt: skip
        found += told_apart(groups, feedback)
    return found


def _drawn_for(stage: Stage, stages: Mapping[str, Stage]) -> Stage:
    """The stage that draws what another one, or it itself, makes preferences of."""
    return stage if stage.kind == "sample" else next(stages[name] for name in stage.needs)


def _as_before(stage: Stage, took: Sequence[Stage]) -> tuple[float, str] | None:
    """The seconds that the last stage took which does the same: of an earlier round, or of another road; None where
    there is none."""
    alike = [one for one in took if _does(one) == _does(stage)]
    return (read_kept(alike[-1]).seconds, f"as {alike[-1].name} took") if alike else None


def _does(stage: Stage) -> tuple[Any, ...]:
    """What decides how long a stage takes: its settings but the seed, which each round has anew, and what it asks."""
    own = {name: value for name, value in stage.settings.items() if name != "seed"}
    return stage.kind, own, [(one.role, one.name) for one in stage.inputs if not one.stage]


def _work(stage: Stage, settings: AlignSettings, stages: Sequence[Stage]) -> str:
    """How much there is of it, where counting is enough to know."""
    own, prompts = stage.settings, _prompts(stage)
    if stage.kind == "audit":
        return work_of(filled(settings.audit[own["audit"]], settings.prompts)) + _uncounted(stage)
    if stage.kind == "sample":
        models = len(stage.named("model"))
        return _asked(stage) + (f" of {models} models" if models > 1 else "")
    if stage.kind == "ready":
        return _asked(stage)
    if stage.kind == "evaluate":
        [judge], asked = stage.named("judge"), 2 * prompts * own["samples"]
        judged = [] if is_judge_file(judge) else [f"judged by {judge}"]
        judged += [_questions(asked, name, stage, 2, settings) for name in _servers(stage)]
        return f"{_asked(stage)} of two models, {' and '.join(judged)}"
    if stage.kind == "judge":
        drawing, judge = _drawn_for(stage, {one.name: one for one in stages}), stage.named("judge")[0]
        answers = drawing.settings["samples"] * len(drawing.named("model"))
        if not is_judge_file(judge):
            return f"scores by {judge} of at most {_prompts(drawing) * answers:,} answers, kept as ratings"
        asked, _ = counted(_prompts(drawing), answers, 2 if own["orders"] == "both" else 1, 1, 1)
        return f"at most {_questions(asked, judge, drawing, answers, settings, _longest_principle(stage))}"
    return ", ".join(Path(name).name for name in stage.named("data")) if stage.kind == "check" else ""


def _servers(stage: Stage) -> list[str]:
    """The judges on servers that a stage asks, by the names of their files."""
    asked = [one.name for one in stage.inputs if one.holds == "judge" and one.role != "taught_by"]
    return [name for name in dict.fromkeys(asked) if is_judge_file(name)]


def _uncounted(stage: Stage) -> str:
    """That a stage asks judges on servers, where it is not known how often."""
    names = _servers(stage)
    return f"; without the questions to {', '.join(names)}, which are not counted" if names else ""


def _longest_principle(stage: Stage) -> str:
    texts = [one.text for name in stage.named("constitution") for one in read_constitution(name).all]
    return max(texts, key=len, default="")


def _questions(
    asked: int, judge: str, drawing: Stage, answers: int, settings: AlignSettings, principle: str = ""
) -> str:  # fmt: skip
    """`60 questions to judge.yaml, 0.02 by its prices`: each of its judges is `asked` so many about answers of a stage
    that draws; what they cost only where a file has prices."""
    judges = read_judges(judge)
    told = f"{asked * len(judges):,} questions to {judge}"
    if not any(one.prices for one in judges):
        return told
    outline = load(model_directory(settings.model), weights=False)
    own = drawing.settings
    groups = drawn(
        drawing.named("prompts"), outline, samples=answers, tokens=own["max_tokens"], limit=own["limit"]
    )  # fmt: skip
    return told + price(asked, pairs_of(groups), judges, outline.tokenizer, principle)


def _asked(stage: Stage) -> str:
    return answers(_prompts(stage), stage.settings["samples"])


def _prompts(stage: Stage) -> int:
    """How many prompts a stage asks."""
    if not (names := stage.named("prompts")):
        return 0
    limit: Any = stage.settings.get("limit")
    return len(load_prompts(names, limit).groups)
