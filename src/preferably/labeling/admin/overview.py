"""`/admin`: how it goes, in one look."""

from datetime import date, timedelta
from itertools import chain
from statistics import median
from typing import Any

from starlette.responses import Response

from preferably.labeling.admin.frame import figures, first_command, page
from preferably.labeling.desk import Visit, seen_by
from preferably.labeling.forecast import forecast
from preferably.labeling.progress import Batch, batches_of, days_of, filled_quotas, golden_of, seconds_of, turns_of
from preferably.labeling.remarks import remarks_of
from preferably.statistics.shares import share

SHOWN = 30  # days


@seen_by("lead")
def overview(visit: Visit) -> Response:
    """Progress, speed, cost, what the labels are worth, and what to look at."""
    desk = visit.desk
    batches, turns, days = batches_of(desk.store), turns_of(desk.store, desk.clock), days_of(desk.store)
    seconds = seconds_of(desk.store)
    today = desk.clock.now()[:10]
    answers, gold = sum(one.answers + one.answers_gold for one in batches), sum(one.answers_gold for one in batches)
    wanted = sum(one.left for one in batches)
    expected = forecast(
        desk.project.pay, answers=answers, gold=gold, seconds=seconds, wanted=wanted, days=days, today=today
    )
    times = list(chain.from_iterable(seconds.values()))
    told = figures(visit).worth()
    worth = told.value[0] if told.value else None
    right = list(golden_of(desk.store).values())
    golden = share(sum(good for good, _ in right), sum(count for _, count in right))
    filled = filled_quotas(desk.store, desk.project.quotas)
    return page(
        visit, "admin_overview.html", first=first_command(visit), batches=batches, total=_sum(batches), turns=turns,
        days=_bars(days, today), median=median(times) if times else None, timed=len(times), forecast=expected,
        told=told, worth=worth, golden=golden, remarks=remarks_of(desk.project, worth, batches, turns, filled),
        answers=answers,
    )  # fmt: skip


def _sum(batches: list[Batch]) -> dict[str, int]:
    names = ("tasks", "gold", "done", "wanted", "given", "leased", "left")
    return {name: sum(getattr(one, name) for one in batches) for name in names}


def _bars(days: dict[str, int], today: str) -> list[dict[str, Any]]:
    """The last `SHOWN` days from the first answer on, each with its height as a share of the highest."""
    if not days:
        return []
    end = max(date.fromisoformat(today), date.fromisoformat(max(days)))
    first = max(date.fromisoformat(min(days)), end - timedelta(days=SHOWN - 1))
    names = [(first + timedelta(days=at)).isoformat() for at in range((end - first).days + 1)]
    most = max(days.get(name, 0) for name in names)
    return [{"day": name, "count": days.get(name, 0), "share": days.get(name, 0) / max(most, 1)} for name in names]
