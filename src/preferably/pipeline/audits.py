"""Audits that a job has done of each model that it trains: their settings, what they read, and the same by hand.

What does them is in `flows`, as it takes a while to import.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError

from preferably.pipeline.part import Part, Paths

Holds = Literal["data", "model", "judge"]


def _parts(value: Any) -> Any:
    """`1,5,10`, as the command has it, and a single number, as lists."""
    if isinstance(value, str):
        return [part for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, int | float) else value


Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_parts)]
Warmths = Annotated[tuple[Annotated[float, Field(ge=0)], ...], BeforeValidator(_parts)]


class AuditPart(Part):
    """The settings of an audit: the options of `preferably audit NAME`."""


class Suppression(AuditPart):
    """Is an unwanted behavior gone, or only not shown?"""

    data: str = Field(description="prompts that bring it out")
    control: str | None = Field(None, description="a model that never learnt it")
    unwanted: str = Field("", description="what must not be said, for rows that do not say it")
    pattern: str = Field("", description="the same as a regular expression")
    judge: str | None = Field(None, description="1 where it shows: module:function or a judge's .yaml")
    prefill: Counts = Field((1, 2, 5, 10, 20), description="so many tokens of a reply that shows it are given")
    temperatures: Warmths = Field((0.0, 1.0, 1.5), description="that are tried beside temperature")
    relearn: bool = Field(True, description="train it back in, on copies")
    relearn_data: str | None = Field(None, description="demonstrations of it; default: half of the prompts")
    steps: Counts = Field((1, 5, 10, 50), min_length=1, description="of relearning, after which it is asked")
    relearn_rate: float | None = Field(None, gt=0, description="learning rate of relearning")
    samples: int = Field(4, ge=1, description="replies a prompt")
    temperature: float = Field(0.7, ge=0, description="of the replies")
    max_tokens: int = Field(64, ge=1, description="longest reply")
    limit: int | None = Field(None, ge=1, description="use so many prompts at most")


class Honesty(AuditPart):
    """Does it say that it is not sure where there is no answer, and only there?"""

    data: str = Field(description="questions: answerable (true, false), answer (a text or several)")
    checker: str | None = Field(None, description="module:function, 1 is right")
    stated: bool = Field(False, description="ask how sure it is")
    judge: Paths = Field((), description="judges and reward models, beside that of the road: do they like bluffs?")
    feedback: Paths = Field((), description="comparisons of labelers about the questions: do they?")
    learnt: Paths = Field((), description="what it learnt from, which may be about others; default: the job's")
    unsure: str = Field("", description="how it is to say so, where no reply of its own does")
    samples: int = Field(1, ge=1, description="replies a prompt")
    temperature: float = Field(0.7, ge=0, description="of the replies")
    max_tokens: int = Field(64, ge=1, description="longest reply")
    limit: int | None = Field(None, ge=1, description="use so many prompts at most")


class Safety(AuditPart):
    """Does it go along with what harms, and refuse what only sounds like it?"""

    data: str | None = Field(None, description="prompts: harmful (true, false), pair; default: harmless ones alone")
    judge: str | None = Field(None, description="1 where a reply goes along: module:function or a judge's .yaml")
    samples: int = Field(1, ge=1, description="replies a prompt")
    temperature: float = Field(0.7, ge=0, description="of the replies")
    max_tokens: int = Field(128, ge=1, description="longest reply")
    limit: int | None = Field(None, ge=1, description="use so many prompts at most")


class Course(AuditPart):
    """Was the reward gamed, and what was lost?"""

    judge: str = Field(description="who decides and was not trained against")
    data: str | None = Field(None, description="held-out prompts; default: those of the job")
    reward: Paths = Field((), description="what it was trained by; default: that of the run")
    taught_by: Paths = Field((), description="judges of the preferences that it learnt from, beside those of the job")
    best_of: int = Field(16, ge=1, description="with a reward: best of so many of the start, too")
    tasks: str | None = Field(None, description="what it must still do: prompts with answer")
    checker: str | None = Field(None, description="module:function, 1 is right, for tasks")
    samples: int = Field(1, ge=1, description="replies a prompt")
    limit: int = Field(200, ge=1, description="use so many prompts at most")
    max_tokens: int = Field(128, ge=1, description="longest reply")


AUDITS: dict[str, type[AuditPart]] = {"run": Course, "safety": Safety, "honesty": Honesty, "suppression": Suppression}
# Settings that name something outside, and what it is.
READS: dict[str, Holds] = {
    "data": "data", "control": "model", "judge": "judge", "checker": "judge", "feedback": "data",
    "learnt": "data", "relearn_data": "data", "reward": "judge", "taught_by": "judge",
    "tasks": "data",
}  # fmt: skip


def _audits(value: Any) -> Any:
    """`[run, {safety: {...}}]` as it is written, to settings by name."""
    if isinstance(value, str):
        value = [value]
    given: list[Any] = [{name: one} for name, one in value.items()] if isinstance(value, Mapping) else value
    if not isinstance(given, list | tuple):
        return given
    made: dict[str, AuditPart] = {}
    for one in given:
        if not isinstance(one, str) and not (isinstance(one, Mapping) and len(one) == 1):
            raise ValueError(f"is a list of names, each with its settings, such as - safety: {{data: safety.jsonl}}; "
                             f"got {one!r:.60}")  # fmt: skip
        name, settings = (one, None) if isinstance(one, str) else next(iter(one.items()))
        if name not in AUDITS:
            near = get_close_matches(str(name), AUDITS, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"there is no audit {name!r}; {hint}there are: {', '.join(AUDITS)}")
        if name in made:
            raise ValueError(f"{name} stands there twice, and a run has one of each")
        made[name] = settings if isinstance(settings, AuditPart) else _read(str(name), settings)
    return made


def _read(name: str, settings: Any) -> AuditPart:
    if settings is not None and not isinstance(settings, Mapping):
        raise ValueError(f"{name} has settings: {name}: {{data: ...}}; got {settings!r:.60}")
    try:
        return AUDITS[name](**dict(settings or {}))
    except ValidationError as error:
        told = []
        for one in error.errors():
            place = ".".join(str(part) for part in (name, *one["loc"]))
            message = one["msg"].removeprefix("Value error, ")
            message = "is empty; expected at least 1 number" if one["type"] == "too_short" else message
            told.append(
                f"{place} is missing: {_about(name, one)}" if one["type"] == "missing" else f"{place}: {message}"
            )
        raise ValueError("; ".join(told)) from None


def _about(name: str, error: Any) -> str:
    return str(AUDITS[name].model_fields[error["loc"][0]].description)


Audits = Annotated[dict[str, SerializeAsAny[AuditPart]], BeforeValidator(_audits)]


def read_by(settings: AuditPart) -> Iterator[tuple[str, str, Holds]]:
    """What an audit reads from outside: the setting, the name in it, and what that is."""
    for role, holds in READS.items():
        value = getattr(settings, role, None)
        for name in value if isinstance(value, tuple) else (value,):
            if name:
                yield role, str(name), holds


def filled(settings: AuditPart, prompts: str | None) -> AuditPart:
    """The settings with the held-out prompts of the job where the audit asks those and names none of its own."""
    own = isinstance(settings, Course) and settings.data is None
    return settings.model_copy(update={"data": prompts}) if own else settings


def taught(settings: AuditPart, comparisons: Sequence[str], scorers: Sequence[str], judges: Sequence[str]) -> AuditPart:
    """The settings with what a job knows of who taught its model: to an audit of a run, the judges of its preferences;
    to one of honesty, the reward models, and the comparisons where none are named."""
    if isinstance(settings, Course):
        return settings.model_copy(update={"taught_by": _each(*settings.taught_by, *judges)})
    if not isinstance(settings, Honesty):
        return settings
    learnt = settings.learnt or (() if settings.feedback else tuple(comparisons))
    return settings.model_copy(update={"learnt": learnt, "judge": _each(*settings.judge, *scorers)})


def _each(*names: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def roles_of(name: str) -> Iterator[tuple[str, bool]]:
    """The settings of an audit that name something outside, and whether they name several."""
    for role, field in AUDITS[name].model_fields.items():
        if role in READS:
            yield role, isinstance(field.default, tuple)


def options_of(settings: AuditPart) -> dict[str, Any]:
    """The settings as options of the command: lists of numbers with commas, and what is false left out."""
    told: dict[str, Any] = {}
    for name, value in settings.model_dump().items():
        if isinstance(value, bool):
            continue
        numbers = isinstance(value, tuple) and name not in READS
        told[name] = ",".join(f"{one:g}" for one in value) if numbers else None if value == "" else value
    return told


def switches_of(settings: AuditPart) -> list[str]:
    """Options without a value, where they are not as the command has them."""
    fields = type(settings).model_fields
    return [
        f"--{name}" if value else f"--no-{name}"
        for name, value in settings.model_dump().items()
        if isinstance(value, bool) and value != fields[name].default
    ]
