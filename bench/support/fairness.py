"""Is the quickstart's truth fair to what its SFT model says? Shortcuts, fluency, and replies that should lose."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from preferably.evaluation.compare import answers
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding, Sample
from preferably.quickstart.controls import degenerate_policies, feature_agreement, mean_score
from preferably.quickstart.labelers import label_ceiling
from preferably.quickstart.phrasing import Prompt, sample_prompts
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.stages import asked
from preferably.quickstart.truth import score_reply

CEILING_PAIRS = 300
MOST_AGREEMENT = 0.70  # of a single feature with the truth: above it, the world could be won by a shortcut


def fairness(recipe: Recipe, seed: int, sft: Loaded, prompts: int) -> dict[str, Any]:
    """Everything about the SFT model's own samples, two to each of so many prompts, at the temperature of the pairs."""
    asked_for = sample_prompts(prompts, seed + 7)
    decoding = Decoding(temperature=recipe.pair_temperature, max_tokens=recipe.max_tokens)
    drawn = answers(sft, asked(asked_for), decoding, samples=2, seed=seed + 7)
    pairs = [
        (prompt, a.text.strip(), b.text.strip())
        for prompt, (a, b) in zip(asked_for, drawn, strict=True)
        if a.text.strip() != b.text.strip()
    ]
    table = sorted(feature_agreement(pairs).items(), key=lambda item: -item[1])
    replies = [(prompt, one) for prompt, several in zip(asked_for, drawn, strict=True) for one in several]
    mean = fmean(score_reply(prompt, one.text.strip()).total for prompt, one in replies)
    policies = degenerate(asked_for, drawn)
    return {
        "pairs": len(pairs),
        "feature_agreement": dict(table[:12]),
        "largest_agreement": table[0][1],
        "no_shortcut": table[0][1] <= MOST_AGREEMENT,
        "label_ceiling": label_ceiling(pairs[:CEILING_PAIRS]),
        "by_correctness": fluency(replies),
        "sft_mean_truth": mean,
        "degenerate_policies": policies,
        "degenerate_never_pays": all(row["mean_truth"] < mean and row["win_rate"] < 0.5 for row in policies.values()),
    }


def fluency(replies: Sequence[tuple[Prompt, Sample]]) -> dict[str, Any]:
    """Right and wrong replies beside each other: were the wrong ones also the clumsier ones, the truth would be cheap.

    `log_prob` is nats a token under the SFT model at temperature 1, the mean over replies.
    """
    groups: dict[str, list[tuple[int, float, int, float]]] = {"right": [], "wrong": []}
    for prompt, one in replies:
        text = one.text.strip()
        truth = score_reply(prompt, text)
        which = "right" if truth.axes["correctness"] == 1.0 else "wrong"
        groups[which].append((truth.malformed, float(not truth.malformed), len(text.split()), fmean(one.logps)))
    out: dict[str, Any] = {}
    for which, rows in groups.items():
        columns = zip(("malformed_words", "well_formed", "words", "log_prob"), zip(*rows, strict=True), strict=False)
        out[which] = {"share": len(rows) / len(replies)} | {name: fmean(values) for name, values in columns}
    return out


def degenerate(prompts: Sequence[Prompt], drawn: Sequence[Sequence[Sample]]) -> dict[str, dict[str, float]]:
    """Policies that must not pay: their mean truth, and their win rate over the SFT model's samples."""
    table = {}
    for name, policy in degenerate_policies().items():
        outcomes = []
        for prompt, several in zip(prompts, drawn, strict=True):
            mine = score_reply(prompt, policy(prompt)).total
            for one in several:
                theirs = score_reply(prompt, one.text.strip()).total
                outcomes.append(0.5 if abs(mine - theirs) < 1e-9 else float(mine > theirs))
        table[name] = {"mean_truth": mean_score(policy), "win_rate": fmean(outcomes)}
    return table
