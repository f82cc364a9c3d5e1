"""Objectives on scores of K completions of one prompt. Shapes: G groups, K completions each."""

from itertools import combinations

import torch
from torch import Tensor


def plackett_luce(scores: Tensor, blocks: tuple[int, ...]) -> Tensor:
    """The Plackett-Luce likelihood of rankings with ties; on two completions, Bradley-Terry.

    A ranking is made from the top: out of those that are left, completion i comes next with probability
    exp(s_i) / sum exp(s_j). For K completions in strict order

        loss = sum over k of [logsumexp(s_k, ..., s_K) - s_k]

    (Luce 1959, Plackett 1975; of two, -log sigmoid(s_1 - s_2): Ouyang et al. 2022, equation 1). Completions that are
    tied stand for all orders among them, equally likely: the loss is its mean over these orders, which for a block of m
    in front of those that follow it is

        sum over j = 1..m of the mean over subsets A of the block with |A| = j of logsumexp(A and all that follow)
        - the sum of the block's scores.

    A tie of two is thereby half a win for each: -(log sigmoid(d) + log sigmoid(-d)) / 2 with d = s_1 - s_2.

    Args:
        scores: [G, K], the best completion first.
        blocks: how many completions share each rank, the best rank first; they add up to K. (1, 1) is a pair, (2,) a
            tie, (1, 2, 1) a best one, two that are tied, and a worst one. 2^m sets are looked at for a block of m.

    Returns:
        [G], nats. ln 2 for a pair of equal scores, ln K! for K of them in any order.

    Example: scores (2, 1, 0) in this order: log(e^2 + e + 1) - 2 + log(e + 1) - 1 = 0.4076 + 0.3133 = 0.7209.
    """
    if sum(blocks) != scores.shape[1]:
        raise ValueError(f"blocks {blocks} are of {sum(blocks)} completions, and there are scores of {scores.shape[1]}")
    loss = torch.zeros(len(scores), device=scores.device, dtype=scores.dtype)
    start = 0
    for size in blocks:
        end = start + size
        rest = scores[:, end:]
        for chosen in range(1, size + 1):
            sets = list(combinations(range(start, end), chosen))
            left = torch.stack([torch.cat([scores[:, list(one)], rest], 1) for one in sets])  # [sets, G, chosen + rest]
            loss = loss + left.logsumexp(-1).mean(0)
        loss = loss - scores[:, start:end].sum(1)
        start = end
    return loss
