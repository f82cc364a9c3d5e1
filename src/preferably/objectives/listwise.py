"""Objectives on scores of K completions of one prompt. Shapes: G groups, K completions each."""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

STEP = 0.25  # of the trapezoid rule over log t; its error falls as exp(-pi^2 / STEP), so this is all of float64
FLOOR = 700.0  # nats below the best score at which a tied one stays: float64 holds exp(-700)


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
            tie, (1, 2, 1) a best one, two that are tied, and a worst one. A block of m costs m^2.

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
        left = scores[:, start:]
        loss = loss + (left.logsumexp(1) if size == 1 else _over_orders(left, size)) - left[:, :size].sum(1)
        start = end
    return loss


def _over_orders(scores: Tensor, size: int) -> Tensor:
    """The sum over j = 1..m of the mean over subsets A with |A| = j of the first m = `size` of `scores` [G, K] of
    logsumexp(A and all that follow the m), [G].

    log z is the integral over t > 0 of (exp(-t) - exp(-t z)) / t (Frullani). Where z is a sum over a subset, exp(-t z)
    is a product, and the mean of the products over all subsets of j is made from those of fewer: m^2 steps in place of
    2^m sets. Over u = log t the integrand falls off on both sides, where the trapezoid rule is exact to rounding
    (Trefethen and Weideman 2014).
    """
    exact = scores.to("cpu", torch.float64)
    best = exact.detach().amax(1, keepdim=True)
    below = (exact - best).clamp(min=-FLOOR)
    lowest = float(below.detach().amin().nan_to_num())  # scores that are not finite give a loss that is none either
    u = torch.arange(-40 - math.log(scores.shape[1]), 4 - lowest, STEP, dtype=torch.float64)
    powers = -(below[:, None, :] + u[:, None]).exp()  # [G, T, K]: -t exp(s)
    means = torch.ones(len(scores), len(u), 1, dtype=torch.float64)  # [G, T, j + 1]: over the subsets of j = 0, 1, ...
    for known in range(size):
        # Of the subsets of j out of one more than were known, the share that has this one.
        share = torch.arange(known + 2, dtype=torch.float64) / (known + 1)
        product = powers[:, :, known : known + 1].exp()
        means = (1 - share) * pad(means, (0, 1)) + share * product * pad(means, (1, 0))
    rest = powers[:, :, size:].sum(2, keepdim=True).exp()
    apart = (-u.exp()).exp()[:, None] - rest * means[:, :, 1:]
    return (STEP * apart.sum((1, 2)) + size * best[:, 0]).to(scores)
