"""Which point of a sweep to take: win rate against KL. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

# Alarms after which a high win rate is not to be trusted without reading the samples.
ALARMING = frozenset({
    "kl_high", "kl_high_per_token", "likelihood_displacement", "repetition", "unfinished", "held_out_loss_rising",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Point:
    """One run of a sweep, and what came of it."""

    settings: dict[str, Any]  # of the grid only
    path: str
    state: Literal["finished", "failed"]
    reason: str = ""
    win_rate: float | None = None  # over the starting model
    interval: tuple[float, float] | None = None
    kl: float | None = None  # nats per sequence, on own samples
    kl_se: float | None = None
    warnings: tuple[str, ...] = ()  # codes
    flags: tuple[str, ...] = ()  # kinds of replies that can win without being good, so many that they warn
    start_flags: tuple[str, ...] = ()  # the same of the starting model

    @property
    def measured(self) -> bool:
        """Whether the point can stand on the frontier."""
        return self.win_rate is not None and self.interval is not None and self.kl is not None

    @property
    def alarms(self) -> list[str]:
        """Why its win rate is not to be trusted without reading the samples; empty where it may be."""
        return sorted({*(ALARMING & set(self.warnings)), *self.flagged})

    @property
    def flagged(self) -> list[str]:
        """Its flags in words."""
        return [f"{kind.replace('_', '-')} replies" for kind in self.flags]

    @property
    def name(self) -> str:
        """`beta=0.1, learning_rate=5e-06`."""
        return ", ".join(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
                         for key, value in self.settings.items())  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The point to take, or none, and why."""

    point: Point | None
    reason: str
    hints: list[str] = field(default_factory=list)


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats: none has a higher win rate at no more KL. By KL, ascending."""
    ordered = sorted((point for point in points if point.measured), key=lambda p: (p.kl or 0.0, -(p.win_rate or 0.0)))
    kept: list[Point] = []
    for point in ordered:
        if not kept or (point.win_rate or 0.0) > (kept[-1].win_rate or 0.0):
            kept.append(point)
    return kept


def recommend(points: Sequence[Point], grid: Mapping[str, Sequence[Any]]) -> Recommendation:
    """The least KL among the points whose interval reaches the best win rate, without those that raised an alarm or
    whose replies are flagged (`evaluation.flags`).

    As the one-standard-error rule has it (Breiman et al. 1984, section 3.4.3): what cannot be told from the best is as
    good, and of those the one nearest to the reference has traded away the least. No point is recommended where none is
    better than the start.
    """
    measured = [point for point in points if point.measured]
    calm = [point for point in measured if not point.alarms]
    better = [point for point in calm if point.interval is not None and point.interval[0] > 0.5]
    if not better:
        return Recommendation(None, _why_none(measured, calm), _hints(points, None, grid))
    best = max(better, key=lambda point: point.win_rate or 0.0)
    alike = [point for point in better if point.interval is not None and point.interval[1] >= (best.win_rate or 0.0)]
    chosen = min(alike, key=lambda point: point.kl or 0.0)
    reason = f"win rate {chosen.win_rate:.3f} at {chosen.kl:.2f} nats"
    if chosen is not best:
        reason += (
            f": not told apart from the best ({best.win_rate:.3f} at {best.kl:.2f} nats, {best.name}), and nearer "
            "to the reference"
        )
    louder = [point for point in measured if point not in calm and (point.win_rate or 0.0) > (best.win_rate or 0.0)]
    if louder:
        top = max(louder, key=lambda point: point.win_rate or 0.0)
        reason += f"; {top.name} has {top.win_rate:.3f}, but raised {', '.join(top.alarms)}"
    return Recommendation(chosen, reason + ".", _hints(points, chosen, grid))


def _why_none(measured: Sequence[Point], calm: Sequence[Point]) -> str:
    if not measured:
        return "no point was measured."
    if not calm:
        return "every point raised a warning that forbids to trust its win rate."
    top = max(calm, key=lambda point: point.win_rate or 0.0)
    alarms = sorted({alarm for point in measured for alarm in point.alarms})
    without = f" without one of these alarms ({', '.join(alarms)})" if alarms else ""
    return f"no point{without} is better than the start: the best, {top.name}, has {top.win_rate:.3f}."


def _hints(points: Sequence[Point], chosen: Point | None, grid: Mapping[str, Sequence[Any]]) -> list[str]:
    hints = []
    if chosen is not None:
        for key, values in grid.items():
            numbers = [value for value in values if isinstance(value, int | float)]
            if len(numbers) > 1 and len(numbers) == len(values) and chosen.settings[key] in (min(values), max(values)):
                hints.append(f"{key} = {chosen.settings[key]:g} is at the edge of the grid: look beyond it.")
        if len(points) > 1:
            hints.append(
                "chosen and measured on the same prompts, so its win rate is a little flattered: confirm it by "
                "preferably evaluate on fresh ones."
            )
    if flagged := sorted({flag for point in points for flag in point.start_flags}):
        hints.append(
            f"replies of the starting model are flagged ({', '.join(flagged)}), so a win over it may say little: read "
            "the examples in evaluation/win_rate.json."
        )
    failed = [point for point in points if point.state == "failed"]
    if failed:
        hints.append(f"{len(failed)} of {len(points)} runs failed: {failed[0].name}: {failed[0].reason}")
    return hints
