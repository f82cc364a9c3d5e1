"""What `align.yaml` says: the whole job in one file, every key checked before anything begins."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from preferably.config import ALIASES, read_yaml, settings
from preferably.errors import ConfigError
from preferably.judging.settings import is_judge_file
from preferably.methods import METHODS, method_named
from preferably.pipeline.audits import Audits, Course
from preferably.pipeline.part import Part, Paths

Gate = Literal["stop", "warn"]
Share = Annotated[float, Field(ge=0, le=1)]
OWN = ("model", "output", "resume")  # of a training: what the job itself decides


class Ready(Part):
    """Can the model do the task at all? Asked before preferences are."""

    checker: str | None = Field(None, description="score function, 1 is right: module:function")
    format: str | None = Field(None, description="regular expression that a whole answer must match")
    samples: int = Field(4, ge=1, description="answers a prompt")
    max_tokens: int = Field(256, ge=1, description="longest answer")
    limit: int = Field(64, ge=1, description="prompts looked at")
    gate: Gate = Field("stop", description="stop where it is not ready, or warn")

    @field_validator("format")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return value


class Source(Part):
    """One source of preferences: files, a store, or samples of the newest model that somebody judges."""

    files: Paths = Field((), description="files of feedback")
    store: str | None = Field(None, description="a store of judgments, by people or others")
    judge: str | None = Field(
        None, description="a judge's .yaml, which compares samples; or module:function or a reward model, which score"
    )
    constitution: str | None = Field(None, description="principles that the judge goes by, one a prompt")
    prompts: str | None = Field(None, description="file of prompts that the model answers, to be judged")
    models: Paths = Field((), description="answer too: the judge compares them with the newest model")
    samples: int = Field(2, ge=1, description="answers a prompt, of each model")
    temperature: float = Field(1.0, ge=0, description="of these answers")
    max_tokens: int = Field(256, ge=1, description="longest answer")
    limit: int | None = Field(None, ge=1, description="use so many prompts at most")
    orders: Literal["both", "random"] = Field("both", description="of a pair as a language model sees it")
    max_failed: Share = Field(0.01, description="stop where more questions than this share get no answer")

    @model_validator(mode="after")
    def _one_kind(self) -> "Source":
        kinds = [bool(self.files), self.store is not None, self.sampled]
        if sum(kinds) != 1:
            raise ValueError("is either files, or a store, or a judge (with a constitution or not)")
        if self.sampled and not (self.judge and self.prompts):
            raise ValueError("of samples needs both judge and prompts: the file of prompts that are answered")
        given = self.model_fields_set - {"files", "store"}
        unread = sorted(name for name in given if getattr(self, name) != type(self).model_fields[name].default)
        if unread and not self.sampled:
            raise ValueError(
                f"has {', '.join(unread)}, which only a judge needs: what is there is read whole; leave it out"
            )
        if self.sampled and self.samples < 2 and not self.models:
            raise ValueError("has one answer a prompt, so there is nothing to compare; let samples be 2 or more")
        asks = is_judge_file(self.judge or "")
        if (self.constitution or self.models) and not asks:
            raise ValueError("has a constitution or models, which only a language model judges: judge is a .yaml file")
        return self

    @property
    def sampled(self) -> bool:
        """Whether it is made anew of the newest model in every round."""
        return self.judge is not None or self.constitution is not None


class Check(Part):
    """What preferences must be like before anything is trained on them."""

    max_rejected: Share = Field(0.01, description="share of rows at fault")
    max_conflicts: Share = Field(0.05, description="share of rows that contradict an earlier one")
    max_longer: Share | None = Field(None, description="share of pairs of which the longer answer is the chosen one")
    min_longer: Share | None = Field(None, description="the same from below, as where shorter is not the aim")
    least: int = Field(1, ge=1, description="pairs (labels, ...) that there must be")
    gate: Gate = Field("stop", description="stop where one of these is not so, or warn")


class Evaluate(Part):
    """How each trained model is held against the model that the job started preference training from."""

    judge: str = Field(description="module:function, a judge's .yaml, a reward model, or people[:STORE]")
    samples: int = Field(1, ge=1, description="answers a prompt")
    temperature: float = Field(0.7, ge=0, description="of both models; 0 is greedy")
    max_tokens: int = Field(256, ge=1, description="longest answer")
    limit: int | None = Field(None, ge=1, description="use so many prompts at most")
    slices: Paths = Field((), description="columns of the prompts to tell the win rate by")
    axes: dict[str, str] = Field({}, description="judges of one axis each: {voice: rules.py:voice}")
    previous: bool = Field(True, description="with iterate: also against the round before")


def _ours(values: Any) -> Any:
    """Settings of a training under our names."""
    if not isinstance(values, Mapping):
        return values
    return {key if key == "loss_type" else ALIASES.get(str(key), str(key)): value for key, value in values.items()}


Training = Annotated[dict[str, Any], BeforeValidator(_ours)]


class Road(Part):
    """One way of training: a method on preferences, or a reward model and an online method against it."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")  # folders are called so
    method: str
    settings: Training = {}
    reward: Training | None = None  # settings of the reward model that is trained first
    guard: Training | None = None  # those by which a second one differs, which watches

    @property
    def reads(self) -> str:
        """The kind of feedback that it reads as preferences; nothing where all that it learns from is data of its own,
        or what it draws itself."""
        method = method_named("reward" if self.reward is not None else self.method)
        own = all("data" in one for one in self.scorers.values() or [self.settings])
        return "" if method.online or own else method.feedback

    @property
    def scorers(self) -> dict[str, dict[str, Any]]:
        """The reward models that are trained for it, by role. A guard without data of its own learns from the other
        half of the labels."""
        if self.reward is None:
            return {}
        if self.guard is None:
            return {"reward": self.reward}
        first, other = ({}, {}) if "data" in self.guard else ({"half": "a"}, {"half": "b"})
        shared = {key: value for key, value in self.reward.items() if key not in ("data", "half")}
        return {"reward": first | self.reward, "guard": shared | other | self.guard}


