"""What a win rate would be if both sides wrote in the same style: length, headings, lists and bold at once.

Judges like the look of an answer at least as much as its length, so controlling length alone is not enough.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from preferably.statistics.controlled import Prior, check_rows, fit_equal, too_far
from preferably.statistics.intervals import Interval

FEATURES = ("length", "headings", "lists", "bold")
VARIANCE = 4.0  # of what one spread of a feature counts, nats, around 0: no leaning is taken for granted
RARE = 10  # comparisons that must differ in a feature before its weight is fitted

_FENCED = re.compile(r"^(```|~~~).*?^\1|^(```|~~~).*", re.DOTALL | re.MULTILINE)
_MARKS = (
    re.compile(r"^ {0,3}#{1,6}\s", re.MULTILINE),
    re.compile(r"^\s*(?:[-*+\u2022]|\d{1,3}[.)])\s", re.MULTILINE),
    re.compile(r"\*\*(?=\S).+?(?<=\S)\*\*|__(?=\S).+?(?<=\S)__"),
)


@dataclass(frozen=True, slots=True)
class Styled:
    """The win rate at equal style. What cannot be told is None, and `why`."""

    win_rate: float | None
    interval: Interval | None = None
    weights: tuple[tuple[str, float, Interval], ...] = ()  # nats a spread; above 0 more is preferred
    why: str = ""


def style_of(text: str) -> tuple[int, int, int, int]:
    """Characters, headings, list items and bold passages of Markdown; those inside fenced code are code.

    >>> style_of("# How\\n1. **Open** it\\n2. Cancel")
    (31, 1, 2, 1)
    """
    spoken = _FENCED.sub("", text)
    headings, items, bold = (len(mark.findall(spoken)) for mark in _MARKS)
    return len(text), headings, items, bold


def style_differences(ours: Sequence[str], theirs: Sequence[str]) -> NDArray[np.float64]:
    """[n, 4], a column for each of `FEATURES`: how much more of it `ours` has than `theirs`.

    Length: (a - b) / (a + b) of the characters, from -1 to 1. The others: (a - b) / (a + b + 1) of the counts, so that
    one heading against none is 1/2 and eleven against ten is little. The form is Chatbot Arena's
    (https://lmsys.org/blog/2024-08-28-style-control/).
    """
    a, b = (np.array([style_of(text) for text in texts], dtype=np.float64).reshape(-1, 4) for texts in (ours, theirs))
    both = a + b + np.array([0.0, 1.0, 1.0, 1.0])
    return (a - b) / np.where(both > 0, both, 1.0)  # two empty texts differ in nothing


def style_controlled(
    verdicts: ArrayLike, differences: ArrayLike, prompts: Sequence[object], *, confidence: float = 0.95,
    resamples: int = 500, seed: int = 0,
) -> Styled:  # fmt: skip
    """The win rate that `verdicts` [n] (1 won, 0.5 tied, 0 lost) would be at equal style.

    `differences` [n, 4] are those of `style_differences`. The fit: logit P(win) = theta + x w, x in spreads of each
    feature and not centred, as 0 must stay equal style; w ~ N(0, VARIANCE). A feature in which fewer than `RARE`
    comparisons differ is left out. It is not told where the two sides are so unlike in a feature that equal style would
    be a guess (`too_far`). Raises `ValueError` for no or unequal rows, or verdicts outside [0, 1].
    """
    won, x = np.asarray(verdicts, dtype=np.float64), np.asarray(differences, dtype=np.float64)
    check_rows(won, x, prompts)
    if x.ndim != 2 or x.shape[1] != len(FEATURES):
        raise ValueError(f"Expected differences of {len(FEATURES)} features; got shape {x.shape}.")
    for name, column in zip(FEATURES, x.T, strict=True):
        if why := too_far(column):
            return Styled(None, why=f"in {name} the two sides {why}")
    used = [at for at in range(len(FEATURES)) if np.count_nonzero(x[:, at]) >= RARE]
    scaled = x[:, used] / x[:, used].std(axis=0, ddof=1) if used else np.zeros((len(won), 0))
    prior = Prior(np.zeros(len(used)), np.full(len(used), VARIANCE))
    fit = fit_equal(scaled, won, prompts, prior, confidence=confidence, resamples=resamples, seed=seed)
    weights = zip(used, fit.weights, fit.weight_intervals, strict=True)
    return Styled(fit.win_rate, fit.interval, tuple((FEATURES[at], float(one), span) for at, one, span in weights))
