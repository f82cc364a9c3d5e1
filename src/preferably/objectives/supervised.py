"""Objectives on demonstrations. Shapes: G groups."""

from torch import Tensor


def nll(policy: Tensor) -> Tensor:
    """Negative log-likelihood of a demonstration.

        loss = -log pi(y | x)

    Args:
        policy: [G], log pi(y | x) in nats, summed over the completion's trained tokens.

    Returns:
        [G], nats per completion. The loop divides the sum over the step by the number of trained tokens of the step,
        so that a long demonstration weighs as much as its tokens do (the usual cross-entropy).

    Example: tokens with probabilities 1/2 and 1/4 have policy = ln(1/8), so the loss is ln 8 = 2.0794 and the reported
    loss per token is 1.0397.
    """
    return -policy
