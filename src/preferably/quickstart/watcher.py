"""Who is told how the quickstart goes."""

from collections.abc import Callable
from typing import Protocol

from preferably.training.closing import Progress


class Watcher(Protocol):
    """Told of each stage."""

    def training(self, name: str) -> Progress:
        """A training stage begins."""

    def counting(self, name: str, total: int | None) -> Callable[[int], None]:
        """A stage of `total` prompts (None: not known) begins; what is returned is told of each batch done."""