def _roads(value: Any) -> Any:
    """`{method: dpo, ...}` and `{reward: {...}, ppo: {...}}` as they are written, to roads."""
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    made: list[Any] = []
    for one in value:
        if isinstance(one, Road) or not isinstance(one, Mapping):
            made.append(one)
            continue
        rest = dict(one)
        name = rest.pop("name", None)
        if isinstance(rest.get("reward"), Mapping):
            scorers = {role: rest.pop(role) for role in ("reward", "guard") if role in rest}
            [*methods] = rest
            if len(methods) != 1 or not isinstance(rest[methods[0]], Mapping | None):
                raise ValueError(
                    "with a reward model is written {reward: {...}, ppo: {...}}, with a guard {reward: {...}, guard: "
                    "{}, ppo: {...}}: one method beside them"
                )
            found = scorers | {"method": methods[0], "settings": dict(rest[methods[0]] or {})}
        elif "method" in rest:
            found = {"method": rest.pop("method"), "settings": rest}
        else:
            raise ValueError("needs a method: {method: dpo, ...}, or {reward: {...}, ppo: {...}}")
        made.append(found | {"name": name or _plain(str(found["method"]))})
    return made


def _plain(method: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in method)


class AlignSettings(Part):
    """The keys of `align.yaml`."""

    model: str = Field(description="a directory, a run or a hub id of a causal LM that the job begins with")
    output: str = Field(description="the folder of the whole job")
    seed: int = Field(0, ge=0, lt=2**31, description="of everything that chance decides")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="what matrix products are computed in")
    prompts: str | None = Field(None, description="held-out prompts, which nothing may be trained on")
    sft: Training | None = Field(None, description="data, and settings of `preferably train sft`")
    ready: Ready | None = Field(None, description="the readiness gate")
    preferences: tuple[Source, ...] = Field((), description="where preferences come from")
    check: Check | None = Field(Check.model_validate({}), description="the data gate")
    train: Annotated[tuple[Road, ...], BeforeValidator(_roads)] = Field((), description="what is trained on them")
    evaluate: Evaluate | None = Field(None, description="how the models are judged")
    audit: Audits = Field({}, description="audits of each trained model, by name")
    iterate: int = Field(1, ge=1, le=100, description="rounds of sampling, judging and training")

    @model_validator(mode="after")
    def _fits(self) -> "AlignSettings":
        if self.sft is None and not self.train:
            raise ValueError("nothing is to be trained: give sft, train, or both")
        if (self.evaluate or self.ready) and not self.prompts:
            raise ValueError("prompts is missing: a file of held-out prompts for ready and evaluate")
        if self.audit and not self.train:
            raise ValueError("audit looks at what was trained on preferences, and nothing is: give train")
        if isinstance(course := self.audit.get("run"), Course) and not (self.prompts or course.data):
            raise ValueError("audit.run has no prompts: give data, or prompts of the whole job")
        if self.preferences and not self.train:
            raise ValueError("there are preferences and nothing is trained on them: give train, or leave them out")
        if self.evaluate and not self.train:
            raise ValueError("evaluate judges what was trained on preferences, and nothing is: give train")
        if self.iterate > 1 and not any(one.sampled for one in self.preferences):
            raise ValueError("iterate repeats sample, judge and train, and no source has a judge to repeat")
        names = [road.name for road in self.train]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two roads of train are called {min(twice)!r}; give each a name of its own")
        for road in self.train:
            self._trains(road)
        return self

    def _trains(self, road: Road) -> None:
        row = method_named(road.method)
        if row.scores or road.method == "sft":
            raise ValueError(f"{road.method} is no road by itself; sft has a key, and reward comes with a method")
        if road.reward is not None and not row.online:
            online = ", ".join(name for name, one in METHODS.items() if one.online)
            raise ValueError(f"{road.method} learns from preferences and has no reward; those with one are {online}")
        if road.guard is not None and "guard" in road.settings:
            raise ValueError(f"{road.name} has two guards: one beside reward, and one among its settings; give one")
        if road.guard is not None and "data" not in road.guard and {"half"} & {*(road.reward or ()), *road.guard}:
            raise ValueError(f"half is decided by guard, which learns from the other one; leave it out of {road.name}")
        own = road.settings.get("data")
        prompts = own or any(source.prompts for source in self.preferences)
        if row.online and not prompts:
            raise ValueError(f"{road.name} draws its own completions: give it data, a file of prompts to train on")
        if (not row.online or road.reward is not None) and not (self.preferences or own and not row.online):
            raise ValueError(f"{road.name} learns from preferences, and there are none: give preferences")
        if row.feedback == "labels" and not own:
            self._labels(road)

    def _labels(self, road: Road) -> None:
        """Raise where a round would have nothing for a road that learns from labels: scores give none."""
        asked = any(is_judge_file(one.judge or "") for one in self.preferences)
        there = any(not one.sampled for one in self.preferences)
        if asked or (there and self.iterate == 1):
            return
        where, other = ("from round 2 on ", ", or iterate: 1") if there else ("", ", or files")
        raise ValueError(
            f"{road.name} learns from labels, and {where}no source gives any: scores of a function or a reward model "
            f"say which answer is better, not which is good. Expected a judge's .yaml as judge{other}, or a method on "
            "pairs"
        )


