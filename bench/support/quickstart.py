"""What the two benchmarks of the quickstart share: a recipe for smoke runs, and a watcher that says nothing."""

from collections.abc import Callable

from preferably.training.closing import Progress

# Fields of `Recipe` that make the job tiny: the model learns next to nothing, but every line runs.
TINY = {
    "documents": 256,
    "demonstrations": 96,
    "asked": 64,
    "prompts": 80,
    "samples": 2,
    "max_tokens": 48,
    "ppo_prompts": 96,
    "ppo_batch_size": 16,
    "best_of": 4,
    "best_of_prompts": 40,
}


class Quiet:
    """The quickstart's watcher."""

    def training(self, name: str) -> Progress:
        return Progress()

    def counting(self, name: str, total: int) -> Callable[[int], None]:
        return lambda done: None
