"""What a reward and a held-out judge say along the way that training went, prompt by prompt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from preferably.evaluation.audit import Values, mean_by_prompt
from preferably.evaluation.compare import answers, measure_kl
from preferably.evaluation.kept_answers import texts
from preferably.feedback.records import Group
from preferably.judging.judge import Judge, ScoreFunction, preferences_of, scores_of, second_wins
from preferably.judging.parts import Part, added_up, answered
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.statistics.best_of import expected_best, most_kl

SIZES = (1, 2, 4, 8, 16, 32, 64)  # of best-of-n
Replies = list[list[str]]


@dataclass(frozen=True, slots=True)
class Point:
    """A place on the way: how far from the start (nats a completion), and the gain over it by judge and reward, a value
    for each prompt."""

    series: str  # training, or best of n
    label: str
    kl: float
    judge: Values
    proxy: Values | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """What replies are measured by: a judge that training never saw, and the reward, where there is one.

    A judge of two is asked whether it prefers a reply to the start's own first one.
    """

    judge: Judge
    score: ScoreFunction | None
    parts: Sequence[Part] = ()

    def judged(self, prompts: Sequence[Group], said: Replies, start: Replies) -> list[list[float | None]]:
        """The judge's value of each reply."""
        if self.score is not None:
            asked = [prompt.prompt_text for prompt, several in zip(prompts, said, strict=True) for _ in several]
            scores = iter(scores_of(self.score, asked, [text for several in said for text in several]))
        else:
            groups = [
                answered(prompt, [first[0], text])
                for prompt, several, first in zip(prompts, said, start, strict=True) for text in several
            ]  # fmt: skip
            scores = iter([second_wins(one) for one in preferences_of(self.judge, groups)])
        return [[next(scores) for _ in several] for several in said]

    def rewarded(self, prompts: Sequence[Group], said: Replies) -> list[list[float | None]] | None:
        """The reward of each reply; None without a reward."""
        if not self.parts:
            return None
        groups = [answered(prompt, several) for prompt, several in zip(prompts, said, strict=True)]
        scores = {part.name: part.score(groups) for part in self.parts}
        totals = iter(added_up(self.parts, scores, [0.0] * sum(map(len, said))))
        return [[next(totals) for _ in several] for several in said]


@dataclass(frozen=True, slots=True)
class Start:
    """What the start says to each prompt at temperature 1, and what that is worth."""

    loaded: Loaded
    prompts: Sequence[Group]
    said: Replies
    judge: list[list[float | None]]
    proxy: list[list[float | None]] | None


def start_of(
    loaded: Loaded, prompts: Sequence[Group], scale: Scale, *, samples: int, max_tokens: int, seed: int, progress: Any
) -> Start:  # fmt: skip
    """Draw and measure the start."""
    said = texts(
        answers(loaded, prompts, Decoding(1.0, max_tokens=max_tokens), samples=samples, seed=seed, progress=progress)
    )
    return Start(loaded, prompts, said, scale.judged(prompts, said, said), scale.rewarded(prompts, said))


def best_of_points(start: Start) -> list[Point]:
    """Best of n by the reward, of the start's own samples, n = 2, 4...: no training, and its KL is known."""
    if start.proxy is None:
        return []
    made = []
    base, zero = mean_by_prompt(start.judge), mean_by_prompt(start.proxy)
    for n in (size for size in SIZES if 1 < size <= len(start.said[0])):
        gains: dict[str, list[float | None]] = {"judge": [], "proxy": []}
        for proxy, judge, was, earned in zip(start.proxy, start.judge, base, zero, strict=True):
            known = [(p, j) for p, j in zip(proxy, judge, strict=True) if p is not None and j is not None]
            if len(known) < n or was is None or earned is None:
                gains["judge"].append(None)
                gains["proxy"].append(None)
                continue
            rewards = [p for p, _ in known]
            gains["judge"].append(expected_best(rewards, [j for _, j in known], n) - was)
            gains["proxy"].append(expected_best(rewards, rewards, n) - earned)
        made.append(Point("best of n", f"best of {n}", most_kl(n), gains["judge"], gains["proxy"]))
    return made


def point_of(
    loaded: Loaded, label: str, start: Start, scale: Scale, *, samples: int, max_tokens: int, seed: int, progress: Any
) -> Point:  # fmt: skip
    """Where a model on the way stands: KL from the start, and the gains of its samples at temperature 1."""
    prompts = start.prompts
    said = texts(
        answers(loaded, prompts, Decoding(1.0, max_tokens=max_tokens), samples=samples, seed=seed, progress=progress)
    )
    kl = measure_kl(loaded, start.loaded, prompts, max_tokens=max_tokens, samples=samples, seed=seed)["mean"]
    proxy = scale.rewarded(prompts, said)
    return Point(
        "training", label, max(0.0, kl), _gain(scale.judged(prompts, said, start.said), start.judge),
        None if proxy is None or start.proxy is None else _gain(proxy, start.proxy),
    )  # fmt: skip


def _gain(after: list[list[float | None]], before: list[list[float | None]]) -> Values:
    pairs = zip(mean_by_prompt(after), mean_by_prompt(before), strict=True)
    return [None if a is None or b is None else a - b for a, b in pairs]
