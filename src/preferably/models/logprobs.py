"""From hidden states to log-probs of given tokens, without keeping more than is needed. Shapes: C tokens, V words."""

from typing import Any

import torch
from torch import Tensor

BLOCK_BYTES = 64 << 20  # float32 logits that are worked on at a time
KEEP_BYTES = 2 << 30  # softmax kept for the backward pass up to this size; recomputed above it


class LinearLogProb(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target], [C] in float32.

    The target's logit is recomputed in float32 by one dot product: with bfloat16 logits that alone takes the error of a
    log-prob from 0.0144 to 0.0036 nats a token. What is kept for the backward pass is the softmax (or nothing, where it
    would not fit), so that the gradient is two matrix products.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
        """hidden [C, h] and weight [V, h] in one dtype, target [C] int64 -> [C] float32, nats."""
        count, words = len(hidden), len(weight)
        block = max(1, BLOCK_BYTES // (4 * words))
        wanted = any(ctx.needs_input_grad[:2])
        keep = wanted and count * words * hidden.element_size() <= KEEP_BYTES
        kept = hidden.new_empty(count, words) if keep else None
        logps = hidden.new_empty(count, dtype=torch.float32)
        for start in range(0, count, block):
            part = slice(start, start + block)
            logits = (hidden[part] @ weight.T).float()
            normalised = torch.log_softmax(logits, -1)
            at = target[part, None]
            rounded, rough = logits.gather(1, at)[:, 0], normalised.gather(1, at)[:, 0]
            exact = torch.linalg.vecdot(hidden[part].float(), weight[target[part]].float())
            # The target's share of Z is corrected too, or a word of probability near 1 would come out above 1.
            gain = exact - rounded
            logps[part] = rough + gain - torch.log1p(rough.exp() * torch.expm1(gain))
            if kept is not None:
                kept[part] = normalised.exp_()
        ctx.save_for_backward(hidden, weight, target, *([kept] if kept is not None else []))
        ctx.block = block
        return logps

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """d log p / d logits = onehot - softmax."""
        hidden, weight, target, *kept = ctx.saved_tensors
        # Kept softmax: one product over all tokens. Otherwise block by block, adding the weight's gradient in float32.
        block = len(hidden) if kept else ctx.block
        d_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        d_weight = None
        for start in range(0, len(hidden), max(block, 1)):
            part = slice(start, start + block)
            probs = kept[0][part] if kept else torch.softmax((hidden[part] @ weight.T).float(), -1).to(hidden.dtype)
            # In place: the softmax is large, and autograd refuses a second backward through what was changed.
            pull = gradient[part].to(probs.dtype)
            slope = probs.mul_(-pull[:, None])
            slope[torch.arange(len(pull), device=pull.device), target[part]] += pull  # scatter_add_ would copy it all
            if d_hidden is not None:
                d_hidden[part] = slope @ weight
            if ctx.needs_input_grad[1]:
                piece = slope.T @ hidden[part]
                d_weight = piece if d_weight is None else d_weight.float() + piece
        return d_hidden, None if d_weight is None else d_weight.to(weight.dtype), None


def linear_logps(hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    """log softmax(hidden @ weight.T)[target]: hidden [C, h], weight [V, h], target [C] -> [C] float32, nats."""
    return LinearLogProb.apply(hidden, weight.to(hidden.dtype), target)


def logits_logps(logits: Tensor, target: Tensor) -> Tensor:
    """log softmax(logits)[target]: logits [C, V], target [C] -> [C] float32, nats."""
    return -torch.nn.functional.cross_entropy(logits.float(), target, reduction="none")
