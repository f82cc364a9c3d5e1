"""What people would say at equal style: few judgments of people, many of a judge, both fitted by how answers look.

The fit of the judge over all prompts is corrected by how far it is from the fit of people where both spoke, so that a
judge who likes another style than people do costs width and never truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from preferably.statistics.controlled import Floats, Prior, check_rows, fitted, too_far, widened
from preferably.statistics.intervals import Interval
from preferably.statistics.style_control import FEATURES, RARE, VARIANCE, Styled


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts of one side, several on a prompt together as one."""

    won: Sequence[float]  # [n]: 1, 0.5, 0
    differences: Floats  # [n, 4], of `style_differences`
    prompts: Sequence[object]  # [n]


def style_corrected(
    people: Verdicts, judge: Verdicts, alone: Verdicts, *, confidence: float = 0.95, resamples: int = 500, seed: int = 0
) -> Styled:
    """The win rate by people at equal style, from verdicts of `people`, of the `judge` on the same prompts, and of the
    judge `alone` on the others.

    With theta the log-odds at equal style of a fit (`style_controlled`): w theta(alone) + theta(people) - w
    theta(judge), with the w in [0, 1] of least variance; interval and w by resampling prompts, those that people judged
    with both their verdicts. All fits have the features in which `RARE` verdicts of people differ. It is not told where
    equal style would be a guess (`too_far`). Raises `ValueError` as `style_controlled`, and where people and judge have
    other prompts. Source: the prediction-powered bootstrap, Zrnic 2024, https://arxiv.org/abs/2405.18379; the weight:
    https://arxiv.org/abs/2311.01453.
    """
    both, rest = list(dict.fromkeys(people.prompts)), list(dict.fromkeys(alone.prompts))
    if set(both) != set(judge.prompts):
        raise ValueError("The judge must have judged the same prompts as people.")
    for side in (people, judge, alone):
        check_rows(np.asarray(side.won, dtype=np.float64), side.differences, side.prompts)
        for name, column in zip(FEATURES, side.differences.T, strict=True):
            if why := too_far(column):
                return Styled(None, why=f"in {name} the two sides {why}")
    used = [at for at in range(len(FEATURES)) if np.count_nonzero(people.differences[:, at]) >= RARE]
    spread = np.vstack([judge.differences, alone.differences])[:, used].std(axis=0, ddof=1)
    generator = np.random.default_rng(seed)
    times = _drawn(generator, len(both), resamples)
    own, its = (_centres(generator, len(used), resamples) for _ in range(2))
    fits = [
        _thetas(people, both, used, spread, times, own),
        _thetas(judge, both, used, spread, times, its),
        _thetas(alone, rest, used, spread, _drawn(generator, len(rest), resamples), its),
    ]
    said, guessed, elsewhere = (drawn for _, drawn in fits)
    varies = float(guessed.var(ddof=1) + elsewhere.var(ddof=1))
    weight = min(max(float(np.cov(said, guessed)[0, 1]) / varies, 0.0), 1.0) if varies else 0.0
    theta, spread_of = (a + weight * (c - b) for a, b, c in zip(*fits, strict=True))
    upper = widened((1 + confidence) / 2, len(both))
    low, high = expit(np.quantile(spread_of, [1 - upper, upper]))
    return Styled(float(expit(theta)), Interval(float(low), float(high), confidence, "bootstrap"))


def _drawn(generator: np.random.Generator, prompts: int, resamples: int) -> Floats:
    """How often each prompt is in each resample."""
    times: Floats = generator.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples).astype(np.float64)
    return times


def _centres(generator: np.random.Generator, features: int, resamples: int) -> Floats:
    """Of the prior of the weights, as `fit_equal` draws them."""
    centres: Floats = np.sqrt(VARIANCE) * generator.standard_normal((resamples, features))
    return centres


def _thetas(
    side: Verdicts, prompts: Sequence[object], used: Sequence[int], spread: Floats, times: Floats, centres: Floats
) -> tuple[float, NDArray[np.float64]]:
    """The log-odds at equal style, and those of the resamples `times` [r, prompts]."""
    place = {prompt: at for at, prompt in enumerate(prompts)}
    of_prompt = np.array([place[prompt] for prompt in side.prompts])
    share = 1 / np.bincount(of_prompt)[of_prompt]  # of a prompt's several verdicts
    x, won = side.differences[:, used] / spread, np.asarray(side.won, dtype=np.float64)
    prior = Prior(np.zeros(len(used)), np.full(len(used), VARIANCE))
    found = fitted(x, won, prior, share[None])[0]
    return float(found[0]), fitted(x, won, prior, times[:, of_prompt] * share, centres, found)[:, 0]
