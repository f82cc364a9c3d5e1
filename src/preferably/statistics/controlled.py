"""What a win rate would be if both sides were alike in something that is no quality: length, headings, lists.

A logistic fit of the verdicts by how far the two differ: at no difference it gives the win rate. How much a difference
counts has a prior, as the verdicts of one evaluation say little of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, stdtrit

from preferably.statistics.intervals import Interval

Floats = NDArray[np.float64]

FAR = 2.0  # spreads of a difference, beyond which its mean is too far from none for a fit to be trusted
STEPS = 100
_BLOCK = 1 << 20  # rows of all fits at once: 8 MiB for each of a few arrays


@dataclass(frozen=True, slots=True)
class Prior:
    """What is known before of how much each of k differences counts, in nats of log-odds: normal, independent."""

    mean: Floats  # [k]
    variance: Floats  # [k]; 0 holds one at its mean


@dataclass(frozen=True, slots=True)
class Fit:
    """The win rate at no difference with its interval, and what each difference counts, in nats, with its own."""

    win_rate: float
    interval: Interval
    weights: Floats  # [k]
    weight_intervals: tuple[Interval, ...]


def fit_equal(
    differences: Floats, won: Floats, prompts: Sequence[object], prior: Prior, *, confidence: float, resamples: int,
    seed: int,
) -> Fit:  # fmt: skip
    """The fit of verdicts `won` [n] by `differences` [n, k], intervals by resampling `prompts` [n].

    Every resample draws the centre of the prior anew from the prior itself, so that what the prior leaves open is in
    the intervals too (randomise then optimise: exact for linear fits, Bardsley et al. 2014, SIAM J. Sci. Comput. 36).
    Quantiles are widened for few prompts, as in `bootstrap_mean`.
    """
    found = fitted(differences, won, prior)[0]
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompts))}
    of_prompt = np.array([numbers[prompt] for prompt in prompts])
    generator = np.random.default_rng(seed)
    rows = max(1, _BLOCK // len(won))
    drawn = []
    for start in range(0, resamples, rows):
        some = min(rows, resamples - start)
        times = generator.multinomial(len(numbers), np.full(len(numbers), 1 / len(numbers)), size=some)
        centres = prior.mean + np.sqrt(prior.variance) * generator.standard_normal((some, len(prior.mean)))
        drawn.append(fitted(differences, won, prior, times[:, of_prompt].astype(np.float64), centres, found))
    upper = widened((1 + confidence) / 2, len(numbers))
    low, high = np.quantile(np.concatenate(drawn), [1 - upper, upper], axis=0)
    spans = [Interval(float(a), float(b), confidence, "bootstrap") for a, b in zip(low, high, strict=True)]
    span = Interval(float(expit(low[0])), float(expit(high[0])), confidence, "bootstrap")
    return Fit(float(expit(found[0])), span, found[1:], tuple(spans[1:]))


def widened(upper: float, n: int) -> float:
    """The quantile for n prompts: expanded percentiles (Hesterberg 2014, arXiv:1411.5279)."""
    return float(ndtr(np.sqrt(n / (n - 1)) * stdtrit(n - 1, upper))) if n > 1 else upper


def fitted(
    differences: Floats, won: Floats, prior: Prior, counts: Floats | None = None, centres: Floats | None = None,
    start: Floats | None = None,
) -> Floats:  # fmt: skip
    """(theta, weights) [r, 1 + k] of logit P(win) = theta + differences [n, k] @ weights, of the largest posterior.

    By Newton's method, r fits at once: `counts` [r, n] is how often each row counts, `centres` [r, k] what stands for
    the mean of the prior, `start` [1 + k] where it begins; by default one fit of every row once, from the mean. All won
    or all lost has no largest likelihood: half a win and half a loss are added, at no difference.
    """
    n, k = differences.shape
    counts = np.ones((1, n)) if counts is None else counts
    x = np.column_stack([np.ones(n + 1), np.vstack([differences, np.zeros(k)])])
    said, times = np.append(won, 0.5), np.column_stack([counts, np.ones(len(counts))])
    centre = np.zeros((len(counts), k + 1))
    centre[:, 1:] = prior.mean if centres is None else centres
    free = np.append(True, prior.variance > 0)
    tight = np.append(0.0, np.divide(1.0, prior.variance, out=np.zeros(k), where=prior.variance > 0))
    products = (x[:, :, None] * x[:, None, :]).reshape(n + 1, -1)
    found = np.tile(np.append(0.0, prior.mean) if start is None else start, (len(counts), 1))
    found[:, ~free] = centre[:, ~free]
    for _ in range(STEPS):
        chance = expit(found @ x.T)
        slope = (times * (said - chance)) @ x - tight * (found - centre)
        bend = ((times * chance * (1 - chance)) @ products).reshape(-1, k + 1, k + 1) + np.diag(tight)
        step = np.zeros_like(found)
        step[:, free] = np.linalg.solve(bend[:, free][:, :, free], slope[:, free, None])[:, :, 0]
        found = found + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    return found


def too_far(differences: Floats) -> str:
    """Why no fit by one difference [n] can be trusted; empty where one can be, or where there is no difference."""
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    if spread == 0:
        return "differ by the same in all comparisons, so it cannot be told from quality" if differences.any() else ""
    far = abs(float(differences.mean())) > FAR * spread
    return f"differ by more than {FAR:g} spreads of the difference in the mean" if far else ""


def check_rows(won: Floats, differences: Floats, prompts: Sequence[object]) -> None:
    """`ValueError` unless there are as many verdicts in [0, 1] as finite differences and prompts, at least one."""
    if not len(won) or len(won) != len(differences) or len(prompts) != len(won):
        got = f"{len(won)}, {len(differences)}, {len(prompts)}"
        raise ValueError(f"Expected as many verdicts as differences and prompts, one or more; got {got}.")
    if not (np.isfinite(differences).all() and np.isfinite(won).all() and won.min() >= 0 and won.max() <= 1):
        raise ValueError("Expected verdicts from 0 to 1, and finite differences.")
