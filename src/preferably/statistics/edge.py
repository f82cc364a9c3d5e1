"""How often a labeler is right, from how sure the others are of what they say."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import chdtri

from preferably.statistics.intervals import Interval
from preferably.statistics.shares import Share

MOST = 1 - 1e-9  # of an edge: a verdict against what is sure must not be impossible


def chance_right(pulls: Sequence[Sequence[float]], confidence: float = 0.95) -> Share | None:
    """The chance p to be right, of one labeler, with the interval of its likelihood; `n` counts records.

    `pulls` are by record and verdict x w, x = 1 or -1 the side that the verdict is for, and w from -1 to 1 how sure the
    others are of side 1 (the chance that it is right less the chance that it is not). A verdict then has the likelihood
    (1 + e x w) / 2 with the edge e = 2 p - 1. Where verdicts of one record go together, the likelihood counts for as
    much less as their slopes vary more than alone. None where nobody is sure of anything.
    """
    flat = np.array([one for record in pulls for one in record])
    if not len(flat) or np.abs(flat).max() < 1e-6:
        return None
    records = np.repeat(np.arange(len(pulls)), [len(record) for record in pulls])

    def slope(edge: float) -> NDArray[np.float64]:
        return np.asarray(flat / (1 + edge * flat))

    def value(edge: float) -> float:
        return float(np.log1p(edge * flat).sum())

    low, high = -MOST, MOST
    if slope(low).sum() <= 0:
        best = low
    elif slope(high).sum() >= 0:
        best = high
    else:
        best = float(brentq(lambda edge: float(slope(edge).sum()), low, high))
    parts = slope(best)
    together = np.bincount(records, parts)
    counts_for = min(1.0, float(parts @ parts) / max(float(together @ together), 1e-300))
    most = float(chdtri(1, 1 - confidence)) / 2 / counts_for

    def lost(edge: float) -> float:
        return value(best) - value(edge) - most

    ends = [float(brentq(lost, best, end)) if lost(end) > 0 else end for end in (low, high)]
    chance, start, end = (round((1 + edge) / 2, 8) for edge in (best, *ends))  # MOST is 1 to eight digits
    return Share(chance, len(pulls), Interval(start, end, confidence, "likelihood"))
