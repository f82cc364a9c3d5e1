"""What the trainings of a road are expected to take and to hold, and what more labels would tell."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from preferably import api
from preferably.data.formats import Feedback
from preferably.data.load import load_feedback
from preferably.errors import PreferablyError
from preferably.feedback.records import Group
from preferably.feedback.store.naming import is_store
from preferably.judging.settings import is_judge_file, read_judges
from preferably.methods import method_named
from preferably.models.loading import load, model_directory
from preferably.models.tokenizers import load_tokenizer
from preferably.pipeline.advice import Advice, advise
from preferably.pipeline.asking import counted, pairs_of, price
from preferably.pipeline.plan import Source
from preferably.pipeline.road_file import ROUNDS, SAMPLES, asked_anew
from preferably.pipeline.situation import Situation
from preferably.pipeline.stand_ins import AT_LEAST, REWARD, drawn, told_apart
from preferably.reporting.figures import plural
from preferably.statistics.planning import points_seen
from preferably.training.reading import MAX_LENGTH

JUDGED = ("dpo-own", "rlaif")  # roads on which new answers are judged
HELD_OUT = 0.1  # the share of pairs that a run holds out
ALL = "100%"  # an accuracy that nothing has to be told from
NAMED = {"reward": "the reward model", "ppo": "PPO", "rloo": "RLOO", "dpo": "DPO", "kto": "KTO", "sft": "SFT"}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one training: seconds, and bytes at the peak; None is not known, and `why` says why. `refused` is what would
    fit instead, where it is too large for the memory, `error` what a run of these settings and data would end with.
    Of a judge (`training` says so) `asked` are its questions, in words, and what they cost."""

    training: str
    seconds: float | None = None
    memory: int | None = None
    why: str = ""
    refused: str = ""
    error: str = ""
    asked: str = ""

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "training": self.training, "seconds": self.seconds, "memory": self.memory, "why": self.why,
            "refused": self.refused, "error": self.error, "asked": self.asked,
        }  # fmt: skip


def advise_with_costs(
    situation: Situation, model: str | None, paths: Mapping[Feedback, Sequence[str]], *, device: str = "auto",
    judge: str | None = None,
) -> tuple[Advice, list[Cost]]:  # fmt: skip
    """Advice with what its trainings, and what `judge` is asked, would take; where one does not fit the memory, or
    would not begin, advice for that."""
    advice = advise(situation)
    how: dict[str, Any] = {"device": device, "judge": judge}
    costs = costs_of(advice, model, paths, **how)
    if situation.fits is None and any(one.memory is not None for one in costs):
        advice = advise(replace(situation, fits=not any(one.refused for one in costs)))
        costs = costs if advice.situation.fits else costs_of(advice, model, paths, **how)
    if refused := tuple(dict.fromkeys(f"{one.training}: {one.error}" for one in costs if one.error)):
        advice = advise(replace(advice.situation, refused=refused))
    return advice, costs


def costs_of(
    advice: Advice, model: str | None, paths: Mapping[Feedback, Sequence[str]], *, device: str = "auto",
    judge: str | None = None,
) -> list[Cost]:  # fmt: skip
    """The cost of each training on the road, by `preferably.plan`: a few seconds each with the model itself; and of the
    questions to `judge`, where it is a language model's file and the road has new answers judged.

    `paths` are files by the kind of feedback that they hold. Answers that are yet to be drawn and judged are taken to
    be as many, and as long, as the road's file would let them be.
    """
    found, judged = [], advice.road in JUDGED and model is not None
    asked = _fresh(str(model), paths, None) if judged else []
    fresh = _fresh(str(model), paths, MAX_LENGTH) if judged and isinstance(asked, list) else asked
    if judged and isinstance(asked, list) and judge is not None and is_judge_file(judge):
        found.append(_asked(advice.road, judge, asked, str(model)))
    for method, own in advice.trainings().items():
        data, why = _data(method, paths)
        if learns := judged and method in ("dpo", "reward"):
            data, why = (fresh, "") if isinstance(fresh, list) else ([], fresh)
        if model is None:
            why = "no --model was given"
        if why or model is None:
            found.append(Cost(NAMED[method], why=why))
            continue
        there = paths.get("pairs", ()) if learns else None
        halves: dict[str, dict[str, str]] = {NAMED[method]: {}}
        if advice.guarded and method == "reward":
            halves = {NAMED[method]: {"half": "a"}, "the guard": {"half": "b"}}
        for name, half in halves.items():
            made = _planned(method, model, data, dict(own) | half | {"device": device}, there)
            found.append(replace(made, training=name))
    return found


