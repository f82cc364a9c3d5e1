"""Who is told while a server is away, or takes nothing for a while: whoever shows how a command gets on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Told = Callable[[str], None]  # a line; empty when the server answers again

LONG = 3.0  # seconds without an answer, or of a wait, from which it is told

_listener: ContextVar[Told] = ContextVar("away", default=lambda text: None)


@contextmanager
def telling(told: Told) -> Iterator[None]:
    """Within it, `told` is called by every client that waits."""
    token = _listener.set(told)
    try:
        yield
    finally:
        _listener.reset(token)


class Away:
    """How long one server has not answered, by the clock that `client` reads."""

    def __init__(self) -> None:
        self.told = _listener.get()
        self.since: float | None = None  # of the first try since the last answer that came to nothing
        self.until = 0.0  # when the server wants to be asked again
        self.shown = False

    def waits(self, what: str, wait: float, now: float, *, asked: bool) -> None:
        """`what` happened, and it is asked again in `wait` seconds, which it may have `asked` for."""
        self.since = now if self.since is None else self.since
        self.until = max(self.until, now + wait) if asked else self.until
        gone = now - self.since
        if max(gone, wait) >= LONG:
            self.shown = True
            self.told(f"{what}{f', for {gone:,.0f} s' if gone >= 1 else ''}; asked again in {wait:,.0f} s")

    def answers(self, now: float) -> None:
        """It answered. What had been under way may arrive while nobody may ask: that is no end of the wait."""
        self.since = None
        if now >= self.until:
            self.ends()

    def ends(self) -> None:
        """Nobody waits any more."""
        if self.shown:
            self.shown = False
            self.told("")
