"""What advice is given on, measured: the data by its rows, the model by its answers, the machine."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from preferably.batches.group import collate
from preferably.batches.packing import split_by_tokens
from preferably.data.check import Findings, check_loaded, feedback_of
from preferably.data.formats import Feedback
from preferably.data.load import Loaded, read_feedback
from preferably.data.tokens import encode
from preferably.errors import ConfigError, DataError
from preferably.evaluation.compare import answers, with_room
from preferably.evaluation.kept_answers import texts
from preferably.evaluation.readiness import readiness as readiness_of
from preferably.feedback.questions import questions_in
from preferably.feedback.records import Completion, Group, Judged, Label, Message
from preferably.feedback.store.naming import is_store
from preferably.feedback.trust import CROWD, busy
from preferably.functions import load_function
from preferably.judging.settings import is_judge_file, read_judges
from preferably.models.loading import Loaded as Model
from preferably.models.loading import choose_device, is_reward_model, load, model_directory
from preferably.models.sampler import Decoding
from preferably.pipeline.situation import Own, Situation, Want
from preferably.statistics.intervals import mean_interval
from preferably.training.room import available, available_on_host

KINDS: tuple[Feedback, ...] = ("pairs", "labels", "demonstrations", "prompts")
APART = 0.25  # nats a token: 10 nats of 40 tokens, beyond which every measured training raised `kl_high`
TOKENS = (64, 512)  # of the answers that are looked at, at least and at most; between, twice what most answers have
LEAST = 4  # prompts from which on answers are compared
BUDGET = 8192  # tokens of one forward
SAMPLES = 4  # answers a prompt where somebody can say which are right


@dataclass(slots=True)
class Data:
    """What is there of each kind of feedback: the paths, what was read of them and what was found."""

    paths: dict[Feedback, list[str]] = field(default_factory=dict)
    loaded: dict[Feedback, Loaded] = field(default_factory=dict)
    found: dict[Feedback, Findings] = field(default_factory=dict)

    def count(self, kind: Feedback) -> int:
        """Groups of a kind."""
        return len(self.loaded[kind].groups) if kind in self.loaded else 0

    def groups(self) -> list[Group]:
        """All of them; pairs first."""
        return [group for kind in KINDS if kind in self.loaded for group in self.loaded[kind].groups]

    def facts(self) -> dict[str, Any]:
        """The facts of the data, by the names that a situation has for them."""
        facts: dict[str, Any] = {name: self.count(name) for name in ("pairs", "labels", "demonstrations")}
        facts["prompts"] = len({group.prompt for group in self.groups() if group.prompt})
        facts["stops"] = tuple(one.text for found in self.found.values() for one in found.remarks if one.stops)
        found = self.found.get("pairs") or self.found.get("labels")
        if found is None:
            return facts
        rows = found.accounting
        conflicts = rows.warned["conflict"].count if "conflict" in rows.warned else 0
        facts["conflicts"] = conflicts / rows.read if rows.read else 0.0
        if found.labelers:
            facts["agreement"] = found.labelers.agreement
        if "labels" in self.loaded:
            facts["good"] = float(np.mean([bool(group.label) for group in self.loaded["labels"].groups]))
        if "pairs" in self.loaded:
            loaded = self.loaded["pairs"]
            sizes = [len(record.group.completions) for record in loaded.records]
            facts["many"] = float(np.mean([size > 2 for size in sizes])) if sizes else 0.0
            facts["busy"] = busy(questions_in([one for one in loaded.records if len(one.group.completions) > 1]))[
                1
            ] >= CROWD  # fmt: skip
            strengths = [group.strength is not None for group in loaded.groups]
            facts["strong"] = float(np.mean(strengths)) if strengths else None
            facts["longer"] = found.lengths.longer if found.lengths else None
        return facts


def look(
    data: Data, want: Want, *, model: str | None = None, judge: str | None = None, checker: str | None = None,
    readiness: str | Path | None = None, asked: int = 32, device: str = "auto", seed: int = 0,
) -> Situation:  # fmt: skip
    """The situation: `data` as it was read, and model, judge and machine looked at.

    The model answers `asked` prompts of the data, unless 0. Raises what loading a model, a judge or a checker raises.
    """
    facts: dict[str, Any] = data.facts() | look_at_judge(judge) | look_at_machine(device)
    why = {"ready": "no model was given", "own": "no model was given"}
    if model is not None:
        seen = look_at_model(model, data.groups(), asked=asked, checker=checker, device=device, seed=seed)
        why |= seen.pop("why")
        facts |= seen
    if readiness is not None:
        known = read_readiness(readiness)
        why |= known.pop("why")
        facts |= known
    return Situation(want=want, why=tuple(why.items()), **facts)


def look_at_data(paths: Sequence[str], held_out: Sequence[str] = (), *, max_rejected: float = 0.01) -> Data:
    """Every file as the kind of feedback that most of its rows hold; a store as pairs and as thumbs.

    Raises `DataError` for what cannot be read, and where no row of a file can be used: as `preferably data check`.
    """
    data = Data()
    for path in paths:
        kinds: tuple[Feedback, ...] = ("pairs", "labels") if is_store(path) else (feedback_of([path]),)
        for kind in kinds:
            data.paths.setdefault(kind, []).append(path)
    for kind, some in list(data.paths.items()):
        loaded = read_feedback(some, kind)
        if not loaded.groups and any(map(is_store, some)):
            del data.paths[kind]  # a store without thumbs is nothing wrong
            continue
        if kind == "labels" and all(map(is_store, some)) and not any(map(_thumbs, loaded.records)):
            del data.paths[kind]  # pairs can be read as thumbs too, and nobody gave any
            continue
        if not loaded.groups:
            loaded.accounting.enforce(max_rejected)
        data.loaded[kind] = loaded
        data.found[kind] = check_loaded(loaded, some, kind, held_out=held_out, max_rejected=max_rejected)
    if paths and not data.loaded:
        raise DataError(f"{', '.join(paths)} holds no judgment that a training could use.")
    return data


def _thumbs(record: Judged) -> bool:
    return any(isinstance(one, Label) for one in record.judgments)


def look_at_judge(name: str | None) -> dict[str, bool]:
    """Whether `name` is a language model that compares, or something that scores. Raises `ConfigError` for
    neither, `ModelError` for a folder without a model."""
    if name is None:
        return {}
    if name.startswith("people"):
        raise ConfigError("--judge is who can judge new answers without being waited for; people are given as --data.")
    if is_judge_file(name):
        read_judges(name)
        return {"judge": True}
    if not Path(name).is_dir():
        load_function(name)
    elif not is_reward_model(name):
        raise ConfigError(
            f"--judge {name} is a language model, and scores nothing; a judge is a .yaml that names it "
            "(docs/judges.md), and a reward model is made by `preferably train reward` or `preferably reward fit`."
        )
    return {"function": True}


def look_at_machine(device: str = "auto") -> dict[str, Any]:
    """Cores, free memory in bytes, and the GPU, where there is one."""
    where = choose_device(device)
    gpu = ""
    if where.type == "cuda":
        gpu = torch.cuda.get_device_name(where)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    free = available(where) if where.type == "cuda" else available_on_host()
    return {"cores": cores, "memory": free, "gpu": gpu}


def read_readiness(file: str | Path) -> dict[str, Any]:
    """What a `readiness.json` says. Raises `ConfigError` for a file that is none."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
        return {"ready": bool(found["ready"]), "why": {"ready": f"{found['verdict']} ({file})"}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file} is no readiness.json: {error}. `preferably align` writes one.") from None


