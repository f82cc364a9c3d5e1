"""What a win rate would be if both sides wrote equally long.

Judges like longer answers. A fit of the verdicts by length says how much of a win rate that may be; on the prompts of
one evaluation alone it is fitted badly (against published values it is worse than no control at all), so the influence
of length has a prior, and the result comes with what other influences would make of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from preferably.statistics.controlled import Prior, check_rows, fit_equal, fitted, too_far
from preferably.statistics.intervals import Interval

# The influence of length on an AI judge (nats of log-odds, from as long as the other to much longer): published fits
# of 199 models of the AlpacaEval 2 board have 1.5 in the median, and 0.9 to 2.0 for 90% of them. With a prior of this
# mean and variance, fits on the answers of single models come nearest to the published figures.
PRIOR, VARIANCE = 1.6, 1 / 30
BAND = (0.9, 2.0)


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
    check_rows(won, longer, prompts)
    if why := too_far(longer):
        return Controlled(None, why=f"the lengths {why}")
    spread = float(longer.std(ddof=1)) if len(longer) > 1 else 0.0
    x = np.tanh(longer / spread if spread else longer)[:, None]
    prior = Prior(np.array([PRIOR]), np.array([VARIANCE]))
    fit = fit_equal(x, won, prompts, prior, confidence=confidence, resamples=resamples, seed=seed)
    held = (Prior(np.array([one]), np.zeros(1)) for one in BAND)
    ends = sorted(float(expit(fitted(x, won, one)[0, 0])) for one in held)
    return Controlled(fit.win_rate, fit.interval, float(fit.weights[0]), (ends[0], ends[1]))
