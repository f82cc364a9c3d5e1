"""Who decided, so that a figure says whose it is, and what asking them took."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from preferably.feedback.records import Group
from preferably.judging.judge import behind
from preferably.judging.llm import LanguageJudge, Panel
from preferably.judging.reward import RewardJudge

# Settings by which no verdict changes: where things are kept, who pays, how long is waited.
ASIDE = {"key_env", "replies", "name", "timeout", "deadline", "concurrency", "max_requests", "max_total_tokens",
         "max_cost", "prices"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decider:
    """One model that decides. What only a model on a server has is None for a reward model here."""

    name: str
    model: str
    server: str | None = None  # host and port
    temperature: float | None = None
    rubric: str | None = None
    digest: str | None = None  # of all settings that verdicts depend on
    requests: int | None = None  # sent since the program began, with all tries; none for what had been answered before
    tokens: int | None = None
    cost: float | None = None  # None without prices
    doubts: tuple[str, ...] = ()  # what the server cannot do


def deciders(judge: object) -> list[Decider]:
    """The models that decide where `judge` does, whatever it was wrapped into: one, the members of a panel, or none
    where it is a function."""
    return [_decider(one) for one in _models(behind(judge))]


def asked_through(judge: object) -> list[LanguageJudge]:
    """Those of them that are on a server."""
    return [one for one in _models(behind(judge)) if isinstance(one, LanguageJudge)]


def need_references(judge: object, prompts: Sequence[Group]) -> None:
    """`ConfigError` where one of them is to show a reference answer that no prompt has: before anything is drawn."""
    for one in asked_through(judge):
        one.need_reference(prompts)


def judged_by(told: Sequence[Decider]) -> list[dict[str, Any]] | None:
    """What files have as `judged_by`: null where a function decided."""
    return [asdict(one) for one in told] or None


def _models(judge: object) -> Iterator[LanguageJudge | RewardJudge]:
    if isinstance(judge, Panel):
        for one in judge.judges:
            yield from _models(behind(one))
    elif isinstance(judge, LanguageJudge | RewardJudge):
        yield judge


def _decider(judge: LanguageJudge | RewardJudge) -> Decider:
    if isinstance(judge, RewardJudge):
        return Decider(judge.loaded.name, judge.loaded.name)
    settings, server, spent = judge.settings, judge.client.server, judge.client.spending
    deciding = json.dumps(settings.model_dump(mode="json", exclude=ASIDE), sort_keys=True)
    return Decider(
        name=settings.labeler, model=settings.model, server=f"{server.host}:{server.port}",
        temperature=settings.temperature, rubric=settings.rubric, digest=sha256(deciding.encode()).hexdigest()[:16],
        requests=spent.requests, tokens=spent.tokens, cost=spent.cost, doubts=judge.able().doubts,
    )  # fmt: skip
