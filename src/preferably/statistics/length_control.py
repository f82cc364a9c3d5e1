"""What a win rate would be if both sides wrote equally long.

Judges like longer answers. A fit of the verdicts by length says how much of a win rate that may be; on the prompts of
one evaluation alone it is fitted badly (against published values it is worse than no control at all), so the influence
of length has a prior, and the result comes with what other influences would make of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from preferably.statistics.intervals import Interval

Floats = NDArray[np.float64]

# The influence of length on an AI judge (nats of log-odds, from as long as the other to much longer): published fits
# of 199 models of the AlpacaEval 2 board have 1.5 in the median, and 0.9 to 2.0 for 90% of them. With a prior of this
# mean and variance, fits on the answers of single models come nearest to the published figures.
PRIOR, VARIANCE = 1.6, 1 / 30
BAND = (0.9, 2.0)
FAR = 2.0  # spreads of the differences in length, beyond which no fit can be trusted
STEPS = 100


@dataclass(frozen=True, slots=True)
class Controlled:
    """The win rate at equal lengths."""

    win_rate: float | None  # None where it cannot be told, and `why`
    interval: Interval | None = None
    influence: float | None = None  # of length, nats; above 0 the longer one is preferred
    band: tuple[float, float] | None = None  # win rates for influences from BAND[1] to BAND[0]
    why: str = ""


def length_controlled(
    verdicts: ArrayLike, lengths: ArrayLike, prompts: Sequence[object], *, confidence: float = 0.95,
    resamples: int = 500, seed: int = 0,
) -> Controlled:  # fmt: skip
    """The win rate that `verdicts` [n] (1 won, 0.5 tied, 0 lost, or a chance) would be at equal lengths.

    `lengths` [n] is by how much the model's answer is longer than the other (characters or tokens), `prompts` [n] what
    each comparison belongs to: intervals are by prompt. The fit: logit P(win) = theta + phi tanh(d / sd(d)), with
    phi ~ N(PRIOR, VARIANCE); the result sigma(theta). Lengths that are all alike leave the raw win rate. It is not told
    where the answers of one side are so much longer that their mean difference is beyond `FAR` spreads. Raises
    `ValueError` for no or unequal rows, or verdicts outside [0, 1].
    Source of the form: Dubois et al. 2024, https://arxiv.org/abs/2404.04475.
    """
    won, longer = np.asarray(verdicts, dtype=np.float64), np.asarray(lengths, dtype=np.float64)
    if not len(won) or won.shape != longer.shape or len(prompts) != len(won):
        got = f"{won.shape}, {longer.shape}, {len(prompts)}"
        raise ValueError(f"Expected as many verdicts as lengths and prompts; got {got}.")
    if not (np.isfinite(longer).all() and won.min() >= 0 and won.max() <= 1):
        raise ValueError("Expected verdicts from 0 to 1, and finite lengths.")
    spread = float(longer.std(ddof=1)) if len(longer) > 1 else 0.0
    if spread == 0 and longer.any():
        return Controlled(None, why="all answers differ in length by the same, so quality cannot be told from length")
    if spread and abs(float(longer.mean())) > FAR * spread:
        return Controlled(None, why=f"one side's answers are longer by more than {FAR:g} spreads of the difference")
    x = np.tanh(longer / spread) if spread else longer
    rows = _rows_by(prompts)
    theta, phi = fitted(x, won)
    generator = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        at = np.concatenate([rows[index] for index in generator.integers(len(rows), size=len(rows))])
        drawn.append(expit(fitted(x[at], won[at])[0]))
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    strong, weak = (float(expit(fitted(x, won, mean=one, variance=0.0)[0])) for one in BAND[::-1])
    interval = Interval(float(low), float(high), confidence, "bootstrap")
    return Controlled(float(expit(theta)), interval, phi, (min(strong, weak), max(strong, weak)))


def fitted(x: Floats, won: Floats, *, mean: float = PRIOR, variance: float = VARIANCE) -> tuple[float, float]:
    """(theta, phi) of logit P = theta + phi x with phi ~ N(mean, variance); at variance 0 phi is `mean`.

    By Newton's method. All won or all lost has no largest likelihood: half a win and half a loss are added, at x = 0.
    """
    theta, phi = 0.0, mean
    x, won, weight = np.append(x, 0.0), np.append(won, 0.5), np.append(np.ones(len(x)), 1.0)
    tight = 1 / variance if variance else 0.0
    for _ in range(STEPS):
        chance = expit(theta + phi * x)
        away, flat = weight * (won - chance), weight * chance * (1 - chance)
        slope = np.array([away.sum(), (away * x).sum() - tight * (phi - mean)])
        bend = np.array([[flat.sum(), (flat * x).sum()], [(flat * x).sum(), (flat * x * x).sum() + tight]])
        if not variance:  # phi stays
            step = np.array([slope[0] / bend[0, 0], 0.0])
        else:
            step = np.linalg.solve(bend, slope)
        theta, phi = theta + float(np.clip(step[0], -2, 2)), phi + float(np.clip(step[1], -2, 2))
        if np.abs(step).max() < 1e-10:
            break
    return theta, phi


def _rows_by(prompts: Sequence[object]) -> list[NDArray[np.int64]]:
    """The rows of each prompt."""
    found: dict[object, list[int]] = {}
    for row, prompt in enumerate(prompts):
        found.setdefault(prompt, []).append(row)
    return [np.array(rows, dtype=np.int64) for rows in found.values()]
