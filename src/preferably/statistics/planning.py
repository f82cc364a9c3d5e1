"""How many prompts an evaluation needs before it is run, and what one of a given size can see."""

import math

from scipy.special import ndtri


def spread_of(win_rate: float = 0.5, ties: float = 0.0) -> float:
    """The standard deviation of one verdict (a win is 1, a tie 0.5, a loss 0) at a win rate and a share of ties.

    sqrt(p (1 - p) - ties / 4): 0.5 for a coin without ties. Raises `ValueError` for shares that cannot be.
    """
    wins = win_rate - ties / 2
    if not (0 <= ties <= 1 and -1e-12 <= wins and wins + ties <= 1 + 1e-12):
        raise ValueError(f"There is no win rate of {win_rate} with a share of {ties} ties.")
    return math.sqrt(max(0.0, win_rate * (1 - win_rate) - ties / 4))


def spread_of_means(spread: float, samples: int, alike: float) -> float:
    """The standard deviation of a prompt's mean over several samples, from that of one verdict.

    spread sqrt(alike + (1 - alike) / samples), where `alike` is the correlation of verdicts on samples of one prompt: 0
    where they differ as much as those of two prompts, 1 where they all say the same and more samples tell nothing.
    `ValueError` for no samples, or `alike` outside [0, 1].
    """
    if samples < 1 or not 0 <= alike <= 1:
        raise ValueError(f"Expected a sample or more and a correlation in [0, 1]; got {samples} and {alike}.")
    return spread * math.sqrt(alike + (1 - alike) / samples)


def prompts_needed(points: float, spread: float = 0.5, *, power: float = 0.8, confidence: float = 0.95) -> int:
    """How many prompts it takes to tell a win rate from one that is `points` away (a share: 0.05 is five points).

    ((z_confidence + z_power) spread / points)^2, two-sided; `spread` is the standard deviation of a prompt's value, by
    default that of one verdict. With several samples a prompt, or two models on the same prompts, the spread of means
    or differences counts, which is less. Raises `ValueError` for numbers out of range.
    Example: five points at spread 0.5 take 785 prompts.
    """
    _check(power, confidence)
    if not (0 < points <= 1 and 0 <= spread <= 0.5 * (1 + 1e-12)):
        raise ValueError(f"Expected points in (0, 1] and a spread in [0, 0.5]; got {points} and {spread}.")
    return max(1, math.ceil(((_z(confidence) + float(ndtri(power))) * spread / points) ** 2))


def points_seen(prompts: int, spread: float = 0.5, *, power: float = 0.8, confidence: float = 0.95) -> float:
    """The least difference, as a share, that `prompts` tell with that power: the inverse of `prompts_needed`."""
    _check(power, confidence)
    if prompts < 1:
        raise ValueError(f"Expected a prompt or more; got {prompts}.")
    return (_z(confidence) + float(ndtri(power))) * spread / math.sqrt(prompts)


def _z(confidence: float) -> float:
    return float(ndtri((1 + confidence) / 2))


def _check(power: float, confidence: float) -> None:
    if not (0.5 <= power < 1 and 0 < confidence < 1):
        raise ValueError(f"Expected power in [0.5, 1) and confidence in (0, 1); got {power} and {confidence}.")
