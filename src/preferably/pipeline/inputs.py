"""What a job reads from outside, looked at before its first stage: nothing is trained first and refused then."""

from collections.abc import Collection, Iterator, Sequence

from preferably.data.hygiene import prompt_text
from preferably.data.load import load_feedback, load_prompts
from preferably.data.splits import leaked
from preferably.errors import ConfigError, ModelError
from preferably.evaluation.slices import names_in
from preferably.functions import load_function
from preferably.judging.constitution import read_constitution
from preferably.judging.named import judge_of_function, names_function
from preferably.judging.parts import weighted
from preferably.judging.people import named_store
from preferably.judging.settings import is_judge_file, read_judges
from preferably.models.loading import is_reward_model, model_directory
from preferably.models.tokenizers import load_tokenizer
from preferably.pipeline.audits import Suppression, filled
from preferably.pipeline.flows import look
from preferably.pipeline.gates import Closed
from preferably.pipeline.keeping import READERS
from preferably.pipeline.plan import AlignSettings
from preferably.pipeline.stages import REWARDS, Stage

Rows = dict[str, str | int | None]  # of a file of prompts: what became of them
RATED = ("safety", "suppression")  # audits whose judge rates each reply alone, which `look` looks at


def check_inputs(settings: AlignSettings, stages: Sequence[Stage], skip: Collection[str] = ()) -> list[Rows]:
    """What became of the rows of each file of prompts. Raise what reading anything from outside raises, and what a
    judge or an audit could not use. Weights are not loaded, and no server is asked. `skip` are gates that stop
    nothing."""
    for one in {(one.holds, one.name): one for stage in stages for one in stage.inputs if not one.stage}.values():
        READERS[one.holds](one.name)
    for stage in stages:
        for one in stage.inputs:
            if one.holds == "judge" and not one.stage:
                _check_judge(stage, one.role, one.name)
            elif one.role == "constitution":
                read_constitution(one.name)
    rows = list(_rows(stages))
    if settings.prompts and settings.check is not None and settings.check.gate == "stop" and "check" not in skip:
        _refuse_shared(settings.prompts, stages)
    if settings.prompts and settings.evaluate is not None:
        asked = load_prompts([settings.prompts], settings.evaluate.limit).groups
        for column in settings.evaluate.slices:
            names_in(asked, column)
    for audit in settings.audit.values():
        look(filled(audit, settings.prompts))
        if isinstance(audit, Suppression) and audit.control is not None:
            _check_control(audit.control, settings.model)
    return rows


def _rows(stages: Sequence[Stage]) -> Iterator[Rows]:
    """Of each file of prompts, and of as much of it as a stage asks. `DataError` where too much of that is at fault."""
    asked = {(name, stage.settings.get("limit")) for stage in stages for name in stage.named("prompts")}
    for name, limit in sorted(asked, key=str):
        found = load_prompts([name], limit).accounting
        yield {
            "file": name, "limit": limit, "read": found.read, "used": found.used, "rejected": len(found.rejects),
            "repeated": found.deduplicated,
        }  # fmt: skip


def _refuse_shared(ours: str, stages: Sequence[Stage]) -> None:
    """`GateError` where prompts that are held out (`ours`) are in what is learnt from or will be: the gate would close
    for it behind the first training, or not at all for what a training reads by itself."""
    learnt = {
        (one.name, None) for stage in stages if stage.kind in ("check", "sft", "train") for one in stage.inputs
        if not one.stage and one.role in ("data", "ptx_data")
    }  # fmt: skip
    learnt |= {
        (name, stage.settings["limit"]) for stage in stages if stage.kind == "sample" for name in stage.named("prompts")
    }
    prompts = load_prompts([ours]).groups
    for name, limit in sorted(learnt, key=str):
        both = leaked(load_feedback([name], "prompts", max_rejected=1.0, limit=limit).groups, prompts)
        if both:
            reason = (
                f"{len(both)} of {len(prompts)} prompts of {ours}, which are held out, are in {name} too, the "
                f"first {prompt_text(prompts[both[0]])[:60]!r}: an evaluation would reward memory"
            )
            raise Closed("check", "check", (reason,), "Take them out of one of the two.").error()


def _check_judge(stage: Stage, role: str, name: str) -> None:
    """`ConfigError` where something that judges or scores elsewhere does not in this role."""
    bare, _ = weighted(name)
    if role == "checker":
        load_function(name)
    elif role in REWARDS:
        whole = is_judge_file(bare) and not bare.startswith("judge:")
        if whole or named_store(bare) is not None:
            hint = f"; a language model that compares is judge:{bare}" if whole else ""
            raise ConfigError(f"{stage.name}: {role} {name} gives no scores, and here scores are needed{hint}.")
    elif is_judge_file(bare):
        read_judges(name)  # as it stands: without a weight, and without judge:
    elif _decides(stage, role):
        if bare != name.strip() or bare == "length" or bare.startswith("format:"):
            raise ConfigError(
                f"{stage.name}: {role} {name} is a part of a reward, and decides between no two answers; expected a "
                "judge's .yaml, module:function, a reward model, or people[:STORE]."
            )
        if names_function(name):
            judge_of_function(load_function(name))


def _decides(stage: Stage, role: str) -> bool:
    """Whether a name in this role is to say which of two answers is better."""
    named = role == "judge" or role.startswith("axis ")
    return named and stage.kind != "judge" and stage.settings.get("audit") not in RATED


def _check_control(control: str, start: str) -> None:
    """`ModelError` where the control of an audit is no model, or reads other tokens than the model of the job."""
    is_reward_model(control)  # its configuration can be read
    ours, theirs = (load_tokenizer(model_directory(name))[0].get_vocab() for name in (start, control))
    if ours != theirs:
        raise ModelError(
            f"audit: suppression.control {control} has another tokenizer than {start}, and replies are begun by "
            "tokens; expected a model with the same one, or no control."
        )
