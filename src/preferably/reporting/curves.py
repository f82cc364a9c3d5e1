"""Points of curves from the metrics of a run: finite ones to draw, and the steps that have none to name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from preferably.reporting.run_files import Record, finite, number, text

Point = tuple[float, float]

MOST_POINTS = 400  # a curve never has more


@dataclass(frozen=True, slots=True)
class Curve:
    """One line: its name in the legend, its points, and whether it is of held-out data (drawn strong, with marks)."""

    name: str
    points: tuple[Point, ...]
    held_out: bool = False


def curve(metrics: Sequence[Record], key: str, name: str, *, held_out: bool = False) -> Curve:
    """The finite values of `key` by step, thinned to `MOST_POINTS`. Steps come in the order of the file."""
    points = []
    for record in metrics:
        step, value = finite(record, "step"), finite(record, key)
        if step is not None and value is not None:
            points.append((step, value))
    return Curve(name, tuple(thinned(points)), held_out)


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most `most` of the points: the first, the last, and the lowest and highest of equal buckets between them.

    Unlike a mean or every n-th point this keeps every spike that is the extreme of its bucket.
    """
    if len(points) <= most:
        return list(points)
    inner = points[1:-1]
    buckets = (most - 2) // 2
    kept = [points[0]]
    for bucket in range(buckets):
        of_bucket = range(bucket * len(inner) // buckets, (bucket + 1) * len(inner) // buckets)
        low = min(of_bucket, key=lambda index: inner[index][1])
        high = max(of_bucket, key=lambda index: inner[index][1])
        kept.extend(inner[index] for index in sorted({low, high}))
    return [*kept, points[-1]]


@dataclass(frozen=True, slots=True)
class BadSteps:
    """Steps whose loss is NaN or infinite, and steps that were skipped with the reasons given."""

    not_finite: tuple[int, ...]
    skipped: tuple[int, ...]
    reasons: tuple[str, ...]

    @property
    def all(self) -> tuple[int, ...]:
        """Both kinds in order, each step once."""
        return tuple(sorted({*self.not_finite, *self.skipped}))


def bad_steps(metrics: Sequence[Record]) -> BadSteps:
    """The steps of `metrics` that did not train as they should."""
    not_finite, skipped, reasons = [], [], []
    for record in metrics:
        step = finite(record, "step")
        if step is None:
            continue
        losses = (number(record, "loss"), number(record, "eval_loss"))
        if any(loss is not None and not math.isfinite(loss) for loss in losses):
            not_finite.append(int(step))
        if record.get("skipped"):
            skipped.append(int(step))
            reasons.append(text(record, "skipped"))
    return BadSteps(tuple(not_finite), tuple(skipped), tuple(dict.fromkeys(reasons)))


def listed(steps: Sequence[int], most: int = 6) -> str:
    """`3, 4, 9` or `3, 4, 9, …` where there are more."""
    return ", ".join(f"{step:,}" for step in steps[:most]) + (", …" if len(steps) > most else "")
