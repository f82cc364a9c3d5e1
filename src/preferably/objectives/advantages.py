"""How much better than expected a token, or a whole completion, turned out. Shapes: N completions of up to L tokens,
padded on the right; G groups of K completions."""

import torch
from torch import Tensor


def gae(rewards: Tensor, values: Tensor, lengths: Tensor, *, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2015, equations 11 and 16), from the last token back.

        delta_t = r_t + gamma V_{t+1} - V_t        V after the last token is 0
        A_t     = delta_t + gamma lambda A_{t+1}
        R_t     = A_t + V_t                        what the critic is to learn

    Args:
        rewards, values: [N, L]; V_t is the value of the state in which token t is drawn.
        lengths: [N], tokens of each completion; what lies behind is not looked at.
        gamma, lam: 1 and 0.95 are usual for text.

    Returns:
        advantages and returns, [N, L], 0 behind the end.

    Example: rewards (0, 1), values (0.5, 0.5), gamma = lam = 1: deltas (0, 0.5), advantages (0.5, 0.5), returns (1, 1).
    Source: https://arxiv.org/abs/1506.02438.
    """
    inside = (torch.arange(rewards.shape[1], device=rewards.device) < lengths[:, None]).to(rewards.dtype)
    advantages = torch.zeros_like(rewards)
    after, value_after = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards[:, 0])
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + gamma * value_after - values[:, t]
        after = (delta + gamma * lam * after) * inside[:, t]
        value_after = values[:, t] * inside[:, t]
        advantages[:, t] = after
    return advantages, (advantages + values) * inside


def leave_one_out(scores: Tensor) -> Tensor:
    """Each score less the mean of the other completions of its prompt (RLOO: Ahmadian et al. 2024, equation 7).

    Args:
        scores: [G, K], K >= 2.

    Returns:
        [G, K]. Example: (3, 0, 0) gives (3, -1.5, -1.5). Source: https://arxiv.org/abs/2402.14740.
    """
    count = scores.shape[1]
    return (scores - scores.mean(1, keepdim=True)) * (count / (count - 1))


def within_group(scores: Tensor, *, scale: bool, eps: float = 1e-4) -> Tensor:
    """Each score less the mean of its group, with `scale` in units of the group's standard deviation (GRPO: Shao et al.
    2024, section 4.1.2; without it as in Dr. GRPO, https://arxiv.org/abs/2503.20783).

    Args:
        scores: [G, K], K >= 2. scale: divide by the standard deviation (of a sample: K - 1) plus `eps`.

    Returns:
        [G, K]; 0 where all scores of a group are equal. Example: (1, 0) gives (0.5, -0.5), with scale (0.707, -0.707).
    Source: https://arxiv.org/abs/2402.03300.
    """
    apart = scores - scores.mean(1, keepdim=True)
    return apart / (scores.std(1, keepdim=True) + eps) if scale else apart


def whitened(values: Tensor, *, shift: bool = True, eps: float = 1e-8) -> Tensor:
    """`values` [C] at variance 1 (that of the population), and with `shift` at mean 0."""
    mean = values.mean()
    scaled = (values - mean) * torch.rsqrt(values.var(unbiased=False) + eps)
    return scaled if shift else scaled + mean
