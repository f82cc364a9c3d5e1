"""What the trainings of a road are expected to take and to hold, and what more labels would tell."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from preferably import api
from preferably.data.formats import Feedback
from preferably.errors import PreferablyError
from preferably.pipeline.advice import Advice, advise
from preferably.pipeline.situation import Situation
from preferably.statistics.planning import points_seen

HELD_OUT = 0.1  # the share of pairs that a run holds out
NAMED = {"reward": "the reward model", "ppo": "PPO", "rloo": "RLOO", "dpo": "DPO", "kto": "KTO", "sft": "SFT"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one training: seconds, and bytes at the peak; None is not known, and `why` says why. `refused` is what would
    fit instead, where it is too large for the memory, `error` what a run of these settings and data would end with."""

    training: str
    seconds: float | None = None
    memory: int | None = None
    why: str = ""
    refused: str = ""
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "training": self.training, "seconds": self.seconds, "memory": self.memory, "why": self.why,
            "refused": self.refused, "error": self.error,
        }  # fmt: skip


def advise_with_costs(
    situation: Situation, model: str | None, paths: Mapping[Feedback, Sequence[str]], *, device: str = "auto"
) -> tuple[Advice, list[Cost]]:
    """Advice with what its trainings would take; where one does not fit the memory, or would not begin, advice for
    that."""
    advice = advise(situation)
    costs = costs_of(advice, model, paths, device=device)
    if situation.fits is None and any(one.memory is not None for one in costs):
        advice = advise(replace(situation, fits=not any(one.refused for one in costs)))
        costs = costs if advice.situation.fits else costs_of(advice, model, paths, device=device)
    if refused := tuple(dict.fromkeys(f"{one.training}: {one.error}" for one in costs if one.error)):
        advice = advise(replace(advice.situation, refused=refused))
    return advice, costs


def costs_of(
    advice: Advice, model: str | None, paths: Mapping[Feedback, Sequence[str]], *, device: str = "auto"
) -> list[Cost]:
    """The cost of each training on the road, by `preferably.plan`: a few seconds each with the model itself.

    `paths` are files by the kind of feedback that they hold. What needs an earlier stage's output is not known.
    """
    found = []
    for method, own in advice.trainings().items():
        data, why = _data(advice.road, method, paths)
        if model is None:
            why = "no --model was given"
        if why or model is None:
            found.append(Cost(NAMED[method], why=why))
            continue
        found.append(_planned(method, model, data, dict(own) | {"device": device}))
    return found


def _data(road: str, method: str, paths: Mapping[Feedback, Sequence[str]]) -> tuple[list[str], str]:
    """What a training reads, or why that is not known yet."""
    if road in ("dpo-own", "rlaif") and method != "sft":
        return [], "depends on how long answers will be and how quick the judge is; `align --dry-run` counts them"
    kinds: dict[str, Feedback] = {"reward": "pairs", "dpo": "pairs", "kto": "labels", "sft": "demonstrations"}
    data = paths.get(kinds.get(method, "prompts")) or paths.get("pairs") or paths.get("demonstrations")
    return list(data or ()), "" if data else "there is no file that it could read"


def _planned(method: str, model: str, data: list[str], own: dict[str, Any]) -> Cost:
    why = ""
    if method in ("ppo", "rloo"):
        own["reward"] = ["length"]  # stands in for what is not there yet, and costs nothing
        why = "at least: what gives the reward comes on top (a reward model: one more model)"
    with tempfile.TemporaryDirectory() as folder:
        try:
            plan = api.plan(method, model=model, data=data, output=Path(folder) / "run", **own)
        except PreferablyError as error:
            return Cost(NAMED[method], why=f"a run would not begin: {error}", error=str(error))
    if isinstance(plan.estimate, str):
        return Cost(NAMED[method], why=plan.estimate)
    seconds = None if plan.seconds is None else sum(plan.seconds.values())
    return Cost(NAMED[method], seconds, plan.estimate.memory.peak, why, plan.refused or "")


def labels_tell(pairs: int) -> str:
    """What so many pairs can tell of a model trained on them, and what more would, in words."""
    held = max(1, round(HELD_OUT * pairs))
    now, then = (min(1.0, 0.5 + points_seen(n)) for n in (held, 4 * held))
    return (
        f"the {held:,} pairs that a run holds out tell an accuracy of {now:.0%} from a coin; with {4 * pairs:,} pairs "
        f"they would tell {then:.0%}. In the quickstart's world each doubling from 100 to 800 labels brought a trained "
        "reward model 2 to 3 points (selection.json)"
    )