def align_settings(values: Mapping[str, Any], where: str = "the settings") -> AlignSettings:
    """The settings of a job; `ConfigError` for what `where` has wrong, those of each training included."""
    try:
        made = AlignSettings(**values)
    except ValidationError as error:
        raise ConfigError(f"{where} cannot be used: {'; '.join(map(_told, error.errors()))}.") from None
    trained = [("sft", "sft", made.sft)] if made.sft is not None else []
    for road in made.train:
        trained += [(f"the {role} of {road.name}", "reward", given) for role, given in road.scorers.items()]
        own = {role: "reward-model" for role in road.scorers}
        trained.append((f"train {road.name}", road.method, road.settings | own))
    for what, method, given in trained:
        _check_training(where, what, method, given or {})
    return made


def read_align(file: str | Path, changes: Mapping[str, Any] | None = None) -> AlignSettings:
    """The settings in a YAML file, with `changes` (dotted names to values: `train.0.beta`) on top.

    `ConfigError` for a file or a change that cannot be used.
    """
    values: Any = read_yaml(Path(file))
    for name, value in (changes or {}).items():
        _set(values, name, value)
    return align_settings(values, str(file))


def _set(values: Any, name: str, value: Any) -> None:
    *path, last = name.split(".")
    at = values
    try:
        for part in path:
            at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
        at[int(last) if isinstance(at, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise ConfigError(f"--set {name}: there is no such place in the file; lists are counted from 0.") from None


def _check_training(where: str, what: str, method: str, given: Mapping[str, Any]) -> None:
    if taken := [name for name in OWN if name in given]:
        raise ConfigError(f"{where}, {what}: {taken[0]} is decided by the job; leave it out.")
    try:
        made = settings({"method": method, "model": "-", "output": "-"} | dict(given))
    except ConfigError as error:
        raise ConfigError(f"{where}, {what}: {error}") from None
    if made.processes > 1:
        raise ConfigError(
            f"{where}, {what}: align trains in one process; leave out processes {made.processes}, or train by hand "
            "with the command that --dry-run prints."
        )


def _told(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    got = "" if error["type"] in ("value_error", "missing") else f" (got {error.get('input')!r:.60})"
    return f"{place + ': ' if place else ''}{message}{got}"
