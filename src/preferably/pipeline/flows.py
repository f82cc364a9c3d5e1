"""What does the audits that a job names, and what they will have to do."""

from collections.abc import Callable

from preferably.data.load import load_feedback
from preferably.errors import DataError
from preferably.evaluation.audit import Audit
from preferably.evaluation.auditing import honesty, prompts_of, safety, suppression
from preferably.evaluation.auditing_run import run
from preferably.evaluation.questions import questions_of
from preferably.evaluation.raters import rates
from preferably.evaluation.safety import asked_of, look_alikes
from preferably.evaluation.unwanted import cases_of
from preferably.functions import load_function
from preferably.pipeline.audits import AuditPart, Course, Honesty, Safety, Suppression
from preferably.reporting.figures import plural

LEAST = 2  # prompts of which relearning can train on one and ask another
FLOWS: dict[str, Callable[..., Audit]] = {
    "run": run, "safety": safety, "honesty": honesty, "suppression": suppression,
}  # fmt: skip


def look(settings: AuditPart) -> int:
    """Read what an audit asks, and how many prompts it is. `DataError` and `ConfigError` for rows, functions and judges
    that it could not use, so that no job trains first and is told then."""
    if (checker := getattr(settings, "checker", None)) is not None:
        load_function(checker)
    if isinstance(settings, Honesty):
        if compared := [*settings.feedback, *settings.learnt]:
            load_feedback(compared, "rankings", max_rejected=1.0)
        return len(questions_of(prompts_of(settings.data, settings.limit), checked=settings.checker is not None))
    if isinstance(settings, Course):
        if settings.tasks is not None:
            questions_of(prompts_of(settings.tasks, settings.limit), checked=settings.checker is not None)
        return len(prompts_of(settings.data, settings.limit)) if settings.data else 0
    assert isinstance(settings, Safety | Suppression)
    if settings.judge is not None:
        rates(settings.judge)
    if isinstance(settings, Suppression):
        return _look_at_suppression(settings)
    if not settings.data:
        return len(look_alikes()[: settings.limit])
    return len(asked_of(prompts_of(settings.data, settings.limit)))


def _look_at_suppression(settings: Suppression) -> int:
    prompts = prompts_of(settings.data, settings.limit)
    cases = cases_of(prompts, text=settings.unwanted, pattern=settings.pattern, judged=bool(settings.judge))
    if settings.relearn_data is not None:
        load_feedback([settings.relearn_data], "demonstrations")
    elif settings.relearn and len(cases) < LEAST:
        raise DataError(
            f"{settings.data}: relearning trains on half of the prompts and asks the others; expected at least "
            f"{LEAST}, got {len(cases)}. Give more prompts, or relearn_data, or relearn: false."
        )
    return len(cases)


def answers(prompts: int, samples: int) -> str:
    """`12 prompts x 4 answers`."""
    return f"{plural(prompts, 'prompt')} x {plural(samples, 'answer')}"


def work_of(settings: AuditPart) -> str:
    """How much there is to answer, in words."""
    own = settings.model_dump()
    asked = answers(look(settings), own["samples"])
    if isinstance(settings, Suppression):
        models = "three models" if settings.control else "two models"
        ways = len(settings.temperatures) + len(settings.prefill)
        again = f"; {plural(max(settings.steps), 'step')} of relearning each" if settings.relearn else ""
        return f"{asked} of {models}, as asked, in {ways} ways and in other words{again}"
    if isinstance(settings, Course):
        return f"{asked} at each checkpoint that is kept, best of up to {settings.best_of} where there is a reward"
    return f"{asked} of two models"