def look_at_model(
    name: str, groups: Sequence[Group], *, asked: int, checker: str | None = None, device: str = "auto", seed: int = 0
) -> dict[str, Any]:
    """Weights and context; and, by its answers to `asked` prompts (0: it is not run), whether it is ready and whether
    the answers in `groups` are its own. `why` has how each is known."""
    loaded = load(model_directory(name), device=device, weights=asked > 0)
    facts: dict[str, Any] = {
        "weights": sum(one.numel() for one in loaded.policy.parameters()), "context": loaded.context
    }  # fmt: skip
    named = _by_name(name, groups)
    if not asked:
        off = {"ready": "the model was not run", "own": "the model was not run, and rows do not name theirs"}
        return facts | {"why": off | (named or {}).get("why", {}), "own": (named or {}).get("own")}
    distinct = list({group.prompt: group for group in groups if group.prompt}.values())
    tokens = _room(loaded, groups)
    some, too_long = with_room(distinct[: 4 * asked], [loaded], tokens)
    some = some[:asked]
    if not some:
        none = f"none of {too_long} prompts leaves room to answer" if too_long else "there is no prompt to ask"
        return facts | {
            "why": {"ready": none, "own": none} | (named or {}).get("why", {}),
            "own": (named or {}).get("own"),
        }
    samples = SAMPLES if checker else 1
    check = load_function(checker) if checker else None
    drawn = answers(loaded, some, Decoding(1.0, max_tokens=tokens), samples=samples, seed=seed)
    said = texts(drawn)
    finished = [[one.finished for one in several] for several in drawn]
    prompts = [Group(group.prompt, tools=group.tools) for group in some]
    found = readiness_of(prompts, said, finished, check, k=(1, samples))
    by = "right by the checker" if checker else "by form alone; --checker tells what is right"
    looked = f"{len(some)} prompts, up to {tokens} tokens, {by}"
    facts |= {"ready": found.ready, "why": {"ready": f"{found.verdict} ({looked})"}}
    own, told = (named["own"], named["why"]["own"]) if named else _by_likelihood(loaded, some, said)
    return facts | {"own": own, "why": facts["why"] | {"own": told}}


