"""Objectives on single completions that are labelled desirable or not. Shapes: G groups (one completion each)."""

import torch
from torch import Tensor


def kto(
    policy: Tensor,
    reference: Tensor,
    desirable: Tensor,
    baseline: Tensor,
    *,
    beta: float,
    desirable_weight: float,
    undesirable_weight: float,
) -> Tensor:
    """Kahneman-Tversky optimization (Ethayarajh et al. 2024, equation 7).

        r = log pi(y|x) - log ref(y|x)
        loss = w_D (1 - sigmoid(beta (r - z0)))    where y is desirable
        loss = w_U (1 - sigmoid(beta (z0 - r)))    where it is not

    z0, the point from which a gain or a loss is felt, is the KL of the policy from the reference, estimated over the
    step and never differentiated (`preferably.training.baseline`).

    Args:
        policy, reference: [G], nats, sums over completion tokens.
        desirable: [G] bool.
        baseline: z0, a scalar >= 0, nats.
        beta: 1/nats; how soon more of a gain stops mattering.
        desirable_weight, undesirable_weight: w_D and w_U.

    Returns:
        [G], from 0 to the weight. Half the weight while policy = reference.

    Example: r = 2, z0 = 1, beta = 0.5, both weights 1: desirable 1 - sigmoid(0.5) = 0.3775, undesirable 0.6225.
    Source: https://arxiv.org/abs/2402.01306.
    """
    gain = torch.where(desirable, policy - reference - baseline, baseline - (policy - reference))
    weight = torch.where(desirable, desirable_weight, undesirable_weight)
    return weight * (1 - torch.sigmoid(beta * gain))
