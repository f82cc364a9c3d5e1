"""From the scores of a batch to one loss per group, for a model that scores. Shapes: A axes, N completions."""

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, combinations

import torch
from torch import Tensor

from preferably.batches.group import Batch, collate
from preferably.batches.packing import split_by_tokens
from preferably.data.tokens import TokenGroup
from preferably.models.scorer import Scorer
from preferably.objectives.listwise import plackett_luce

MEASURED = ("rewards/accuracies", "rewards/chosen", "rewards/rejected")
CENTERED = 2048  # groups, at most, whose completions a reward model is centered on


def ranked_losses(scores: Tensor, batch: Batch, hyperparameters: dict[str, float]) -> tuple[Tensor, dict[str, Tensor]]:
    """One loss per group [G], the sum over the axes that it was ranked on, and what to log. `scores`: [N, A].

    `rewards/accuracies` is over all pairs of completions that one of the axes puts in an order: 1 where the scores on
    that axis have it too, half for equal scores. `rewards/chosen` and `rewards/rejected` are of the best and the worst.
    """
    first = [0, *accumulate(len(group.completions) for group in batch.groups)]
    losses = torch.zeros(len(batch.groups), device=scores.device)
    seen: dict[str, list[Tensor]] = defaultdict(list)
    for axis, column in enumerate(scores.unbind(1)):
        alike: dict[tuple[int, ...], list[tuple[int, list[int]]]] = defaultdict(list)
        for index, group in enumerate(batch.groups):
            ranks = group.ranks[axis]
            order = sorted((k for k, rank in enumerate(ranks) if rank), key=lambda k: ranks[k])
            if len(order) > 1:
                alike[blocks_of([ranks[k] for k in order])].append((index, [first[index] + k for k in order]))
        for blocks, members in alike.items():
            places = torch.tensor([places for _, places in members], device=scores.device)
            groups = torch.tensor([index for index, _ in members], device=scores.device)
            ranked = column[places]
            of = [batch.groups[index] for index, _ in members]
            losses = losses.index_add(0, groups, _ranked(ranked, blocks, of, hyperparameters["margin"]))
            _measure(ranked.detach(), blocks, seen)
    # Of ties alone there is nothing to measure; the names are the same in all processes, which add them up.
    return losses, {name: torch.cat(seen[name]) if seen[name] else scores.new_zeros(0) for name in MEASURED}


def _ranked(ranked: Tensor, blocks: tuple[int, ...], groups: Sequence[TokenGroup], margin: float) -> Tensor:
    """[G]: the losses of rankings of one form. `ranked`: [G, K] scores with the best first.

    Of a pair, the better one has to be ahead by `margin` times its strength before it counts as ahead; and where it is
    the better one with probability p only, x being how far it is ahead of that, the loss is
    -p log sigmoid(x) - (1 - p) log sigmoid(-x).
    """
    if blocks != (1, 1):
        return plackett_luce(ranked, blocks)
    wanted = [margin * (group.strength or 0.0) for group in groups]
    if any(wanted):
        ranked = ranked + torch.tensor([[-one, 0.0] for one in wanted], device=ranked.device)
    losses = plackett_luce(ranked, blocks)
    if all(group.probability is None for group in groups):
        return losses
    sure = torch.tensor([1.0 if group.probability is None else group.probability for group in groups]).to(losses)
    return sure * losses + (1 - sure) * plackett_luce(ranked.flip(1), blocks)


def blocks_of(ranks: Sequence[int]) -> tuple[int, ...]:
    """How many completions share each rank, of ranks in ascending order."""
    return tuple(ranks.count(rank) for rank in dict.fromkeys(ranks))


def _measure(ranked: Tensor, blocks: tuple[int, ...], seen: dict[str, list[Tensor]]) -> None:
    """What is to be seen on rankings of one form, [G, K] scores with the best first."""
    if len(blocks) == 1:
        return
    level = [number for number, size in enumerate(blocks) for _ in range(size)]
    pairs = [(one, other) for one, other in combinations(range(len(level)), 2) if level[one] < level[other]]
    better, worse = map(list, zip(*pairs, strict=True))
    seen["rewards/accuracies"].append((0.5 + 0.5 * torch.sign(ranked[:, better] - ranked[:, worse])).flatten())
    seen["rewards/chosen"].append(ranked[:, : blocks[0]].mean(1))
    seen["rewards/rejected"].append(ranked[:, -blocks[-1] :].mean(1))


@torch.no_grad()
def center(scorer: Scorer, groups: Sequence[TokenGroup], budget: int) -> None:
    """Make the completions of `CENTERED` groups from all over score 0 on average, on every axis (Stiennon et al. 2020,
    section 3.4, where they are the references that the policy starts from), and note how far they spread."""
    some = groups[:: max(1, -(-len(groups) // CENTERED))]  # one file comes after the other
    scores = torch.cat([scorer(collate(run)) for run in split_by_tokens(some, budget)])
    scorer.mean = tuple(scores.double().mean(0).tolist())
    spread = float(scorer.total(scorer.centered(scores)).double().std())
    scorer.spread = spread if 0 < spread < math.inf else 1.0  # of one that scores all alike there is none
