"""Rows of one prompt, which stand side by side in every pass.

All comparisons of a prompt as one element of a batch is what Ouyang et al. 2022 (section 3.5) trained reward models on:
shuffled one by one they over-fitted within a pass. It also lets a packed row hold the prompt once for all of them.
"""

from collections import defaultdict
from collections.abc import Sequence

from preferably.data.order import index_at
from preferably.data.tokens import TokenGroup

FEWEST = 4  # prompts that a batch has at least, where the data has as many: a step is not to be about one question


class Together:
    """The order of passes over rows that come in bundles: bundles are shuffled, the rows of one keep their order."""

    def __init__(self, bundles: Sequence[Sequence[int]]) -> None:
        self.bundles = bundles
        self._passes: dict[tuple[int, int], list[int]] = {}

    def order(self, seed: int, epoch: int) -> list[int]:
        """All rows in the order of pass `epoch`: for fixed bundles, seed and epoch always the same."""
        key = (seed, epoch)
        if key not in self._passes:
            n = len(self.bundles)
            rows = [row for at in range(n) for row in self.bundles[index_at(at, n, seed, epoch)]]
            # A batch straddles two passes at the most.
            self._passes = dict([*self._passes.items(), (key, rows)][-2:])
        return self._passes[key]

    def batch(self, step: int, batch_size: int, seed: int) -> list[int]:
        """The rows of `step` as `batch_indices` gives them: endless passes, each row once a pass."""
        n = sum(map(len, self.bundles))
        places = range(step * batch_size, (step + 1) * batch_size)
        return [self.order(seed, at // n)[at % n] for at in places]


def bundled(groups: Sequence[TokenGroup], batch_size: int) -> Together | None:
    """Rows of `groups` by prompt, a quarter of a batch in one bundle at most; None where nothing is to be shared."""
    most = batch_size // FEWEST
    of_prompt: dict[bytes, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        of_prompt[group.prompt.tobytes()].append(index)
    if most < 2 or len(of_prompt) == len(groups):
        return None
    return Together([part for rows in of_prompt.values() for part in _even(rows, -(-len(rows) // most))])


def _even(rows: Sequence[int], parts: int) -> list[Sequence[int]]:
    return [rows[len(rows) * part // parts : len(rows) * (part + 1) // parts] for part in range(parts)]
