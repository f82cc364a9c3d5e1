"""What does the audits that a job names, and what they will have to do."""

from collections.abc import Callable

from preferably.evaluation.audit import Audit
from preferably.evaluation.auditing import honesty, prompts_of, safety, suppression
from preferably.evaluation.auditing_run import run
from preferably.evaluation.questions import questions_of
from preferably.evaluation.raters import rates
from preferably.evaluation.safety import asked_of, look_alikes
from preferably.evaluation.unwanted import cases_of
from preferably.functions import load_function
from preferably.pipeline.audits import AuditPart, Course, Honesty, Safety, Suppression

FLOWS: dict[str, Callable[..., Audit]] = {
    "run": run, "safety": safety, "honesty": honesty, "suppression": suppression,
}  # fmt: skip


def look(settings: AuditPart) -> int:
    """Read what an audit asks, and how many prompts it is. `DataError` and `ConfigError` for rows, functions and judges
    that it could not use, so that no job trains first and is told then."""
    if (checker := getattr(settings, "checker", None)) is not None:
        load_function(checker)
    if isinstance(settings, Honesty):
        return len(questions_of(prompts_of(settings.data, settings.limit), checked=settings.checker is not None))
    if isinstance(settings, Course):
        if settings.tasks is not None:
            questions_of(prompts_of(settings.tasks, settings.limit), checked=settings.checker is not None)
        return len(prompts_of(settings.data, settings.limit)) if settings.data else 0
    assert isinstance(settings, Safety | Suppression)
    if settings.judge is not None:
        rates(settings.judge)
    if isinstance(settings, Suppression):
        prompts = prompts_of(settings.data, settings.limit)
        return len(cases_of(prompts, text=settings.unwanted, pattern=settings.pattern, judged=bool(settings.judge)))
    return len(asked_of(prompts_of(settings.data, settings.limit)) if settings.data else look_alikes())


def work_of(settings: AuditPart) -> str:
    """How much there is to answer, in words."""
    own = settings.model_dump()
    answers = f"{look(settings):,} prompts x {own['samples']} answers"
    if isinstance(settings, Suppression):
        models = "three models" if settings.control else "two models"
        ways = len(settings.temperatures) + len(settings.prefill)
        again = f"; {max(settings.steps)} steps of relearning each" if settings.relearn else ""
        return f"{answers} of {models}, as asked, in {ways} ways and in other words{again}"
    if isinstance(settings, Course):
        return f"{answers} at each checkpoint that is kept, best of up to {settings.best_of} where there is a reward"
    return f"{answers} of two models"
