"""Completions as a model sees them: its last hidden states, which a reward may be linear in."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from preferably.batches.group import collate
from preferably.batches.packing import split_by_tokens
from preferably.data.tokens import encode
from preferably.errors import ModelError
from preferably.feedback.records import Group
from preferably.judging.reward import LONGEST
from preferably.models.loading import Loaded
from preferably.models.selfcheck import check_packing

States = NDArray[np.float64]


@torch.no_grad()
def last_states(loaded: Loaded, groups: Sequence[Group], *, budget: int = 8192) -> list[States | None]:
    """The state before the head at the last token of each completion, [K, h], where a reward model that begins at this
    model reads its score; None for a group that does not fit its context, or that its template refuses.

    The first texts also show whether the model can be packed; where it cannot, `loaded.notes` says so. `ModelError` for
    states that are not finite.
    """
    policy = loaded.policy
    encoded = encode(groups, loaded.tokenizer, max_length=loaded.context or LONGEST, twins=True).groups
    if encoded and not policy.checked and (note := check_packing(policy, encoded).note):
        loaded.notes.append(note)
    found: list[States | None] = [None] * len(groups)
    for run in split_by_tokens(encoded, budget):
        batch = collate(run).to(policy.device)
        states = policy.states_at(batch, batch.last, lambda row, start, end: row[end - 1 : end])
        if not torch.isfinite(states).all():
            raise ModelError(f"{loaded.name} has states that are not finite; expected numbers: are its weights whole?")
        sizes = [len(group.completions) for group in run]
        for group, part in zip(run, torch.split(states.double().cpu(), sizes), strict=True):
            found[group.row] = part.numpy()
    return found
