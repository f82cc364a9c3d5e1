"""How long to wait before a server is asked again."""

import math
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST, LONGEST = 0.5, 30.0  # seconds: the wait before the second try, and the longest that is not asked for


def asked_wait(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """The seconds that a reply asks to wait, by `retry-after-ms` or `Retry-After`, the longer of both; 0 where it asks
    nothing that can be read.

    A date is held against the `Date` of the reply, as the clocks of two machines differ, and against `now` without one.
    Names of `headers` in any case. Source: RFC 9110, section 10.2.3; milliseconds are a habit of hosted servers.
    """
    given = {name.lower(): value.strip() for name, value in headers.items()}
    asked = [_number(given.get("retry-after-ms", "")) / 1000, _number(given.get("retry-after", "")), 0.0]
    if (until := _date(given.get("retry-after", ""))) is not None:
        since = _date(given.get("date", "")) or now or datetime.now(UTC)
        asked.append((until - since).total_seconds())
    return max(asked)


def backoff(tries: int, draw: random.Random) -> float:
    """Seconds to wait after `tries` >= 1 tries that failed: twice as long each time, by chance up to a half shorter, so
    that many who failed together do not come back together."""
    return min(LONGEST, FIRST * 2.0 ** min(tries - 1, 30)) * (1 - draw.random() / 2)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
