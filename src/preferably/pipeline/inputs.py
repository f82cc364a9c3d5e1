"""What a job reads from outside, looked at before its first stage: nothing is trained first and refused then."""

from collections.abc import Sequence

from preferably.errors import ModelError
from preferably.models.loading import is_reward_model, model_directory
from preferably.models.tokenizers import load_tokenizer
from preferably.pipeline.audits import Suppression, filled
from preferably.pipeline.flows import look
from preferably.pipeline.keeping import READERS
from preferably.pipeline.plan import AlignSettings
from preferably.pipeline.stages import Stage


def check_inputs(settings: AlignSettings, stages: Sequence[Stage]) -> None:
    """Raise what reading anything from outside raises, and what an audit could not use. Weights are not loaded, and no
    server is asked."""
    for one in {(one.holds, one.name): one for stage in stages for one in stage.inputs if not one.stage}.values():
        READERS[one.holds](one.name)
    for audit in settings.audit.values():
        look(filled(audit, settings.prompts))
        if isinstance(audit, Suppression) and audit.control is not None:
            _check_control(audit.control, settings.model)


def _check_control(control: str, start: str) -> None:
    """`ModelError` where the control of an audit is no model, or reads other tokens than the model of the job."""
    is_reward_model(control)  # its configuration can be read
    ours, theirs = (load_tokenizer(model_directory(name))[0].get_vocab() for name in (start, control))
    if ours != theirs:
        raise ModelError(
            f"audit: suppression.control {control} has another tokenizer than {start}, and replies are begun by "
            "tokens; expected a model with the same one, or no control."
        )
