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
from scipy.special import ndtr

Floats = NDArray[np.float64]

NOISE = 0.1  # the chance that a verdict says nothing: people who compare agree on about three of four pairs


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


def doubt(ahead: ArrayLike, deviation: ArrayLike) -> Floats:
    """[...]: the chance that the one of two that is `ahead` of the other by so many nats, 0 or more, is the worse one,
    where the `deviation` of that lead is known: 1/2 at most, and 0 where nothing can be learnt as the two are alike.

    How sure the sign is, and not how much a verdict would tell about all rewards: what is far from everything tells
    most about itself, and a reward that is not quite linear is led astray by it (bench/LOG.md). Source: uncertainty
    sampling, of a classifier Lewis and Gale 1994 (https://arxiv.org/abs/cmp-lg/9407020), in units of what is not known.
    """
    leads, spreads = np.asarray(ahead, dtype=np.float64), np.asarray(deviation, dtype=np.float64)
    if not (leads >= 0).all() or not (spreads >= 0).all():
        raise ValueError("Expected leads and deviations of 0 or more.")
    known = spreads > 0
    found: Floats = np.where(known, ndtr(-leads / np.where(known, spreads, 1.0)), 0.0)
    return found


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
