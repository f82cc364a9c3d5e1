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
    """Scores rollouts. `asked` are the prompts that `Rollout.row` counts, as records.

    `rivals`, where there are any, are a completion of each prompt, which parts that compare see beside the rollout's.
    """

    parts: Sequence[Part]
    missing_eos_penalty: float
    asked: Sequence[Group]
    rivals: Sequence[str] = ()

    def __call__(self, rollouts: Sequence[Rollout]) -> str:
        """Fill in `parts` and `scores`; says what is wrong with them, if anything is."""
        fines = [
            0.0 if finished else -self.missing_eos_penalty
            for one in rollouts
            for finished in (*(sample.finished for sample in one.samples), *(True for _ in self._rival(one)))
        ]
        try:
            totals, said = added_up(self.parts, self.records(rollouts), fines)
        except PreferablyError as error:  # it worked before the run began
            return str(error).rstrip(".")
        for name, scores in said.items():
            for rollout, mine in zip(rollouts, self.own(rollouts, scores), strict=True):
                rollout.parts[name] = mine
        for rollout, mine in zip(rollouts, self.own(rollouts, totals), strict=True):
            rollout.scores = [total for total in mine if total is not None]
        for name in said:
            scores = [score for rollout in rollouts for score in rollout.parts[name]]
            if unknown := scores.count(None):
                return f"{name} gave no finite number for {unknown} of {len(scores)} completions"
        return ""

    def records(self, rollouts: Sequence[Rollout]) -> list[Group]:
        """The prompts with the completions of the rollouts, each with its rival last, where there are rivals."""
        return [
            answered(self.asked[one.row], [*(sample.text for sample in one.samples), *self._rival(one)])
            for one in rollouts
        ]

    def own(self, rollouts: Sequence[Rollout], scores: Sequence[float | None]) -> list[list[float | None]]:
        """The scores of all completions of `records`, by rollout and without those of rivals."""
        rest = iter(scores)
        found = [[next(rest) for _ in (*one.samples, *self._rival(one))] for one in rollouts]
        return [mine[: len(one.samples)] for mine, one in zip(found, rollouts, strict=True)]

    def _rival(self, rollout: Rollout) -> Sequence[str]:
        return self.rivals[rollout.row : rollout.row + 1]


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
        try:
            said = guard.score(rewarding.records(rollouts))
        except PreferablyError as error:
            tell(f"the guard: {error}".rstrip("."))
            return seen
        mine = [score for several in rewarding.own(rollouts, said) for score in several]
        watched = [guard.weight * score for score in mine if score is not None]
        if len(watched) < len(mine):
            tell(f"the guard {guard.name} gave no finite number for {len(mine) - len(watched)} of {len(mine)} samples")
        if len(watched) > 1:
            seen["eval_guard/scores"] = fmean(watched)
            seen["eval_guard/scores_se"] = stdev(watched) / len(watched) ** 0.5
    return seen
