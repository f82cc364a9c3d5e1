"""Objectives on tokens that the policy drew itself. Shapes: C tokens."""

import torch
from torch import Tensor

LARGEST = 20.0  # |log ratio| beyond which exp would only make infinities


def clipped(policy: Tensor, old: Tensor, advantage: Tensor, *, low: float, high: float) -> Tensor:
    """The clipped policy loss of PPO (Schulman et al. 2017, equation 7), token by token.

        rho  = pi(y_t) / pi_old(y_t)
        loss = max(-A rho, -A clip(rho, 1 - low, 1 + high))

    Args:
        policy: [C], log-probs of the tokens, nats, with the graph. old: [C], the same when they were drawn.
        advantage: [C]. low, high: 0.2 each; a larger `high` is the clip-higher of DAPO.

    Returns:
        [C]. -A while policy = old, with the gradient of -A log pi.

    Example: rho = 1.5, A = 1, 0.2: max(-1.5, -1.2) = -1.2; A = -1: max(1.5, 1.2) = 1.5.
    Source: https://arxiv.org/abs/1707.06347.
    """
    ratio = (policy - old).clamp(-LARGEST, LARGEST).exp()
    return torch.maximum(-advantage * ratio, -advantage * ratio.clamp(1 - low, 1 + high))


def clipped_value(value: Tensor, old: Tensor, returns: Tensor, *, clip: float) -> Tensor:
    """The clipped loss of the critic (Ziegler et al. 2019; detail 21 of https://arxiv.org/abs/2403.17031).

        loss = max((V - R)^2, (clip(V, V_old - clip, V_old + clip) - R)^2) / 2

    Args:
        value: [C], with the graph. old: [C], the same when the tokens were drawn. returns: [C]. clip: 0.2.

    Returns:
        [C]. Example: V = 1, V_old = 0, R = 2, clip = 0.2: max(1, 3.24) / 2 = 1.62.
    """
    near = old + (value - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((value - returns) ** 2, (near - returns) ** 2)
