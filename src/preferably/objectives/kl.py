"""Estimates of KL(policy || reference) from samples of the policy, token by token. Shapes: C tokens.

With r = log pi(y_t) - log ref(y_t) of a token that the policy drew (http://joschu.net/blog/kl-approx.html):

    k1 = r                   unbiased, of either sign
    k2 = r^2 / 2             biased, never below 0
    k3 = exp(-r) - 1 + r     unbiased, never below 0

As a part of the reward, k1 gives the gradient of the KL. As a loss that is differentiated, k1 gives none on average
(its gradient has mean 0, whatever the reference is), k2 gives that of the KL, and k3 that of the other direction,
KL(reference || policy) (https://arxiv.org/abs/2512.21852).
"""

import torch
from torch import Tensor


def k1(policy: Tensor, reference: Tensor) -> Tensor:
    """log pi - log ref of each token, [C], nats. Example: log-probs -1 and -2 give 1."""
    return policy - reference


def k2(policy: Tensor, reference: Tensor) -> Tensor:
    """Half the square of the log-ratio, [C]. Example: log-probs -1 and -2 give 0.5."""
    return 0.5 * (policy - reference) ** 2


def k3(policy: Tensor, reference: Tensor) -> Tensor:
    """exp(-r) - 1 + r, [C]. Example: log-probs -1 and -2 give e^-1 - 1 + 1 = 0.3679."""
    ratio = policy - reference
    return torch.expm1(-ratio) + ratio
