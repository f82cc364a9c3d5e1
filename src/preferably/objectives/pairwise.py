"""Objectives on pairs of completions of one prompt. Shapes: G groups (pairs).

Every function takes the policy's and (but for `orpo`) the reference's log-probs of the chosen and of the rejected
completion, each [G], in nats, and returns one loss per group, unreduced. `h` below is the difference of the log-ratios,

    h = (log pi(y_w|x) - log ref(y_w|x)) - (log pi(y_l|x) - log ref(y_l|x)).

Whether the log-probs are sums over the completion's tokens or means is a fact of the method (`methods.py`), not of the
function: DPO takes sums, IPO is used with both.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def log_ratio_difference(
    policy_chosen: Tensor, policy_rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor
) -> Tensor:
    """The difference h of the two log-ratios, [G], in nats (per completion, or per token if means came in)."""
    return (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)


def dpo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Direct preference optimization (Rafailov et al. 2023, equation 7), with conservative label smoothing.

        loss = -(1 - eps) log sigmoid(beta h) - eps log sigmoid(-beta h)

    eps = 0 is DPO; eps > 0 is cDPO (Mitchell 2023, equation 3: https://ericmitchell.ai/cdpo.pdf), which believes that a
    share eps of the labels is flipped and so stops pushing at sigmoid(beta h) = 1 - eps.

    Args:
        policy_chosen, policy_rejected, reference_chosen, reference_rejected: [G], nats, sums over completion tokens.
        beta: strength of the anchor to the reference, 1/nats; 0.01 to 0.5 is usual.
        label_smoothing: eps in [0, 0.5).

    Returns:
        [G]. ln 2 = 0.6931 while policy = reference, for any eps.

    Example: h = 2, beta = 0.5, eps = 0: -log sigmoid(1) = 0.3133; with eps = 0.1: 0.9 * 0.3133 + 0.1 * 1.3133 = 0.4133.
    Source: https://arxiv.org/abs/2305.18290.
    """
    margin = beta * log_ratio_difference(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return -(1 - label_smoothing) * F.logsigmoid(margin) - label_smoothing * F.logsigmoid(-margin)


def robust_dpo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
    label_smoothing: float,
) -> Tensor:
    """Provably robust DPO (Chowdhury et al. 2024, equation 12): unbiased under labels flipped with probability eps.

        loss = [-(1 - eps) log sigmoid(beta h) + eps log sigmoid(-beta h)] / (1 - 2 eps)

    Args:
        policy_chosen, policy_rejected, reference_chosen, reference_rejected: [G], nats, sums over completion tokens.
        beta: as in `dpo`. label_smoothing: eps in [0, 0.5), the true share of flipped labels.

    Returns:
        [G]; can be negative; ln 2 while policy = reference.

    Example: h = 2, beta = 0.5, eps = 0.1: (0.9 * 0.3133 - 0.1 * 1.3133) / 0.8 = 0.1883.
    Source: https://arxiv.org/abs/2403.00409.
    """
    margin = beta * log_ratio_difference(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    kept = -(1 - label_smoothing) * F.logsigmoid(margin)
    return (kept + label_smoothing * F.logsigmoid(-margin)) / (1 - 2 * label_smoothing)


def ipo(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
) -> Tensor:
    """Identity preference optimization (Azar et al. 2023, equation 17).

        loss = (h - 1 / (2 beta))^2

    Args:
        policy_chosen, policy_rejected, reference_chosen, reference_rejected: [G], nats; sums as in the paper (method
            `ipo-sum`), or means over completion tokens, as its authors use it in practice (method `ipo`).
        beta: the paper's tau; the wanted h is 1 / (2 beta).

    Returns:
        [G]. 1 / (4 beta^2) while policy = reference: 25 at beta = 0.1.

    Example: h = 2, beta = 0.1: (2 - 5)^2 = 9. Source: https://arxiv.org/abs/2310.12036.
    """
    difference = log_ratio_difference(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return (difference - 1 / (2 * beta)) ** 2


def hinge(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
) -> Tensor:
    """A margin of one between implicit rewards: the rank loss of SLiC-HF (Zhao et al. 2023, section 2) on log-ratios.

        loss = max(0, 1 - beta h)

    Args:
        policy_chosen, policy_rejected, reference_chosen, reference_rejected: [G], nats, sums over completion tokens.
        beta: 1/nats; the margin that is asked for is 1 / beta nats.

    Returns:
        [G]. 1 while policy = reference.

    Example: h = 2, beta = 0.1: 0.8; h = 20: 0. Source: https://arxiv.org/abs/2305.10425.
    """
    difference = log_ratio_difference(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return F.relu(1 - beta * difference)


def orpo(policy_chosen: Tensor, policy_rejected: Tensor, *, beta: float) -> Tensor:
    """Odds ratio preference optimization (Hong et al. 2024, equations 6 and 7): SFT and preference at once.

        odds = p / (1 - p), p = exp(mean log-prob per token)
        loss = -log p(y_w|x) - beta log sigmoid(log(odds(y_w|x) / odds(y_l|x)))

    There is no reference: the SFT term on the chosen completion is what keeps the policy in place.

    Args:
        policy_chosen, policy_rejected: [G], nats, means over completion tokens, below 0.
        beta: the paper's lambda, the weight of the odds ratio; 0.1 to 1 is usual.

    Returns:
        [G].

    Example: p = 1/2 and 1/4 have odds 1 and 1/3, so with beta = 0.1: ln 2 - 0.1 log sigmoid(ln 3) = 0.7219.
    Source: https://arxiv.org/abs/2403.07691.
    """

    def log_odds(logp: Tensor) -> Tensor:
        # log(1 - e^x) from expm1, as 1 - e^x loses all digits near 0; a certain completion must not give infinity.
        return logp - torch.log(-torch.expm1(logp.clamp(max=-1e-6)))

    return -policy_chosen - beta * F.logsigmoid(log_odds(policy_chosen) - log_odds(policy_rejected))
