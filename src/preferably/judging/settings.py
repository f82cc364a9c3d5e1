"""A judge that is a language model, as a file describes it: where it is, what it is asked, and what it may cost."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from preferably.config import read_yaml
from preferably.errors import ConfigError
from preferably.remote.server import Server
from preferably.remote.spending import Spending

Whether = Annotated[
    Literal["auto", "yes", "no"],
    BeforeValidator(
        lambda value: {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
    ),  # as YAML reads
]
# Names of what opens a door, as words of a request's body; `max_tokens` and `prompt_cache_key` are none.
SECRET = re.compile(
    r"(api|access|private|secret|auth|subscription)[-_ ]?key|(access|auth|api|bearer|refresh|session|id)[-_ ]?token"
    r"|secret|passw|authori[sz]ation|credential|^(key|token|auth|bearer)$", re.IGNORECASE,
)  # fmt: skip
Price = Annotated[float, Field(ge=0)]


class JudgeSettings(BaseModel):
    """The keys of a judge's file. Keys of servers are never among them: `key_env` names a variable."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    server: str = Field(description="URL of a server in OpenAI's form, with its version: http://127.0.0.1:8000/v1")
    model: str = Field(description="the model, as the server calls it")
    key_env: str = Field("", description="the environment variable with the server's key; without it none is sent")
    replies: str = Field("preferably.db", description="the store in which replies are kept, so that none is paid twice")
    name: str = Field("", description="what the labeler is called in the store; default: the model")

    rubric: str = Field("", description="what makes a reply better, in your words")
    axes: dict[str, str] = Field({}, description="axes of ratings, with what each means: {honest: says what is true}")
    scale: int = Field(10, ge=2, le=100, description="the best rating; 1 is the worst")
    ties: bool = Field(True, description="whether it may find two replies equally good")
    reasons: bool = Field(False, description="whether it says why first; dearer, and log-probs then follow from that")
    reference: str = Field("", description="column of the rows with a reference answer that is shown to it")

    temperature: float | None = Field(0.0, ge=0, description="none leaves it to the server")
    max_tokens: int | None = Field(512, ge=1, description="longest reply; none leaves it to the server")
    extra: dict[str, Any] = Field({}, description="more of the request's body: {reasoning_effort: low}")
    schema_: Whether = Field("auto", alias="schema", description="whether the server is told the form of the verdict")
    logprobs: Whether = Field("auto", description="whether log-probs are asked for, for how sure it is")

    timeout: float = Field(120.0, gt=0, description="seconds for one try")
    deadline: float = Field(900.0, gt=0, description="seconds for one question, with all tries and waits")
    concurrency: int = Field(8, ge=1, description="questions at one time")
    max_requests: int | None = Field(None, ge=1, description="stop after so many, further tries among them")
    max_total_tokens: int | None = Field(None, ge=1, description="stop before all requests together take more")
    max_cost: float | None = Field(None, gt=0, description="stop before they cost more; needs prices")
    prices: tuple[Price, Price] | None = Field(None, description="of a million tokens asked, and of a million replied")

    @property
    def labeler(self) -> str:
        """Who says it, in the store."""
        return self.name or self.model

    def at(self) -> Server:
        """The server, and how it is asked."""
        return Server(self.server, self.key_env, self.timeout, self.deadline, self.concurrency)

    def spending(self) -> Spending:
        """The limits, with nothing spent."""
        return Spending(self.max_requests, self.max_total_tokens, self.max_cost, self.prices)


def is_judge_file(name: str) -> bool:
    """Whether a name is that of a file which describes judges, or models on servers."""
    return name.lower().endswith((".yaml", ".yml"))


def judge_settings(values: dict[str, Any], where: str = "the judge") -> JudgeSettings:
    """Settings from names and values; `ConfigError` for what `where` has wrong."""
    try:
        made = JudgeSettings(**values)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        names = ", ".join(field.alias or name for name, field in JudgeSettings.model_fields.items())
        raise ConfigError(f"{where} cannot be used: {told}. There are: {names}.") from None
    if found := next((name for name in _names(made.extra) if SECRET.search(name)), None):
        raise ConfigError(
            f"{where}: {found!r} in extra looks like a key, which has no place in files; put it into an environment "
            "variable, and name that by key_env."
        )
    made.at()
    made.spending()
    return made


def _names(value: Any) -> Iterator[str]:
    """All names in a value, however deep."""
    if isinstance(value, dict):
        yield from map(str, value)
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from _names(one)


def read_judges(file: str | Path) -> list[JudgeSettings]:
    """The judge that a YAML file describes, or those of its `panel`: a list of what differs from the rest of the file.

    `ConfigError` for a file that cannot be read or used.
    """
    values = dict(read_yaml(Path(file)))
    panel = values.pop("panel", [{}])
    if not isinstance(panel, list) or not panel or not all(isinstance(one, dict) for one in panel):
        raise ConfigError(f"{file}: panel is a list of judges, each with what differs: - model: NAME.")
    made = []
    for one in panel:
        # The key of one server is for nobody else.
        elsewhere = one.get("server", values.get("server")) != values.get("server")
        made.append(judge_settings(values | ({"key_env": ""} if elsewhere else {}) | one, str(file)))
    names = [one.labeler for one in made]
    if len(set(names)) < len(names):
        raise ConfigError(f"{file}: two judges of the panel have the same name; give each a name.")
    return made
