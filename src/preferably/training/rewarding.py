"""The reward of an online run: parts that are added up, the penalty for what does not end, and a guard that watches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import fmean, stdev

from preferably.errors import PreferablyError
from preferably.feedback.records import Group
from preferably.judging.parts import Part, Scores, added_up, answered
from preferably.models.sampler import Sample
from preferably.training.rollouts import Rollout

ENOUGH = 0.5  # of the prompts of a step must have scores: of fewer it would be a batch of another kind


def scored(rollouts: Sequence[Rollout]) -> list[Rollout]:
    """Those of which every completion has a score: what can be learnt from."""
    return [one for one in rollouts if one.scores]


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
        """Fill in `parts` and `scores`, which stay empty where a completion has no number; says what is wrong, if
        anything is: where less than `ENOUGH` of the prompts have scores, the reward is broken."""
        samples = [sample for one in rollouts for sample in one.samples]
        fines = [0.0 if sample.finished else -self.missing_eos_penalty for sample in samples]
        try:
            said = {part.name: self.said(part, rollouts) for part in self.parts}
        except PreferablyError as error:  # it worked before the run began
            return str(error).rstrip(".")
        totals, at = added_up(self.parts, said, fines), 0
        for rollout in rollouts:
            end = at + len(rollout.samples)
            rollout.parts = {name: scores[at:end] for name, scores in said.items()}
            known = [total for total in totals[at:end] if total is not None]
            rollout.scores = known if len(known) == len(rollout.samples) else []
            at = end
        if len(scored(rollouts)) >= max(1, ENOUGH * len(rollouts)):
            return ""
        for name, scores in said.items():
            if unknown := scores.count(None):
                return f"{name} gave no finite number for {unknown} of {len(scores)} completions"
        raise AssertionError("a total is missing only where a part is")  # pragma: no cover

    def said(self, part: Part, rollouts: Sequence[Rollout]) -> Scores:
        """What `part` says of every completion of the rollouts, in order."""
        if not (part.compares and self.rivals):
            return part.score([self._record(one) for one in rollouts])
        rest = iter(part.score([self._record(one, self.rivals[one.row]) for one in rollouts]))
        own: Scores = []
        for one in rollouts:
            own += islice(rest, len(one.samples))
            next(rest)  # the rival's
        return own

    def _record(self, rollout: Rollout, *rivals: str) -> Group:
        return answered(self.asked[rollout.row], [*(sample.text for sample in rollout.samples), *rivals])


def look_at_samples(
    rewarding: Rewarding,
    guard: Part | None,
    prompts: Sequence[Sequence[int]],
    drawn: Sequence[Sequence[Sample]],
    tell: Callable[[str], object],
) -> dict[str, float]:
    """The reward of samples of held-out prompts, part by part, and what the guard says of the same.

    Where the reward gives no numbers there are none here; `tell` is told why, and how many it could not tell of.
    """
    rollouts = [
        Rollout(row, prompt, list(several), 0) for row, (prompt, several) in enumerate(zip(prompts, drawn, strict=True))
    ]
    seen: dict[str, float] = {}
    if wrong := rewarding(rollouts):
        tell(wrong)
        return seen
    if left := len(rollouts) - len(scored(rollouts)):
        tell(f"the reward gave no number for samples of {left} of {len(rollouts)} held-out prompts, which are left out")
    scores = [score for rollout in rollouts for score in rollout.scores]
    seen["eval_objective/scores"] = fmean(scores)
    for part in rewarding.parts:
        seen[f"eval_rewards/{part.name}"] = fmean(
            score for rollout in scored(rollouts) for score in rollout.parts[part.name] if score is not None
        )
    if guard is not None:
        try:
            said = rewarding.said(guard, rollouts)
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
