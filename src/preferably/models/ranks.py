"""How likely given texts are, token by token: log-prob and rank among all tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from preferably.models.policy import Policy

ROWS = 16  # texts in one forward


@dataclass(frozen=True, slots=True)
class Forced:
    """A text that was read, not drawn: each token's log-prob (nats, temperature 1) and rank, 1 the likeliest."""

    logps: list[float]
    ranks: list[int]


@torch.no_grad()
def forced(policy: Policy, prompts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]]) -> list[Forced]:
    """Each of `texts` (token ids, at least one) read behind its prompt (at least one token), by the plain forward."""
    found = []
    for start in range(0, len(prompts), ROWS):
        pairs = list(zip(prompts[start : start + ROWS], texts[start : start + ROWS], strict=True))
        rows = [torch.tensor([*prompt, *text]) for prompt, text in pairs]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(policy.device)
        lengths = torch.tensor([len(row) for row in rows], device=policy.device)
        mask = torch.arange(tokens.shape[1], device=policy.device) < lengths[:, None]
        with policy.autocast():
            logits = policy.model(input_ids=tokens, attention_mask=mask.long(), use_cache=False).logits
        for row, (prompt, text) in enumerate(pairs):
            part = logits[row, len(prompt) - 1 : len(prompt) + len(text) - 1].float()
            own = part.gather(-1, torch.tensor(list(text), device=part.device)[:, None])
            logps = (own - part.logsumexp(-1, keepdim=True))[:, 0]
            found.append(Forced(logps.tolist(), (1 + (part > own).sum(-1)).tolist()))
    return found
