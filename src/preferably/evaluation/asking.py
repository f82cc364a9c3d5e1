"""Readiness, measured: a model's replies to some prompts, and its loss on answers that are known."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from preferably.batches.group import collate
from preferably.batches.packing import split_by_tokens
from preferably.data.load import load_prompts, read_feedback
from preferably.data.tokens import encode
from preferably.errors import ConfigError
from preferably.evaluation.compare import answers
from preferably.evaluation.kept_answers import texts
from preferably.evaluation.readiness import Readiness, readiness
from preferably.feedback.records import Group
from preferably.judging.judge import ScoreFunction
from preferably.methods import METHODS
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.models.selfcheck import check_packing
from preferably.training.steps import group_losses


def ask(
    loaded: Loaded,
    prompts: Sequence[Group],
    decoding: Decoding,
    *,
    samples: int,
    seed: int = 0,
    check: ScoreFunction | None = None,
    wanted: str | Callable[[str], bool] | None = None,
    known: Sequence[Group] = (),
) -> Readiness:
    """`samples` replies to each prompt, looked at (`evaluation.readiness`), and the loss on the answers of `known`."""
    drawn = answers(loaded, prompts, decoding, samples=samples, seed=seed)
    finished = [[one.finished for one in several] for several in drawn]
    loss = loss_on(loaded, known)
    return readiness(
        prompts, texts(drawn), finished, check, k=(1, samples), wanted=wanted, held_out_loss=loss
    )  # fmt: skip


@torch.no_grad()
def loss_on(loaded: Loaded, groups: Sequence[Group], *, budget: int = 8192) -> float | None:
    """The loss on the first completion of each group (the chosen one, or the demonstration), nats per token.

    None where no group has one that is not called bad and fits the model's context. Of several processes one may ask.
    """
    good = [
        Group(group.prompt, group.completions[:1], group.place, group.tools)
        for group in groups
        if group.completions and group.label is not False
    ]
    found = encode(good, loaded.tokenizer, max_length=loaded.context or 2048).groups
    if not found:
        return None
    check_packing(loaded.policy, found)
    loss = 0.0
    for run in split_by_tokens(found, budget):
        losses, _ = group_losses(loaded.policy, collate(run), None, METHODS["sft"], {})
        loss += float(losses.double().sum())
    return loss / float(sum(mask.sum() for group in found for mask in group.train))


def prompts_in(data: str | Path | Sequence[Group], limit: int | None) -> list[Group]:
    """The prompts of a file, or the groups as they are; at most `limit`."""
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is how many prompts to use, at least 1; got {limit}.")
    if isinstance(data, str | Path):
        return load_prompts([data], limit).groups
    return list(data)[:limit]


def answers_in(data: str | Path | Sequence[Group], limit: int | None) -> list[Group]:
    """Groups with an answer that is called good; none where there are prompts alone, which can be read."""
    if not isinstance(data, str | Path):
        return list(data)[:limit]
    return read_feedback([data], "demonstrations", limit=limit).groups
