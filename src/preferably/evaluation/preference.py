"""Held-out preference accuracy by implicit reward: does the policy rank pairs as people did?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from preferably.batches.group import collate
from preferably.batches.packing import split_by_tokens
from preferably.config import read_yaml
from preferably.data.load import load_feedback
from preferably.data.tokens import TokenGroup, encode
from preferably.errors import DataError, ModelError
from preferably.feedback.records import Group
from preferably.methods import method_named
from preferably.models.loading import Loaded
from preferably.models.policy import Policy
from preferably.models.selfcheck import check_packing
from preferably.statistics.intervals import Interval, wilson


@dataclass(frozen=True, slots=True)
class PreferenceAccuracy:
    """The share of pairs whose chosen completion gained more log-probability than the rejected one."""

    accuracy: float
    interval: Interval
    n: int
    longer: float  # what "the longer completion is better" would get on the same pairs
    left_out: int = 0  # pairs that were read and do not fit the context of a model

    def as_json(self) -> dict[str, Any]:
        """The contents of `preference_accuracy.json`."""
        return {
            "schema": 1, "accuracy": self.accuracy, "interval": [self.interval.low, self.interval.high],
            "confidence": self.interval.confidence, "n": self.n, "left_out": self.left_out,
            "baselines": {"longer": self.longer},
        }  # fmt: skip


@torch.no_grad()
def preference_accuracy(
    policy: Policy, reference: Policy, pairs: Sequence[TokenGroup], *, left_out: int = 0, budget: int = 8192
) -> PreferenceAccuracy:
    """On `pairs` (chosen first): how often log pi/ref of chosen exceeds that of rejected; ties count half.

    The implicit reward of DPO (Rafailov et al. 2023, section 4) up to beta, summed over tokens. The interval is
    Wilson's, over pairs. Raises `DataError` for no pairs.
    """
    if not pairs:
        raise DataError("There is no pair to rank: none of the rows fits the context of the model.")
    lengths = torch.tensor([[float(mask.sum()) for mask in pair.train] for pair in pairs])
    right, longer = (
        float((0.5 + 0.5 * torch.sign(apart)).sum())
        for apart in (margins(policy, reference, pairs, budget=budget), lengths[:, 0] - lengths[:, 1])
    )
    n = len(pairs)
    return PreferenceAccuracy(right / n, wilson(right, n), n, longer / n, left_out)


@torch.no_grad()
def margins(policy: Policy, reference: Policy, pairs: Sequence[TokenGroup], *, budget: int = 8192) -> torch.Tensor:
    """[n]: log pi/ref of the chosen completion, which stands first, less that of the other, nats."""
    found = []
    for run in split_by_tokens(pairs, budget):
        batch = collate(run)
        gained = batch.sums(policy(batch)) - batch.sums(reference(batch))
        found.append((gained[::2] - gained[1::2]).cpu())
    return torch.cat(found)


def rank_pairs(model: Loaded, against: Loaded, pairs: Sequence[Group]) -> PreferenceAccuracy:
    """The same of pairs as they are read, of which those that do not fit both models are left out.

    Raises `ModelError` for models with different tokenizers, whose log-probs cannot be subtracted.
    """
    if model.tokenizer.get_vocab() != against.tokenizer.get_vocab():
        names = f"{model.name} and {against.name}"
        raise ModelError(f"{names} have different tokenizers, so they cannot rank by log-ratio.")
    length = min(one.context or 2048 for one in (model, against))
    encoded = encode(pairs, model.tokenizer, max_length=length)
    for loaded in (model, against):
        check_packing(loaded.policy, encoded.groups)
    return preference_accuracy(model.policy, against.policy, encoded.groups, left_out=len(encoded.rejects))


def held_out_pairs(run: Path) -> list[Group]:
    """The pairs that a run held out; none where it was not trained on pairs."""
    held_out = run / "held_out.jsonl"
    if not (held_out.exists() and held_out.stat().st_size):
        return []
    method = str(read_yaml(run / "config.yaml").get("method"))
    return load_feedback([held_out], "pairs").groups if method_named(method).feedback == "pairs" else []
