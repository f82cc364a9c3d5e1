"""Whether a model can be aligned yet: its replies must end, hold together and be right now and then.

Preferences choose among what a model already says. One that never ends a reply, loops, or is never right gives a judge
nothing to choose from; it wants supervised fine-tuning first.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group
from preferably.judging.judge import ScoreFunction, scores_of
from preferably.statistics.repetition import looping


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a model is not ready, as shares of replies (`right`: the least pass@k at the greatest k asked).

    They are conventions, set where a defect starts to decide comparisons by itself: with 20 % of replies unfinished a
    third of the pairs (1 - 0.8^2 = 36 %) holds one. `right` asks that half of the prompts have a
    right reply among the k: on the others every comparison is between wrong ones.
    """

    unfinished: float = 0.2
    empty: float = 0.05
    looping: float = 0.1
    off_format: float = 0.2
    right: float = 0.5


@dataclass(frozen=True, slots=True)
class Readiness:
    """What the replies look like. Shares are of replies, 0 to 1; `None` where nothing was asked or known."""

    prompts: int
    replies: int
    unfinished: float  # no end-of-sequence token was sampled
    empty: float  # nothing but white space
    looping: float  # `statistics.repetition.looping`
    off_format: float | None
    pass_at: dict[int, float | None]  # k: the chance that at least one of k replies is right, mean over prompts
    unjudged: int  # replies that the checker gave no score
    held_out_loss: float | None  # nats per token, as passed in; shown, not judged: its scale is the data's
    limits: Limits = field(default_factory=Limits)

    @property
    def reasons(self) -> tuple[str, ...]:
        """In plain words, what stands in the way; empty for a model that is ready."""
        limits, found = self.limits, []
        if self.unfinished > limits.unfinished:
            found.append(f"{_percent(self.unfinished)} of replies never end (or the token limit is too low)")
        if self.empty > limits.empty:
            found.append(f"{_percent(self.empty)} of replies are empty")
        if self.looping > limits.looping:
            found.append(f"{_percent(self.looping)} of replies repeat themselves in a loop")
        if self.off_format is not None and self.off_format > limits.off_format:
            found.append(f"{_percent(self.off_format)} of replies are not in the format asked for")
        if self.pass_at:
            k = max(self.pass_at)
            if (best := self.pass_at[k]) is None:
                found.append(f"the checker gave no score to {self.unjudged} of {self.replies} replies")
            elif best < limits.right:
                which = "one reply is" if k == 1 else f"even the best of {k} replies is"
                found.append(f"{which} right on only {_percent(best)} of prompts")
        if self.held_out_loss is not None and not math.isfinite(self.held_out_loss):
            found.append("the loss on held-out data is not a finite number")
        return tuple(found)

    @property
    def ready(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.reasons

    @property
    def verdict(self) -> str:
        """`ready`, or `fine-tune first: ` and the reasons."""
        return "ready" if self.ready else f"fine-tune first: {'; '.join(self.reasons)}"

    def as_json(self) -> dict[str, Any]:
        """The contents of `readiness.json`; a loss that is not finite is null there and a reason."""
        loss = self.held_out_loss
        return {
            "schema": 1,
            "verdict": self.verdict,
            "ready": self.ready,
            "reasons": list(self.reasons),
            "prompts": self.prompts,
            "replies": self.replies,
            "unfinished": self.unfinished,
            "empty": self.empty,
            "looping": self.looping,
            "off_format": self.off_format,
            "pass_at": {str(k): value for k, value in self.pass_at.items()},
            "unjudged": self.unjudged,
            "held_out_loss": loss if loss is not None and math.isfinite(loss) else None,
            "limits": asdict(self.limits),
        }


def pass_at_k(n: int, right: int, k: int) -> float:
    """The chance that at least one of `k` replies drawn from `n`, of which `right` are right, is right.

    1 - C(n - right, k) / C(n, k): Chen et al. 2021 (arXiv:2107.03374), equation 1, unbiased where
    1 - (1 - right/n)^k is not. Exact, in integers. `ValueError` unless 0 <= right <= n and 1 <= k <= n.

    >>> pass_at_k(4, 1, 2)
    0.5
    """
    if not (0 <= right <= n and 1 <= k <= n):
        raise ValueError(f"pass@k needs 0 <= right <= n and 1 <= k <= n; got n = {n}, right = {right}, k = {k}.")
    ways = math.comb(n, k)
    return (ways - math.comb(n - right, k)) / ways


def readiness(
    prompts: Sequence[Group],
    samples: Sequence[Sequence[str]],
    finished: Sequence[Sequence[bool]],
    check: ScoreFunction | None = None,
    *,
    k: Sequence[int] = (1,),
    threshold: float = 1.0,
    wanted: str | Callable[[str], bool] | None = None,
    held_out_loss: float | None = None,
    limits: Limits | None = None,
) -> Readiness:
    """Looks at `samples[i]`, the replies of a model to prompt i, and says whether it can be aligned yet.

    `finished[i][j]`: whether reply j of prompt i emitted the end-of-sequence token (rather than running into the token
    limit). `check`: a score function; a reply is right if its score is at least `threshold`, and unjudged where it has
    none. `k`: the k of pass@k; a prompt with fewer than k judged replies is left out, and where all are, pass@k is
    `None`. `wanted`: a regular expression that a whole reply, stripped, must match (`.` matches line ends too), or a
    function that says whether it has the right format. `held_out_loss`: nats per token.

    `DataError` for no replies or numbers that do not match; `ConfigError` for a bad pattern, a k below 1 or above the
    number of samples, and a checker that fails.
    """
    replies = _flat(prompts, samples, finished)
    most = max(len(row) for row in samples)
    if check is not None and not all(1 <= each <= most for each in k):
        raise ConfigError(f"pass@k needs k from 1 to {most}, the samples per prompt; got k = {list(k)}.")
    right = None if check is None else _right(prompts, samples, check, threshold)
    fits = _format(wanted)
    return Readiness(
        prompts=len(prompts),
        replies=len(replies),
        unfinished=_share([not ended for _, ended in replies]),
        empty=_share([not text.strip() for text, _ in replies]),
        looping=_share([looping(text) for text, _ in replies]),
        off_format=None if fits is None else _share([not fits(text) for text, _ in replies]),
        pass_at={} if right is None else {each: _mean_pass_at(right, each) for each in sorted(set(k))},
        unjudged=0 if right is None else sum(one is None for row in right for one in row),
        held_out_loss=held_out_loss,
        limits=limits or Limits(),
    )


def _flat(
    prompts: Sequence[Group], samples: Sequence[Sequence[str]], finished: Sequence[Sequence[bool]]
) -> list[tuple[str, bool]]:
    if not len(prompts) == len(samples) == len(finished):
        sizes = f"{len(prompts)} prompts, {len(samples)} rows of replies, {len(finished)} rows of endings"
        raise DataError(f"Readiness needs one row of replies and of endings per prompt; got {sizes}.")
    for row, (texts, ended) in enumerate(zip(samples, finished, strict=True)):
        if len(texts) != len(ended):
            raise DataError(f"Prompt {row} has {len(texts)} replies but {len(ended)} endings.")
    replies = [pair for texts, ended in zip(samples, finished, strict=True) for pair in zip(texts, ended, strict=True)]
    if not replies:
        raise DataError("Readiness needs at least one reply; got none.")
    return replies


def _right(
    prompts: Sequence[Group], samples: Sequence[Sequence[str]], check: ScoreFunction, threshold: float
) -> list[list[bool | None]]:
    asked = [group.prompt_text for group, texts in zip(prompts, samples, strict=True) for _ in texts]
    scores = iter(scores_of(check, asked, [text for texts in samples for text in texts]))
    return [[None if (score := next(scores)) is None else score >= threshold for _ in texts] for texts in samples]


def _mean_pass_at(right: Sequence[Sequence[bool | None]], k: int) -> float | None:
    judged = [[one for one in row if one is not None] for row in right]
    values = [pass_at_k(len(row), sum(row), k) for row in judged if len(row) >= k]
    return sum(values) / len(values) if values else None


def _format(wanted: str | Callable[[str], bool] | None) -> Callable[[str], bool] | None:
    if not isinstance(wanted, str):
        return wanted
    try:
        pattern = re.compile(wanted, re.DOTALL)
    except re.error as error:
        raise ConfigError(f"The format {wanted!r} is not a regular expression: {error}.") from None
    return lambda text: pattern.fullmatch(text.strip()) is not None


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)


def _percent(share: float) -> str:
    """A share as whole percent; one that is not 0 is never shown as 0."""
    return "under 1%" if 0 < share < 0.005 else f"{share:.0%}"
