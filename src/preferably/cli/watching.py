"""Progress in the terminal: a bar with the figures that matter, and warnings in words."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from preferably.remote.away import telling
from preferably.training.closing import Progress

FIGURES = {
    "loss": "loss",
    "eval_loss": "held-out",
    "eval_rewards/accuracies": "accuracy",
    "objective/kl": "KL",
    "objective/scores": "reward",
}


class Watch:
    """One line of progress a stage."""

    def __init__(self, console: Console) -> None:
        self.console, self.task, self.gone = console, TaskID(0), False
        self.bars = Bars(
            TextColumn("[bold]{task.description:<22}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[figures]}"), console=console, disable=not sys.stderr.isatty(),
        )  # fmt: skip

    def stage(self, name: str, total: int | None = None) -> TaskID:
        """Begin a line."""
        if self.bars.disable:
            self.console.print(name)
        self.task = self.bars.add_task(name, total=total, figures="")
        return self.task

    def training(self, name: str) -> Progress:
        """The callbacks of a training loop, as a line of its own."""
        task = self.stage(name)
        seen: dict[str, float] = {}

        def step(number: int, metrics: dict[str, Any]) -> None:
            seen.update({key: metrics[key] for key in FIGURES if isinstance(metrics.get(key), float)})
            figures = "  ".join(f"{FIGURES[key]} {seen[key]:.3f}" for key in FIGURES if key in seen)
            self.bars.update(task, completed=number, figures=figures)
            if self.bars.disable and any(key.startswith("eval_") for key in metrics):
                self.console.print(f"  step {number}: {figures}")

        return Progress(start=lambda total: self.bars.update(task, total=total), step=step, warn=self.warn)

    def warn(self, code: str, message: str, advice: str) -> None:
        """Say a warning: what it means and what to change."""
        if code == "note":
            self.note(message)
            return
        self.console.print(f"[yellow]warning ({code}):[/yellow] {escape(message)}; {escape(advice)}.", soft_wrap=True)

    def away(self, text: str) -> None:
        """Say that a server is waited for, in the line of what is under way; an empty text is that it is back."""
        if not self.bars.disable and self.bars.tasks:
            self.bars.update(self.task, figures=f"[yellow]{escape(text)}[/yellow]" if text else "")
        elif bool(text) != self.gone:
            self.console.print(f"[yellow]waiting:[/yellow] {escape(text)}" if text else "it answers", soft_wrap=True)
        self.gone = bool(text)

    def note(self, text: str) -> None:
        """Say what is good to know."""
        self.console.print(f"[dim]note: {escape(text)}[/dim]", soft_wrap=True)


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[Watch]:
    """A watch on standard error, which leaves standard output to the result."""
    watch = Watch(Console(stderr=True, highlight=False, quiet=quiet))
    with watch.bars, telling(watch.away):
        yield watch
