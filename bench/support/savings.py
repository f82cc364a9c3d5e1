"""What one way of asking saves beside another: labels for the same accuracy, by curves over seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def needed(labels: Sequence[int], accuracy: Sequence[float], goal: float) -> float | None:
    """Labels with which a curve first has the accuracy `goal`, straight in the logarithm between sizes; None where it
    never has, the first size where it begins with more."""
    if accuracy[0] >= goal:
        return float(labels[0])
    for at in range(1, len(labels)):
        if accuracy[at] >= goal:
            part = (goal - accuracy[at - 1]) / (accuracy[at] - accuracy[at - 1])
            return float(labels[at - 1] ** (1 - part) * labels[at] ** part)
    return None


def compared(rows: Sequence[dict[str, Any]], by: str, what: str) -> dict[str, Any]:
    """One way of asking beside random, by the accuracy `what`."""
    labels = [one["labels"] for one in rows[0][by]]
    mine, other = (np.array([[one[what] for one in row[way]] for row in rows]) for way in (by, "random"))
    everyone = np.arange(len(rows))

    def share(these: np.ndarray, at: int) -> float:
        found = needed(labels, mine[these].mean(0), other[these].mean(0)[at])
        return np.inf if found is None else found / labels[at]

    saved = {}
    for at, size in enumerate(labels):
        random = np.random.default_rng(0)
        again = [share(random.integers(len(rows), size=len(rows)), at) for _ in range(2000)]
        low, high = np.quantile(again, [0.025, 0.975], method="inverted_cdf")
        saved[f"{size:.0f}"] = {
            "needed": _finite(share(everyone, at)), "interval": [_finite(low), _finite(high)],
            "by_seed": [_finite(share(np.array([seed]), at)) for seed in everyone],
        }  # fmt: skip
    ahead = mine - other
    error = ahead.std(0, ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else np.zeros(len(labels))
    return {
        "labels": labels, "random": other.mean(0).tolist(), by: mine.mean(0).tolist(), "n": len(rows), "saved": saved,
        "ahead": ahead.mean(0).tolist(), "ahead_se": error.tolist(), "seeds_behind": (ahead < 0).sum(0).tolist(),
    }  # fmt: skip


def _finite(value: float) -> float | None:
    """None for more labels than were asked for."""
    return float(value) if np.isfinite(value) else None
