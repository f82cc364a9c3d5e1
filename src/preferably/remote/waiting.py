"""How long to wait before a server is asked again."""

import math
import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LEFT = re.compile(r"0+(\.0+)?")
SPAN = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
SINCE_1970 = 1e9  # seconds: no wait is thirty years long, so such a number is a time
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


def limit_wait(headers: Mapping[str, str], now: datetime | None = None) -> float:
    """The seconds until a limit of which nothing is left is reset, by `x-ratelimit-remaining` and `x-ratelimit-reset`,
    also with `-requests` and `-tokens` behind them; the longest of them, 0 where none is reached or can be read.

    A reset is a number of seconds, `1m30s` or `250ms`, or the time itself as seconds or milliseconds since 1970, held
    against the `Date` of the reply, or `now`. Source: a habit of hosted servers, OpenAI's among them.

    >>> limit_wait({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"})
    90.0
    """
    given = {name.lower(): value.strip() for name, value in headers.items()}
    clock = _date(given.get("date", "")) or now or datetime.now(UTC)
    waits = [0.0]
    for kind in ("", "-requests", "-tokens"):
        left = LEFT.fullmatch(given.get(f"x-ratelimit-remaining{kind}", ""))
        if left is not None:
            waits.append(_until(given.get(f"x-ratelimit-reset{kind}", ""), clock))
    return max(waits)


def _until(text: str, clock: datetime) -> float:
    """The seconds that a reset is away."""
    if seconds := _number(text):
        if seconds < SINCE_1970:
            return seconds
        return (seconds / 1000 if seconds >= 1000 * SINCE_1970 else seconds) - clock.timestamp()
    found = SPAN.fullmatch(text)
    return sum(float(value) * unit for value, unit in zip(found.groups("0"), UNITS, strict=True)) if found else 0.0


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
