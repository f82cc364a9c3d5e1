"""What a job reads from outside, looked at before its first stage: nothing is trained first and refused then."""

from collections.abc import Sequence

from preferably.errors import ConfigError, ModelError
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
from preferably.pipeline.keeping import READERS
from preferably.pipeline.plan import AlignSettings
from preferably.pipeline.stages import REWARDS, Stage

RATED = ("safety", "suppression")  # audits whose judge rates each reply alone, which `look` looks at


def check_inputs(settings: AlignSettings, stages: Sequence[Stage]) -> None:
    """Raise what reading anything from outside raises, and what a judge or an audit could not use. Weights are not
    loaded, and no server is asked."""
    for one in {(one.holds, one.name): one for stage in stages for one in stage.inputs if not one.stage}.values():
        READERS[one.holds](one.name)
    for stage in stages:
        for one in stage.inputs:
            if one.holds == "judge" and not one.stage:
                _check_judge(stage, one.role, one.name)
            elif one.role == "constitution":
                read_constitution(one.name)
    for audit in settings.audit.values():
        look(filled(audit, settings.prompts))
        if isinstance(audit, Suppression) and audit.control is not None:
            _check_control(audit.control, settings.model)


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
