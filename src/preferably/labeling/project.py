"""What people are asked and how, as a file describes it: guidelines, rubric, examples, a qualification, quotas, pay."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from preferably.config import read_yaml
from preferably.errors import ConfigError

Kind = Literal["pair", "ranking", "rating", "thumbs", "edit"]
Share = Annotated[float, Field(ge=0, le=1)]
MOST_PEOPLE = 100  # that one task is for
FLAGS = ("ambiguous prompt", "harmful", "personal data")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Axis(_Part):
    """One axis of the rubric, on which completions are rated."""

    name: str = Field(min_length=1, max_length=60)
    question: str = Field(default="", description="what the labeler asks themselves")
    points: int = Field(default=5, ge=2, le=10, description="the best rating; 1 is the worst")
    worst: str = Field(default="", description="what 1 stands for")
    best: str = Field(default="", description="what the best rating stands for")


class Example(_Part):
    """A prompt whose better completion is known, and why: to learn from, or to be tried with."""

    prompt: str = Field(min_length=1)
    completions: tuple[str, str] = Field(description="two answers")
    chosen: Literal[0, 1, "tie", "both_bad"] = Field(description="the better one, counted from 0")
    why: str = Field(default="", description="told to the labeler once they have answered")


class Qualification(_Part):
    """A round that comes before the first task."""

    items: tuple[Example, ...] = ()
    passed: Share = Field(default=0.8, description="the share of right answers from which on a labeler may begin")
    tries: int = Field(default=2, ge=1, description="how often it may be taken")


class Gold(_Part):
    """Tasks whose answer is known, hidden among the others."""

    share: Share = Field(
        default=0.1, description="of the tasks that a labeler is given, while there are any that are new to them"
    )
    feedback: bool = Field(
        default=True, description="whether the labeler is told afterwards that it was one, and what is right"
    )


class Pay(_Part):
    """What labeling costs, for the forecast."""

    per_judgment: float = Field(default=0.0, ge=0)
    per_hour: float = Field(default=0.0, ge=0)
    currency: str = Field(default="EUR", max_length=8)


class Question(_Part):
    """A question about the labeler that nobody has to answer."""

    ask: str = Field(min_length=1)
    choices: tuple[str, ...] = Field(min_length=2)


class Project(_Part):
    """The keys of a project's file (docs/labeling.md)."""

    title: str = Field(default="Which answer is better?", min_length=1, max_length=120)
    version: str = Field(default="1", max_length=64, description="of the guidelines; stands with every judgment")
    guidelines: str = Field(default="", description="Markdown")
    rubric: tuple[Axis, ...] = ()
    strengths: tuple[str, ...] = Field(
        default=("slightly better", "better", "much better"),
        max_length=5,
        description="words for 1, 2, ...; none asks for none",
    )
    flags: tuple[str, ...] = FLAGS
    examples: tuple[Example, ...] = ()
    qualification: Qualification = Field(default_factory=lambda: Qualification())
    gold: Gold = Field(default_factory=lambda: Gold())
    overlap: int = Field(default=1, ge=1, le=MOST_PEOPLE, description="how many people answer each task")
    lease_minutes: float = Field(
        default=30.0, gt=0, description="for how long a task is kept for whoever has it on the page"
    )
    quotas: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default={}, description="by group of labelers, the most judgments that are wanted of it"
    )
    pay: Pay = Field(default_factory=lambda: Pay())
    demographics: tuple[Question, ...] = ()

    @model_validator(mode="after")
    def _names_once(self) -> "Project":
        for what, names in (
            ("axis", [axis.name for axis in self.rubric]), ("flag", list(self.flags)),
            ("demographic question", [one.ask for one in self.demographics]),
        ):  # fmt: skip
            if len(set(names)) < len(names):
                raise ValueError(f"two of the same {what}")
        return self


def project_of(values: dict[str, Any], where: str = "the project") -> Project:
    """A project from names and values; `ConfigError` for what `where` has wrong."""
    try:
        return Project(**values)
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}, got {one['input']!r:.60}"
            for one in error.errors()
        )
        keys = f" There are: {', '.join(Project.model_fields)}." if "extra_forbidden" in _kinds(error) else ""
        raise ConfigError(f"{where} cannot be used: {told}.{keys} docs/labeling.md has every key.") from None


def _kinds(error: ValidationError) -> set[str]:
    return {one["type"] for one in error.errors()}


def read_project(file: str | Path | None) -> Project:
    """The project that a YAML file describes; the plain one where there is none. `ConfigError` as `project_of`."""
    return Project() if file is None else project_of(dict(read_yaml(Path(file))), str(file))
