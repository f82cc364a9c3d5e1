"""What the models of the quickstart are worth: by the truth, against each other, and against best-of-n."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from preferably.errors import ModelError
from preferably.evaluation.compare import Comparison, answers, measure_kl, store
from preferably.evaluation.kept_answers import texts
from preferably.evaluation.winrate import win_rate
from preferably.judging.judge import judge_by_score
from preferably.judging.parts import answered, reward_parts
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.quickstart.labelers import crowd_probability, label_ceiling
from preferably.quickstart.phrasing import Prompt
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.stages import JUDGE, asked, axes_of, two_by_two
from preferably.quickstart.truth import score, score_reply
from preferably.statistics.best_of import expected_best, most_kl
from preferably.statistics.intervals import bootstrap_mean, mean_interval
from preferably.training.run_directory import RunDirectory

Replies = list[list[str]]  # per prompt, its samples
SEEDS = {  # apart, so that two models that are the same differ by chance
    "dpo": 0, "sft": 1, "ppo": 500_002, "honest": 600_002, "canary": 700_002, "suppressed": 800_002
}  # fmt: skip
SIZES = (1, 2, 4, 8, 16)  # of best-of-n


def replies(
    recipe: Recipe, seed: int, models: Mapping[str, Loaded], prompts: Sequence[Prompt], *,
    temperature: float, samples: int, progress: Callable[[int], None],
) -> dict[str, Replies]:  # fmt: skip
    """What each model says to the prompts."""
    decoding = Decoding(temperature=temperature, max_tokens=recipe.max_tokens)
    return {
        name: texts(answers(
            model, asked(prompts), decoding, samples=samples, seed=2 * seed + SEEDS[name], progress=progress
        ))
        for name, model in models.items()
    }  # fmt: skip


def hold_against(
    recipe: Recipe, seed: int, drawn: Mapping[str, Replies], prompts: Sequence[Prompt], model: str, against: str,
    directory: Path, *, temperature: float, name: str, kl: Mapping[str, float] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The win rate of one model over another by the truth, as stored in `directory`; by kind of prompt too."""
    records, ours, theirs = asked(prompts), drawn[model], drawn[against]
    decoding = Decoding(temperature=temperature, max_tokens=recipe.max_tokens)
    found = win_rate(records, ours, theirs, judge_by_score(score), seed=seed)
    comparison = Comparison(records, ours, theirs, found, decoding, len(ours[0]))
    stored = store(comparison, directory, judge=JUDGE, model=model, against=against, kl=kl, name=name, scores=score)
    for kind in ("phrasing", "combination"):
        values = [value for value, prompt in zip(found.values, prompts, strict=True) if prompt.kind == kind]
        stored[f"win_rate_{kind}"] = fmean(value for value in values if value is not None)
    return stored


def by_axis(drawn: Mapping[str, Replies], prompts: Sequence[Prompt]) -> dict[str, dict[str, float]]:
    """The mean of every axis of the truth, by model."""
    by_model = {name: axes_of(prompts, said) for name, said in drawn.items()}
    return {axis: {name: axes[axis] for name, axes in by_model.items()} for axis in by_model["sft"]}


def reward_scores(reward: Path, prompts: Sequence[Prompt], said: Replies) -> list[list[float]]:
    """What the reward model says of each reply, centered and in units of its spread. `ModelError` where it cannot."""
    (part,) = reward_parts([str(reward)])
    records = [answered(group, several) for group, several in zip(asked(prompts), said, strict=True)]
    scores = part.score(records)
    known = iter([score for score in scores if score is not None])
    if unread := scores.count(None):
        raise ModelError(f"The reward model cannot read {unread} of {len(scores)} replies; expected all of them.")
    return [[next(known) for _ in several] for several in said]


def reward_worth(prompts: Sequence[Prompt], said: Replies, scores: Sequence[Sequence[float]]) -> dict[str, Any]:
    """How often a reward model agrees with a labeler drawn at random, on pairs that it was not trained on.

    Expected over the labelers' known chances, so that their noise adds none. `covered` is how far it is from a coin to
    the `ceiling`, which one who knows all chances reaches; `longer` and `shorter` are what going by length gets.
    """
    pairs = [
        (prompt, a, b, x, y)
        for prompt, several, scored in zip(prompts, said, scores, strict=True)
        for (a, b), (x, y) in zip(two_by_two(several), zip(scored[::2], scored[1::2], strict=True), strict=True)
        if a != b and a and b
    ]
    chances = [crowd_probability(prompt, a, b) for prompt, a, b, _, _ in pairs]

    def right(gaps: Sequence[float]) -> list[float]:
        return [c if gap > 0 else 1 - c if gap < 0 else 0.5 for gap, c in zip(gaps, chances, strict=True)]

    found = right([x - y for *_, x, y in pairs])
    longer = fmean(right([float(len(a) - len(b)) for _, a, b, _, _ in pairs]))
    ceiling, accuracy = label_ceiling([pair[:3] for pair in pairs]), fmean(found)
    by_prompt: dict[str, list[float]] = defaultdict(list)
    for (prompt, *_), value in zip(pairs, found, strict=True):
        by_prompt[prompt.text].append(value)
    interval = bootstrap_mean([fmean(values) for values in by_prompt.values()], seed=0)
    return {
        "pairs": len(pairs), "accuracy": accuracy, "interval": [interval.low, interval.high], "ceiling": ceiling,
        "covered": (accuracy - 0.5) / (ceiling - 0.5), "longer": longer, "shorter": 1 - longer,
    }  # fmt: skip


def ways(
    recipe: Recipe, seed: int, trained: Mapping[str, Loaded], start: Loaded, reward: Path, prompts: Sequence[Prompt],
    drawn: Replies, scores: Sequence[Sequence[float]], directory: Path,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Reward and truth against KL at temperature 1, of each trained model and of best-of-n; the KL of each model.

    `drawn` are the start's own replies with their `scores`, of which best-of-n picks. Stored in `directory`.
    """
    truths = _truths(prompts, drawn)
    points = []
    for n in (size for size in SIZES if size <= len(drawn[0])):
        columns = {
            name: [expected_best(mine, values, n) for mine, values in zip(scores, given, strict=True)]
            for name, given in (("reward", scores), ("truth", truths))
        }
        points.append({"series": "best of n", "label": f"best of {n}", "kl": most_kl(n)} | _spans(columns))
    found = {}
    for name, model in trained.items():
        options: dict[str, Any] = {"samples": 1, "seed": 2 * seed + SEEDS[name]}
        found[name] = measure_kl(model, start, asked(prompts), max_tokens=recipe.max_tokens, **options)
        said = texts(answers(model, asked(prompts), Decoding(1.0, max_tokens=recipe.max_tokens), **options))
        columns = {
            "reward": [fmean(one) for one in reward_scores(reward, prompts, said)],
            "truth": [fmean(one) for one in _truths(prompts, said)],
        }
        points.append({"series": name.upper(), "label": name.upper(), "kl": found[name]["mean"]} | _spans(columns))
    RunDirectory(directory).write_json("evaluation/reward_kl.json", {"points": points})
    return found


def _truths(prompts: Sequence[Prompt], said: Replies) -> list[list[float]]:
    return [[score_reply(p, reply).total for reply in several] for p, several in zip(prompts, said, strict=True)]


def _spans(columns: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """[mean, low, high] of each, one value a prompt."""
    spans = {}
    for name, values in columns.items():
        interval = mean_interval(values)
        assert interval is not None  # of several prompts
        spans[name] = [fmean(values), interval.low, interval.high]
    return spans
