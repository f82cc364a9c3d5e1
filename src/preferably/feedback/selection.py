"""What to ask next: how much a verdict would tell about the reward, of many groups that people might be asked about.

All of it is by the scores that reward models give, nats of log-odds: the verdict on a group is which of its completions
is the best, softmax of its scores, as a labeler says it who with probability `noise` says anything at all. Of two it is
the whole verdict; of more a ranking tells at least as much. Groups of fewer completions are padded with a score of
-infinity. NumPy only.

Shapes: E reward models, n groups of up to K completions.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NOISE = 0.1  # the chance that a verdict says nothing: people who compare agree on about three of four pairs
AHEAD = 1000  # groups that are chosen with regard to each other


def verdicts(scores: ArrayLike, noise: float = NOISE) -> Floats:
    """[..., n, K]: the chance that each completion is said to be the best, by `scores` of that shape.

    Raises `ValueError` for a score that is no number or +infinity, a group of fewer than two completions, and a noise
    outside of [0, 1).
    """
    values = np.asarray(scores, dtype=np.float64)
    if not 0 <= noise < 1:
        raise ValueError(f"The noise of labelers is a chance below 1; got {noise}.")
    if values.ndim < 2 or np.isnan(values).any() or np.isposinf(values).any():
        raise ValueError(f"Expected scores [..., n, K] that are numbers; got the shape {values.shape} or no numbers.")
    there = np.isfinite(values)
    if (there.sum(-1) < 2).any():
        raise ValueError("A group of fewer than two completions asks nothing.")
    grown = np.exp(values - values.max(-1, keepdims=True))
    chances: Floats = (1 - noise) * grown / grown.sum(-1, keepdims=True) + noise * there / there.sum(-1, keepdims=True)
    return chances


def uncertainty(scores: ArrayLike, noise: float = NOISE) -> Floats:
    """[n]: the entropy of the verdict, nats, by the mean chance of all models: `scores` [E, n, K].

    High where the models disagree, and just as high where they agree that it is a toss-up, which tells little.
    """
    return _entropy(_ensemble(scores, noise).mean(0))


def disagreement(scores: ArrayLike, noise: float = NOISE) -> Floats:
    """[n]: the information, nats, that the verdict gives about which of the models is right: H(mean p) - mean H(p).

    0 where all models say the same; at most ln 2 of a pair, where each is sure and half of them are wrong. `scores`
    [E, n, K], E >= 2. Source: BALD, Houlsby et al. 2011 (https://arxiv.org/abs/1112.5745), equation 2; of reward
    models for language in Melo et al. 2024 (https://arxiv.org/abs/2406.10023).
    """
    chances = _ensemble(scores, noise)
    if len(chances) < 2:
        raise ValueError("One model cannot disagree with itself; expected two or more.")
    found: Floats = np.maximum(_entropy(chances.mean(0)) - _entropy(chances).mean(0), 0.0)
    return found


def information(scores: ArrayLike, factor: ArrayLike, noise: float = NOISE, ahead: int = AHEAD) -> Floats:
    """[n]: what each verdict would tell about all groups, once those with a higher figure were given: the share of the
    mean variance of the log-odds of two completions of a group that it takes away.

    The reward of completion k of group i is uncertain: normal with mean `scores` [n, K] and covariance
    factor[i, k] . factor[j, l] with that of completion l of group j, `factor` [n, K, r]. Chosen greedily, up to
    `ahead` groups; what is left has what it would take away after these. So nothing is asked that the answers before it
    tell, nor what is odd and tells about itself alone. A figure is never above the one chosen before it; of equal ones
    the first group comes first.

    By the Fisher information in the last layer of a reward model as Shen et al. 2025 (https://arxiv.org/abs/2502.04354),
    of the predictions that matter as Bickford Smith et al. 2023 (https://arxiv.org/abs/2304.08151) rather than of the
    weights: V-optimal design. What many verdicts tell together, not each alone, is the point of BatchBALD (Kirsch et
    al. 2019, https://arxiv.org/abs/1906.08158).
    """
    means, parts = np.asarray(scores, dtype=np.float64), np.asarray(factor, dtype=np.float64)
    chances = verdicts(means, noise)
    if parts.shape[:2] != means.shape or parts.ndim != 3 or not np.isfinite(parts).all():
        raise ValueError(f"Expected a finite factor [n, K, r] for scores {means.shape}; got {parts.shape}.")
    if ahead < 0:
        raise ValueError(f"Groups are chosen ahead of time from 0 on; got {ahead}.")
    told = _square_roots(means, chances, noise) @ parts  # [n, K, r]: the Fisher information is told @ told.T
    wanted = _mean_gaps(parts, np.isfinite(means))  # [r, r]: its trace is the mean variance
    all_there_is = max(float(np.trace(wanted)), np.finfo(np.float64).tiny)
    eye = np.eye(means.shape[1])
    spread, reach = told @ told.transpose(0, 2, 1), told @ wanted @ told.transpose(0, 2, 1)
    unknown = np.eye(parts.shape[2])  # the covariance that is left, in units of the prior
    gains, left, last = np.zeros(len(means)), np.ones(len(means), dtype=bool), np.inf
    for _ in range(min(ahead, len(means))):
        worth = np.where(left, _taken(spread, reach), -1.0)
        best = int(np.argmax(worth))
        gains[best] = last = min(worth[best], last)
        left[best] = False
        known = unknown @ told[best].T  # [r, K]
        inner = np.linalg.inv(eye + spread[best])
        shared = told @ known  # [n, K, K]
        far = told @ (unknown @ (wanted @ known))
        back, near = inner @ shared.transpose(0, 2, 1), inner @ reach[best] @ inner
        crossed = far @ back
        reach = reach - crossed - crossed.transpose(0, 2, 1) + shared @ near @ shared.transpose(0, 2, 1)
        spread = spread - shared @ back
        unknown = unknown - known @ inner @ known.T
    gains[left] = np.clip(_taken(spread[left], reach[left]), 0.0, last)
    return gains / all_there_is


def covering(worth: ArrayLike, prompts: Sequence[Hashable]) -> Floats:
    """[n]: `worth` [n], of which the second best group of a prompt counts half, the third a third, and so on, so that
    not all is asked about one prompt. Of equal worth the first comes first."""
    values = np.asarray(worth, dtype=np.float64)
    if values.shape != (len(prompts),) or np.isnan(values).any():
        raise ValueError(f"Expected as many numbers as prompts, {len(prompts)}; got the shape {values.shape}.")
    asked: dict[Hashable, int] = {}
    found = np.zeros(len(values))
    for at in np.argsort(-values, kind="stable"):
        turn = asked[prompts[at]] = asked.get(prompts[at], 0) + 1
        found[at] = values[at] / turn
    return found


def drawn(n: int, seed: int) -> Floats:
    """[n]: an order at random, as priorities: every whole number from 1 to n once."""
    order: Floats = (np.random.default_rng(seed).permutation(n) + 1).astype(np.float64)
    return order


def order_of(priorities: ArrayLike) -> NDArray[np.int64]:
    """[n]: which group comes first, second, ...: the largest priority first, of equal ones the first."""
    values = np.asarray(priorities, dtype=np.float64)
    if np.isnan(values).any():
        raise ValueError("A priority that is no number has no place in an order.")
    return np.argsort(-values, kind="stable")


def _ensemble(scores: ArrayLike, noise: float) -> Floats:
    chances = verdicts(scores, noise)
    if chances.ndim != 3 or not len(chances):
        raise ValueError(f"Expected the scores of an ensemble, [E, n, K]; got {chances.shape}.")
    return chances


def _entropy(chances: Floats) -> Floats:
    found: Floats = -(chances * np.log(np.where(chances > 0, chances, 1.0))).sum(-1)
    return found


def _square_roots(scores: Floats, chances: Floats, noise: float) -> Floats:
    """[n, K, K]: A with A^T A the Fisher information about the scores in a verdict of which each has `chances`."""
    pure = verdicts(scores, 0.0)
    slopes = -(1 - noise) * pure[:, :, None] * pure[:, None, :]
    places = np.arange(pure.shape[1])
    slopes[:, places, places] += (1 - noise) * pure
    found: Floats = slopes / np.sqrt(np.where(chances > 0, chances, 1.0))[:, :, None]
    return found


def _mean_gaps(parts: Floats, there: NDArray[np.bool_]) -> Floats:
    """[r, r]: the mean over groups of the mean over two of their completions of gap gap^T."""
    sizes = there.sum(1)
    present = there[:, :, None]
    centered = np.where(present, parts - (parts * present).sum(1, keepdims=True) / sizes[:, None, None], 0.0)
    rows = (centered * np.sqrt(2 / (sizes - 1) / len(parts))[:, None, None]).reshape(-1, parts.shape[2])
    found: Floats = rows.T @ rows
    return found


def _taken(spread: Floats, reach: Floats) -> Floats:
    """[n]: the variance that each verdict takes away: the trace of (I + spread)^-1 reach."""
    found: Floats = np.trace(np.linalg.solve(np.eye(spread.shape[1]) + spread, reach), axis1=1, axis2=2)
    return found