def _data(method: str, paths: Mapping[Feedback, Sequence[str]]) -> tuple[Any, str]:
    """What a training reads, or why that is not known yet."""
    kinds: dict[str, Feedback] = {"reward": "pairs", "dpo": "pairs", "kto": "labels", "sft": "demonstrations"}
    data = paths.get(kinds.get(method, "prompts")) or paths.get("pairs") or paths.get("demonstrations")
    return list(data or ()), "" if data else "there is no file that it could read"


def _fresh(model: str, paths: Mapping[Feedback, Sequence[str]], most: int | None) -> list[Group] | str:
    """Stand-ins for the answers of one round, with their prompts of `most` tokens, or why there are none."""
    files = [one for one in asked_anew(paths) if not is_store(one)]
    if not files:
        return "there is no file of prompts that the model could answer"
    try:
        outline = load(model_directory(model), weights=False)
        tokens = Source.model_fields["max_tokens"].default
        return drawn(files, outline, samples=SAMPLES, tokens=tokens, most=most)
    except PreferablyError as error:
        return str(error)


def _asked(road: str, judge: str, answers: Sequence[Group], model: str) -> Cost:
    """How many questions the judge is asked at most, and what they cost where its file has prices."""
    judges, pairs = read_judges(judge), pairs_of(answers)
    tokenizer, *_ = load_tokenizer(model_directory(model))
    count, how = counted(len(answers), SAMPLES, 2, ROUNDS if road == "dpo-own" else 1, len(judges))
    asked = f"{count * len(judges):,} questions at most to judge new answers ({how})"
    asked += price(count, pairs, judges, tokenizer)
    return Cost("the judge", why="how soon it answers is not known before", asked=asked)


def _planned(
    method: str, model: str, data: Any, own: dict[str, Any], there: Sequence[str] | None
) -> Cost:  # fmt: skip
    """`there`: files of pairs that are learnt from beside the stand-ins `data`; None where `data` is what there is."""
    whys = []
    if method in ("ppo", "rloo"):
        own["reward"] = REWARD  # stands in for what is not there yet
        whys.append(AT_LEAST)
    try:
        if there is not None:
            feedback = method_named(method).feedback
            pairs = load_feedback(there, feedback, max_rejected=1.0).groups if there else []
            own.pop("aggregate", None)  # of labelers, who are not known yet
            data = [*pairs, *told_apart(data, feedback)]
            whys.append(f"a round of {len(data):,} {feedback} at most, as long as answers may be")
        with tempfile.TemporaryDirectory() as folder:
            plan = api.plan(method, model=model, data=data, output=Path(folder) / "run", **own)
    except PreferablyError as error:
        if there is not None:  # of what stands in, it says nothing of the data that will be
            return Cost(NAMED[method], why=f"cannot be estimated before there is data: {error}")
        return Cost(NAMED[method], why=f"a run would not begin: {error}", error=str(error))
    if isinstance(plan.estimate, str):
        return Cost(NAMED[method], why=plan.estimate)
    seconds = None if plan.seconds is None else sum(plan.seconds.values())
    return Cost(NAMED[method], seconds, plan.estimate.memory.peak, "; ".join(whys), plan.refused or "")


def labels_tell(pairs: int) -> str:
    """What so many pairs can tell of a model trained on them, and what more would, in words."""
    held, more = (max(1, round(HELD_OUT * many)) for many in (pairs, 4 * pairs))
    now, then = (f"{min(1.0, 0.5 + points_seen(n)):.0%}" for n in (held, more))
    few = f"{'is' if held == 1 else 'are'} too few to tell any accuracy"
    return (
        f"the {plural(held, 'pair')} that a run holds out {few if now == ALL else f'tell an accuracy of {now}'} from a "
        f"coin; with {4 * pairs:,} pairs they would {'still be too few' if then == ALL else f'tell {then}'}. In the "
        "quickstart's world each doubling from 100 to 800 labels brought a trained reward model 2 to 3 points "
        "(selection.json)"
    )
