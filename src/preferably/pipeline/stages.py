"""The stages of a job in their order: what each reads, what it makes where, and the same as a command."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from preferably.config import settings
from preferably.errors import ConfigError
from preferably.judging.parts import model_names
from preferably.judging.settings import is_judge_file
from preferably.methods import method_named
from preferably.pipeline.audits import READS, AuditPart, filled, options_of, read_by, switches_of, taught
from preferably.pipeline.plan import AlignSettings, Road, Source

Kind = Literal["sft", "ready", "sample", "judge", "check", "train", "evaluate", "audit"]
Holds = Literal["data", "model", "judge", "file"]
SAMPLES, JUDGMENTS, FINDINGS, LABELERS = "samples.jsonl", "judgments.db", "findings.json", "labelers.json"
REWARDS = ("reward", "guard")  # settings of a training that name judges, models and files
MODELS = ("reference_model", "critic")
FILES = ("held_out_data", "ptx_data")
FREE = ("keep", "memory_limit", "track", "max_rejected")  # settings of a training that change nothing of its model
RULE = re.compile(r":|^(.*\*)?\s*length$")  # in the name of a judge that is no reward model: a function, a form, length
MAX_REJECTED = 0.01  # where the file has no check
TAKEN = ("earlier", "align.json", "report.html")  # in the output: no stage
KEPT = 8  # checkpoints along which a job audits a run: with evaluations five are made


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that a stage reads: from outside, or what an earlier stage makes."""

    role: str
    name: str  # as it is given to whatever reads it
    holds: Holds
    stage: str = ""  # that makes it; empty for what comes from outside


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a job. `name` is also its folder in the output."""

    name: str
    kind: Kind
    settings: dict[str, Any]  # that decide what comes out, without names of inputs
    inputs: tuple[Input, ...]
    command: str
    folder: Path
    round: int = 1
    road: str = ""
    method: str = ""
    model: str = ""  # that it is about
    free: dict[str, Any] = field(default_factory=dict)  # settings by which what comes out does not change

    @property
    def needs(self) -> list[str]:
        """The stages whose outputs it reads."""
        return list(dict.fromkeys(one.stage for one in self.inputs if one.stage))

    def named(self, role: str) -> list[str]:
        """The names of its inputs in a role."""
        return [one.name for one in self.inputs if one.role == role]


@dataclass(slots=True)
class Newest:
    """The model that a road has come to, and who makes it."""

    name: str
    stage: str = ""

    def as_input(self, role: str = "model") -> Input:
        """As what a stage reads."""
        return Input(role, self.name, "model", self.stage)


def stages_of(settings: AlignSettings, *, lenient: bool = False) -> list[Stage]:
    """All stages of a job, each after those that it needs. A `lenient` job trains on preferences that its check would
    not let pass: a training leaves out as many rows at fault as there are."""
    return _Making(settings, lenient).all()


@dataclass(slots=True)
class _Making:
    settings: AlignSettings
    lenient: bool
    made: list[Stage] = field(default_factory=list)

    def all(self) -> list[Stage]:
        made = self.settings
        start = Newest(made.model)
        if made.sft is not None:
            start = Newest(*self._trained("sft", "sft", "sft", made.sft, start, (), 1, ""))
        if made.ready is not None:
            self._ready(start)
        roads = {road.name: Newest(start.name, start.stage) for road in made.train}
        learnt: dict[str, list[Input]] = {name: [] for name in roads}  # of all rounds, for reward models
        for number in range(1, made.iterate + 1):
            apart = number > 1 and len(roads) > 1  # in the first round all roads begin at one model
            reading = any(road.reads for road in made.train)
            shared = self._preferences(number, next(iter(roads.values())), "") if reading and not apart else []
            for road in made.train:
                data = self._preferences(number, roads[road.name], road.name) if apart and road.reads else shared
                learnt[road.name] += data
                self._round(number, road, roads, data, learnt[road.name], start)
        return self.made

    def _round(
        self, number: int, road: Road, roads: dict[str, Newest], data: Sequence[Input], learnt: Sequence[Input],
        start: Newest,
    ) -> None:  # fmt: skip
        """Train one road for one round, and look at what came of it."""
        made, before = self.settings, roads[road.name]
        own, method = dict(road.settings), method_named(road.method)
        extra: list[Input] = []
        for role, given in road.scorers.items():
            name = self._name(number, f"{road.name}-{role}")
            scorer = Newest(*self._trained(name, "train", "reward", given, start, learnt, number, road.name))
            extra.append(scorer.as_input(role))
        if method.online:
            prompts = _listed(own.pop("data", None)) or [str(one.prompts) for one in made.preferences if one.prompts]
            data = [Input("data", file, "data") for file in dict.fromkeys(prompts)]
        name = self._name(number, road.name)
        roads[road.name] = Newest(
            *self._trained(name, "train", road.method, own, before, data, number, road.name, extra)
        )
        if made.evaluate is not None:
            self._evaluate(number, road, roads[road.name], start, f"evaluate-{road.name}")
            if number > 1 and made.evaluate.previous:
                self._evaluate(number, road, roads[road.name], before, f"evaluate-{road.name}-over-previous")
        taught_by = [one.name for one in extra if one.role == "reward"]
        for audit, chosen in made.audit.items():
            self._audit(number, road, roads[road.name], start, audit, chosen, *taught_by)

    def _name(self, number: int, name: str) -> str:
        return name if self.settings.iterate == 1 else f"round-{number}/{name}"

    def _add(
        self, name: str, number: int, kind: Kind, settings: dict[str, Any], inputs: Sequence[Input], command: str,
        *, whole: bool = False, **more: Any,
    ) -> Stage:  # fmt: skip
        name = name if whole else self._name(number, name)
        folder = Path(self.settings.output) / name
        told = command.replace("{folder}", shlex.quote(str(folder)))
        if name in TAKEN or any(one.name == name for one in self.made):
            raise ConfigError(
                f"Two things of the job would be in {folder}: {name!r} is taken, so give that road another name."
            )
        made = Stage(name, kind, settings, tuple(inputs), told, folder, number, **more)
        self.made.append(made)
        return made

    def _let_pass(self, road: str = "") -> float:
        """The share of rows at fault that is no reason to stop: by the gate, or without one by the strictest of the
        trainings that read them."""
        check = self.settings.check
        if check is not None:
            return 1.0 if self.lenient or check.gate == "warn" else check.max_rejected
        reading = [one for one in self.settings.train if road in ("", one.name) and one.reads]
        own = [given for one in reading for given in (one.scorers.values() or [one.settings])]
        limits = (float(one.get("max_rejected", MAX_REJECTED)) for one in own if not one.get("data"))
        return min(limits, default=MAX_REJECTED)

    def _prompts(self) -> Input:
        return Input("prompts", str(self.settings.prompts), "data")

    def _trained(
        self, name: str, kind: Kind, method: str, own: Mapping[str, Any], start: Newest, data: Sequence[Input],
        number: int, road: str, extra: Sequence[Input] = (),
    ) -> tuple[str, str]:  # fmt: skip
        """A stage that trains; its folder and its name."""
        made, given = self.settings, dict(own)
        if made.check is not None and kind == "train":  # what the gate lets pass is not refused behind it
            given.setdefault("max_rejected", self._let_pass())
        if road and not method_named(method).scores and "run" in made.audit:
            given.setdefault("keep", KEPT)
        files = _listed(given.pop("data", None))
        read = [Input("data", file, "data") for file in files] if files else list(data)
        inputs = [start.as_input(), *read, *extra]
        for key, holds in [*((one, "judge") for one in REWARDS), *((one, "model") for one in MODELS),
                           *((one, "data") for one in FILES)]:  # fmt: skip
            for value in _listed(given.pop(key, None)):
                inputs.append(Input(key, value, holds))  # type: ignore[arg-type]
        given = _typed(method, {"seed": made.seed, "device": made.device, "dtype": made.dtype} | given)
        told = ["preferably train", method, *_flags([(one.role, one.name) for one in inputs]), "--output {folder}",
                *_set(given)]  # fmt: skip
        free = {key: given.pop(key) for key in FREE if key in given}
        stage = self._add(
            name, number, kind, given, inputs, " ".join(told), whole=True, road=road, method=method, model=start.name,
            free=free,
        )  # fmt: skip
        return str(stage.folder), stage.name

    def _ready(self, start: Newest) -> None:
        made = self.settings.ready
        assert made is not None
        asked: dict[str, Any] = made.model_dump(include={"format", "samples", "max_tokens", "limit"})
        checker = [Input("checker", made.checker, "judge")] if made.checker else []
        inputs = [start.as_input(), self._prompts(), *checker]
        own = asked | {"seed": self.settings.seed, "device": self.settings.device, "dtype": self.settings.dtype}
        flags = {"model": start.name, "data": self.settings.prompts, "checker": made.checker} | own
        command = " ".join(["preferably ready", *_flags(flags.items())])
        self._add("ready", 1, "ready", own, inputs, command, whole=True, model=start.name)

    def _preferences(self, number: int, newest: Newest, road: str) -> list[Input]:
        """The stages that make preferences, and the one that checks them; what is learnt from."""
        data: list[Input] = []
        ending = f"-{road}" if road else ""
        for at, source in enumerate(self.settings.preferences, 1):
            if source.sampled:
                data.append(self._sampled(number, source, newest, f"{at}{ending}", road))
            elif number == 1:  # what is there before is learnt once; later rounds are about the newest model
                names = source.files or (str(source.store),)
                data += [Input("data", name, "data") for name in names]
        if data and self.settings.check is not None:
            check = self.settings.check
            held = [self._prompts()] if self.settings.prompts else []
            kinds = sorted({one.reads for one in self.settings.train if road in ("", one.name)} - {""})
            files = " ".join(shlex.quote(one.name) for one in data)
            told = _flags([("held_out", one.name) for one in held] + [("max_rejected", check.max_rejected)])
            self._add(
                f"check{ending}", number, "check", {"kinds": kinds, "max_rejected": check.max_rejected},
                [*data, *held], " ".join(["preferably data check", files, *told]), road=road,
            )  # fmt: skip
        return data

    def _sampled(self, number: int, source: Source, newest: Newest, ending: str, road: str) -> Input:
        asks, seed = is_judge_file(str(source.judge)), self.settings.seed + number - 1
        own: dict[str, Any] = source.model_dump(include={"samples", "temperature", "max_tokens", "limit"})
        own |= {"seed": seed, "device": self.settings.device, "dtype": self.settings.dtype}
        prompts = Input("prompts", str(source.prompts), "data")
        others = [Input("model", name, "judge" if is_judge_file(name) else "model") for name in source.models]
        scored = [] if asks else [Input("reward", str(source.judge), "judge")]
        models = ",".join([newest.name, *source.models])
        flags = {
            "models" if others else "model": models,
            "data": source.prompts,
            "reward": [one.name for one in scored],
        }
        command = " ".join(["preferably sample", *_flags((flags | own).items()), f"--output {{folder}}/{SAMPLES}"])
        inputs = [newest.as_input(), *others, prompts, *scored]
        drawn = self._add(
            f"sample-{ending}", number, "sample", own, inputs, command, road=road, model=newest.name,
            free={"max_failed": source.max_failed},
        )  # fmt: skip
        rows = Input("data", str(drawn.folder / SAMPLES), "data", drawn.name)
        return self._judged(number, source, rows, ending, road, seed)

    def _judged(self, number: int, source: Source, rows: Input, ending: str, road: str, seed: int) -> Input:
        inputs = [rows, Input("judge", str(source.judge), "judge")]
        own: dict[str, Any] = {"orders": source.orders, "seed": seed}
        free = {"max_failed": source.max_failed, "max_rejected": self._let_pass(road)}
        what, told = "judge run", {"judge": source.judge} | own
        if source.constitution is not None:
            inputs.append(Input("constitution", source.constitution, "file"))
            what = f"judge constitution {shlex.quote(source.constitution)}"
        elif not is_judge_file(str(source.judge)):  # it scored the answers when they were drawn
            kind = "rule" if RULE.search(str(source.judge)) else "model"
            own, what = {"kind": kind}, "label import"
            told = {"labeler": source.judge, "labeler_kind": kind}
        told |= {"max_rejected": free["max_rejected"]}
        command = " ".join(
            ["preferably", what, shlex.quote(rows.name), *_flags(told.items()), f"--store {{folder}}/{JUDGMENTS}"]
        )
        made = self._add(f"judge-{ending}", number, "judge", own, inputs, command, road=road, free=free)
        return Input("data", str(made.folder / JUDGMENTS), "data", made.name)

    def _evaluate(self, number: int, road: Road, model: Newest, against: Newest, name: str) -> None:
        made = self.settings.evaluate
        assert made is not None
        own: dict[str, Any] = made.model_dump(include={"samples", "temperature", "max_tokens", "limit"})
        own |= {"seed": self.settings.seed, "device": self.settings.device, "dtype": self.settings.dtype}
        judges = [Input("judge", made.judge, "judge")]
        judges += [Input(f"axis {axis}", judge, "judge") for axis, judge in made.axes.items()]
        flags = {"model": model.name, "against": against.name, "data": self.settings.prompts, "judge": made.judge}
        more = {"slice": made.slices, "axis": [f"{axis}={judge}" for axis, judge in made.axes.items()]}
        output = [] if name == f"evaluate-{road.name}" else ["--output {folder}"]
        command = " ".join(["preferably evaluate", *_flags((flags | own | more).items()), *output])
        inputs = [model.as_input(), against.as_input("against"), self._prompts(), *judges]
        own |= {"slices": list(made.slices), "axes": list(made.axes)}
        self._add(name, number, "evaluate", own, inputs, command, road=road.name, model=model.name)

    def _audit(
        self, number: int, road: Road, model: Newest, against: Newest, audit: str, chosen: AuditPart, reward: str = ""
    ) -> None:  # fmt: skip
        kind = road.reads
        sources = self.settings.preferences if kind else ()
        there = [name for one in sources for name in (*one.files, *([one.store] if one.store else []))]
        comparisons = there if kind in ("pairs", "rankings") else []
        judges = [one.judge for one in sources if one.judge]
        scorers = [*([reward] if reward else []), *model_names(_listed(road.settings.get("reward")))]
        chosen = taught(filled(chosen, self.settings.prompts), comparisons, scorers, judges)
        own = {"seed": self.settings.seed, "device": self.settings.device, "dtype": self.settings.dtype}
        flags = {"model": model.name, "against": against.name} | options_of(chosen) | own
        command = " ".join(["preferably audit", audit, *_flags(flags.items()), *switches_of(chosen)])
        inputs = [model.as_input(), against.as_input("against")]
        makes = {str(one.folder): one.name for one in self.made if one.kind in ("sft", "train")}
        inputs += [Input(role, name, holds, makes.get(name, "")) for role, name, holds in read_by(chosen)]
        own |= {"audit": audit} | chosen.model_dump(mode="json", exclude=set(READS))
        self._add(f"audit-{audit}-{road.name}", number, "audit", own, inputs, command, road=road.name, model=model.name)


def _typed(method: str, given: dict[str, Any]) -> dict[str, Any]:
    """The values as a run reads them, so that `1e-3`, which YAML takes for a text, is 0.001 in every file."""
    needed = {"reward": "-"} if method_named(method).online else {}
    needed |= {"ptx_data": "-"} if "ptx_weight" in given else {}
    dumped = settings({"method": method, "model": "-", "output": "-"} | needed | given).model_dump(mode="json")
    return {name: dumped.get(name, value) for name, value in given.items()}


def _listed(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(value)] if isinstance(value, str | Path) else [str(one) for one in value]


def _flags(pairs: "Iterator[tuple[str, Any]] | Any") -> list[str]:
    """`--name value` of what differs from leaving it out; a list gives the flag several times."""
    made = []
    for name, value in pairs:
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None and one != "auto":
                made.append(f"--{name.replace('_', '-')} {shlex.quote(str(one))}")
    return made


def _set(given: Mapping[str, Any]) -> list[str]:
    """Settings of a training as flags: lists with commas, mappings as name=value, names of an objective with a dot."""
    made = []
    for name, value in given.items():
        if name == "objective" and isinstance(value, Mapping):
            made += [f"--set {shlex.quote(f'objective.{key}={one}')}" for key, one in value.items()]
            continue
        if isinstance(value, Mapping):
            value = ",".join(f"{key}={one}" for key, one in value.items())
        elif isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        if value is not None and value != "auto":
            made.append(f"--set {shlex.quote(f'{name}={value}')}")
    return made
