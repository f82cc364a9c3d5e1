"""What asking may cost, and what it has cost."""

from dataclasses import dataclass, field

from preferably.errors import ConfigError
from preferably.remote.reply import Reply

MILLION = 1e6


@dataclass(slots=True)
class Spending:
    """Limits, None for none, and counts.

    A request is started only where it would still fit if it, and each that is on its way, were as dear as the dearest
    so far; so what is spent goes beyond a limit only by what a dearer one is dearer.
    """

    max_requests: int | None = None  # every try counts
    max_tokens: int | None = None  # of requests and replies together, as the server counts them
    max_cost: float | None = None  # in the currency of the prices
    prices: tuple[float, float] | None = None  # of a million tokens of requests, and of replies
    requests: int = 0
    used: list[int] = field(default_factory=lambda: [0, 0])  # tokens of requests, of replies
    under_way: int = 0
    dearest: tuple[int, float] = (0, 0.0)  # tokens and cost of one request

    def __post_init__(self) -> None:
        """Refuse limits that cannot be kept."""
        for name in ("max_requests", "max_tokens", "max_cost"):
            if (limit := getattr(self, name)) is not None and not limit > 0:
                raise ConfigError(f"{name} is a number above 0; got {limit}.")
        if self.max_cost is not None and self.prices is None:
            raise ConfigError("max_cost needs the prices of a million tokens: of requests, and of replies.")
        if self.prices is not None and not all(price >= 0 for price in self.prices):
            raise ConfigError(f"prices are numbers from 0 up; got {self.prices}.")

    @property
    def tokens(self) -> int:
        """All tokens so far."""
        return sum(self.used)

    @property
    def cost(self) -> float | None:
        """So far; None without prices."""
        return None if self.prices is None else self._cost(*self.used)

    def full(self) -> str:
        """The limit that the next request might break; empty where there is room."""
        started = self.under_way + 1
        if self.max_requests is not None and self.requests + 1 > self.max_requests:
            return f"{self.max_requests:,} requests"
        if self.max_tokens is not None and self.tokens + started * self.dearest[0] > self.max_tokens:
            return f"{self.max_tokens:,} tokens ({self.tokens:,} are spent)"
        if self.max_cost is not None and (self.cost or 0.0) + started * self.dearest[1] > self.max_cost:
            return f"a cost of {self.max_cost:g} ({self.cost or 0:.4g} is spent)"
        return ""

    def start(self) -> None:
        """One request is on its way."""
        self.requests += 1
        self.under_way += 1

    def end(self, reply: Reply | None) -> None:
        """It came back with a reply, or with none."""
        self.under_way -= 1
        if reply is None or reply.used is None:
            return
        self.used = [one + more for one, more in zip(self.used, reply.used, strict=True)]
        self.dearest = (max(self.dearest[0], sum(reply.used)), max(self.dearest[1], self._cost(*reply.used)))

    def check(self, reply: Reply) -> None:
        """`ConfigError` where a limit cannot be kept, as nobody counts."""
        if reply.used is None and (self.max_tokens is not None or self.max_cost is not None):
            raise ConfigError(
                "The server does not tell how many tokens it used, so a limit of tokens or cost cannot be kept; limit "
                "the requests."
            )

    def _cost(self, asked: int, said: int) -> float:
        return (asked * self.prices[0] + said * self.prices[1]) / MILLION if self.prices else 0.0
