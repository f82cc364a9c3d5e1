"""The reward of an online run: parts that are added up, the penalty for what does not end, and a guard that watches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from preferably.errors import PreferablyError
from preferably.feedback.records import Group
from preferably.judging.parts import Part, added_up, answered
from preferably.models.sampler import Sample
from preferably.training.rollouts import Rollout


@dataclass(slots=True)
class Rewarding:
    """Scores rollouts. `asked` are the prompts that `Rollout.row` counts, as records."""

    parts: Sequence[Part]
    missing_eos_penalty: float
    asked: Sequence[Group]

    def __call__(self, rollouts: Sequence[Rollout]) -> str:
        """Fill in `parts` and `scores`; says what is wrong with them, if anything is."""
        groups = [answered(self.asked[one.row], [sample.text for sample in one.samples]) for one in rollouts]
        fines = [0.0 if sample.finished else -self.missing_eos_penalty for one in rollouts for sample in one.samples]
        try:
            totals, said = added_up(self.parts, groups, fines)
        except PreferablyError as error:  # it worked before the run began
            return str(error).rstrip(".")
        at = 0
        for rollout in rollouts:
            end = at + len(rollout.samples)
            rollout.parts = {name: scores[at:end] for name, scores in said.items()}
            rollout.scores = [total for total in totals[at:end] if total is not None]
            at = end
        for name, scores in said.items():
            if unknown := scores.count(None):
                return f"{name} gave no finite number for {unknown} of {len(scores)} completions"
        return ""


def look_at_samples(
    rewarding: Rewarding,
    guard: Part | None,
    prompts: Sequence[Sequence[int]],
    drawn: Sequence[Sequence[Sample]],
    tell: Callable[[str], object],
) -> dict[str, float]:
    """The reward of samples of held-out prompts, part by part, and what the guard says of the same.

    Where the reward gives no numbers there are none here, and `tell` is told why.
    """
    rollouts = [
        Rollout(row, prompt, list(several), 0) for row, (prompt, several) in enumerate(zip(prompts, drawn, strict=True))
    ]
    seen: dict[str, float] = {}
    if wrong := rewarding(rollouts):
        tell(wrong)
        return seen
    scores = [score for rollout in rollouts for score in rollout.scores]
    seen["eval_objective/scores"] = fmean(scores)
    for part in rewarding.parts:
        seen[f"eval_rewards/{part.name}"] = fmean(
            score for rollout in rollouts for score in rollout.parts[part.name] if score is not None
        )
    if guard is not None:
        groups = [answered(rewarding.asked[one.row], [sample.text for sample in one.samples]) for one in rollouts]
        try:
            said = guard.score(groups)
        except PreferablyError as error:
            tell(f"the guard: {error}".rstrip("."))
            return seen
        watched = [guard.weight * score for score in said if score is not None]
        if len(watched) < len(said):
            tell(f"the guard {guard.name} gave no finite number for {len(said) - len(watched)} of {len(said)} samples")
        if len(watched) > 1:
            seen["eval_guard/scores"] = fmean(watched)
            seen["eval_guard/scores_se"] = stdev(watched) / len(watched) ** 0.5
    return seen