def _room(loaded: Model, groups: Sequence[Group]) -> int:
    """Tokens for an answer: twice what nine of ten answers in the data have."""
    said = [one.text for group in groups[:200] for one in group.completions]
    if not said:
        return 2 * TOKENS[0]
    lengths = [len(ids) for ids in loaded.tokenizer(said, add_special_tokens=False)["input_ids"]]
    return int(min(max(2 * np.quantile(lengths, 0.9), TOKENS[0]), TOKENS[1]))


def _by_name(model: str, groups: Sequence[Group]) -> dict[str, Any] | None:
    """Whether the answers are its own by the models that rows name; None where they name none."""
    named = [one.origin.model for group in groups for one in group.completions if one.origin and one.origin.model]
    total = sum(len(group.completions) for group in groups)
    if not named or len(named) < total / 2:
        return None
    mine = {model, Path(model).name, str(Path(model).resolve()), model_directory(model)}
    share = sum(one in mine for one in named) / len(named)
    own: Own = "yes" if share > 0.9 else "no" if share < 0.1 else "mixed"
    return {"own": own, "why": {"own": f"{share:.0%} of {len(named):,} answers name this model"}}


def _by_likelihood(loaded: Model, groups: Sequence[Group], said: Sequence[Sequence[str]]) -> tuple[Own | None, str]:
    """Whether the answers in `groups` are as likely to the model as what it says itself, token by token.

    Its own answers are drawn at temperature 1, so theirs is what it expects of itself. Others' that are as fluent to it
    are taken for its own.
    """
    theirs, mine = [], []
    for group, own in zip(groups, said, strict=True):
        if group.completions and own[0].strip():
            role = group.completions[0].messages[-1].role
            theirs.append(group)
            mine.append(Group(group.prompt, (Completion((Message(role, own[0]),)),)))
    both = zip(_likelihoods(loaded, mine), _likelihoods(loaded, theirs), strict=True)
    apart = [own - others for own, others in both if own is not None and others is not None]
    if len(apart) < LEAST:
        return None, f"too few answers to compare ({len(apart)})"
    interval = mean_interval(apart)
    assert interval is not None  # of four and more
    mean, half = float(np.mean(apart)), (interval.high - interval.low) / 2
    than = f"{abs(mean):.2f} +- {half:.2f} nats a token {'less' if mean > 0 else 'more'} likely to it than its own"
    what = f"{than} ({len(apart)} prompts)"
    if interval.low > APART:
        return "no", what
    return ("yes", what) if interval.high < APART else (None, what)


@torch.no_grad()
def _likelihoods(loaded: Model, groups: Sequence[Group]) -> list[float | None]:
    """The mean log-prob of a token of the completions of each group, nats; None where nothing fits the context.

    Without the token that ends a completion: an answer that was cut has none.
    """
    plain = [Group(group.prompt, group.completions, tools=group.tools) for group in groups]
    encoded = encode(plain, loaded.tokenizer, max_length=loaded.context or 2048).groups
    cut = [replace(one, train=tuple(map(_but_the_last, one.train))) for one in encoded]
    found: list[float | None] = [None] * len(groups)
    for run in split_by_tokens(cut, BUDGET):
        batch = collate(run)
        sums = iter(batch.sums(loaded.policy(batch)).tolist())
        for one in run:
            total, tokens = sum(next(sums) for _ in one.completions), int(sum(mask.sum() for mask in one.train))
            found[one.row] = total / tokens if tokens else None
    return found


def _but_the_last(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    kept = mask.copy()
    kept[np.flatnonzero(mask)[-1:]] = False
    return kept
