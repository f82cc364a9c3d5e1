"""How often something was so."""

from dataclasses import dataclass

from preferably.statistics.intervals import Interval, exact, wilson


@dataclass(frozen=True, slots=True)
class Share:
    """A share of `n` cases, with its interval."""

    value: float
    n: int
    interval: Interval

    def as_json(self) -> dict[str, object]:
        """`value`, `n`, `interval`."""
        return {"value": self.value, "n": self.n, "interval": [self.interval.low, self.interval.high]}


def exact_share(successes: int, n: int) -> Share | None:
    """`successes` of `n` cases that do not depend on each other, with the exact interval; None of nothing."""
    return Share(successes / n, n, exact(successes, n)) if n else None


def share(successes: float, n: int, trials: int | None = None) -> Share | None:
    """`successes` (a tie counts half) of `n`, with Wilson's interval; None of nothing.

    Where the `n` come in groups that go together, `trials` is how many groups there are, and the interval is that of so
    many: at least as wide as it has to be.
    """
    independent = min(trials or n, n)
    return Share(successes / n, n, wilson(successes * independent / n, independent)) if n else None
