"""How long a lease lasts, by a clock that nobody can set; and what time it is, by one that anybody can."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path


@cache
def boot() -> str:
    """Which start of this machine it is: its steady clock means something until the next one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return (
            f"{datetime.now(UTC).timestamp() - time.monotonic():.0f}"  # when it was started, where nothing tells more
        )


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks of this machine, all processes alike; tests have others."""

    boot: str

    @classmethod
    def of_machine(cls) -> "Clock":
        """Of this machine."""
        return cls(boot())

    def steady(self) -> float:
        """Seconds since some moment; it never goes back, and does not follow the clock on the wall."""
        return time.monotonic()

    def now(self) -> str:
        """The time, UTC, ISO 8601."""
        return datetime.now(UTC).isoformat(timespec="microseconds")
