"""What labeling has cost, and what it will: money and days, as a range, or not at all while too little is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil
from statistics import fmean

import numpy as np

from preferably.labeling.project import Pay
from preferably.statistics.intervals import mean_interval

PEOPLE, EACH, ANSWERS, DAYS = 3, 10, 30, 3  # timed answers of so many people; days: below these nothing is told
WINDOW = 14  # days that the pace is taken from
QUANTILES = (0.1, 0.9)  # of people's speeds


@dataclass(frozen=True, slots=True)
class Range:
    """A figure with how low and how high it may come out; `high` None is without a bound."""

    low: float
    middle: float
    high: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Costs are in the currency of the pay; None with a reason where it cannot be told."""

    spent: float
    untimed: int  # answers without a time, which are not in what was paid by the hour
    left: int  # answers, with the gold that will come among them
    cost: Range | None
    cost_why: str
    days: Range | None
    days_why: str


def forecast(
    pay: Pay, *, answers: int, gold: int, seconds: Mapping[str, Sequence[float]], wanted: int, days: Mapping[str, int],
    today: str,
) -> Forecast:  # fmt: skip
    """The forecast after `answers`, `gold` of them to tasks of known answer, with `wanted` more still to come.

    `seconds` are those of each person's answers, `days` the answers by day, `today` the day that is not over. As many
    answers to gold will come among the others as came so far. Cost ranges from the mean speed at the first tenth of
    people to that at the last, those with `EACH` timed answers; days from the 95% interval of the mean answers a day
    over the `WINDOW` days before today, those without an answer among them.
    """
    left = ceil(wanted * answers / (answers - gold)) if answers > gold else wanted
    times = [one for own in seconds.values() for one in own]
    spent = pay.per_judgment * answers + pay.per_hour * sum(times) / 3600
    untimed = max(0, answers - len(times)) if pay.per_hour else 0
    cost, cost_why = _cost(pay, left, seconds)
    rest, days_why = _days(left, days, today)
    return Forecast(spent, untimed, left, cost, cost_why, rest, days_why)


def _cost(pay: Pay, left: int, seconds: Mapping[str, Sequence[float]]) -> tuple[Range | None, str]:
    if not (pay.per_judgment or pay.per_hour):
        return None, "the project names no pay"
    if not left or not pay.per_hour:
        whole = left * pay.per_judgment
        return Range(whole, whole, whole), ""
    means = [fmean(own) for own in seconds.values() if len(own) >= EACH]
    times = [one for own in seconds.values() for one in own]
    if len(means) < PEOPLE or len(times) < ANSWERS:
        return None, f"not sure yet: it takes {ANSWERS} timed answers, and {PEOPLE} people with {EACH} of them each"
    low, high = np.quantile(means, QUANTILES)
    middle = fmean(times)
    low, high = min(float(low), middle), max(float(high), middle)
    costs = (left * (pay.per_judgment + pay.per_hour * speed / 3600) for speed in (low, middle, high))
    return Range(*costs), ""


def _days(left: int, days: Mapping[str, int], today: str) -> tuple[Range | None, str]:
    if not left:
        return Range(0, 0, 0), ""
    end = date.fromisoformat(today)
    first = min(map(date.fromisoformat, days), default=end)
    start = max(first, end - timedelta(days=WINDOW))
    counts = [days.get((start + timedelta(days=at)).isoformat(), 0) for at in range((end - start).days)]
    if len(counts) < DAYS or sum(counts) < ANSWERS:
        return None, f"not sure yet: it takes {DAYS} whole days, and {ANSWERS} answers in the last {WINDOW}"
    pace, interval = fmean(counts), mean_interval(counts)
    assert interval is not None, "three days or more"
    slowest = left / interval.low if interval.low > 0 else None
    return Range(left / interval.high, left / pace, slowest), ""
