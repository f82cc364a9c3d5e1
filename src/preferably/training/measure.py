"""What is looked at during training, on held-out data: the loss, and the policy's own samples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from preferably.batches.group import Batch, collate
from preferably.batches.packing import split_by_tokens
from preferably.data.tokens import TokenGroup
from preferably.methods import Method
from preferably.models.policy import Policy
from preferably.models.sampler import Decoding, Sample, sample
from preferably.statistics.repetition import commonest, repetition, shares
from preferably.training import parallel
from preferably.training.alarms import SHARE
from preferably.training.baseline import baseline_of
from preferably.training.reference import Reference
from preferably.training.sharding import assembled
from preferably.training.steps import count_of, group_losses, means, tally

OPENING = 3  # tokens by which samples are said to start alike
NOTED = 0.01  # share of all sampled tokens from which on one is noted for the alarms
KEPT = 8  # samples of an evaluation that are kept to be read


@torch.no_grad()
def held_out_metrics(
    policy: Policy,
    reference: Reference | None,
    groups: Sequence[TokenGroup],
    method: Method,
    hyperparameters: dict[str, float],
    budget: int,
) -> dict[str, float]:
    """`eval_loss`, the number of groups, and the mean of every metric of the method over all held-out groups."""
    loss, sums = 0.0, dict[str, float]()
    baseline = baseline_of(method, policy, reference, groups, budget)
    for run, real in parallel.share(groups, budget):
        batch = collate(run)
        known = reference.sums(batch, "held_out") if reference is not None else None
        losses, metrics = group_losses(policy, batch, known, method, hyperparameters, baseline)
        loss += real * float(losses.double().sum())
        tally(sums, metrics, real)
    loss, sums = parallel.total(loss, sums)
    tokens = float(sum(mask.sum() for group in groups for mask in group.train))
    measured = {f"eval_{name}": value for name, value in means(sums).items()}
    return {"eval_loss": loss / count_of(method, len(groups), tokens), "eval_groups": float(len(groups))} | measured


@dataclass(frozen=True, slots=True)
class SampleMetrics:
    """What the policy's own samples at temperature 1 look like."""

    values: dict[str, float]
    samples: list[list[Sample]]


def sample_metrics(
    policy: Policy,
    reference: Reference | None,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    stop_ids: set[int],
    max_tokens: int,
    samples: int = 1,
    seed: int,
    budget: int,
    keep: Callable[[dict[str, str]], None] = lambda row: None,
    copy: Policy | None = None,
) -> SampleMetrics:
    """KL(policy || reference) on own samples, their length, repetition, and how many the model itself ends.

    `objective/kl` is in nats per sequence and `samples/length` in tokens, each with its standard error;
    `objective/kl_per_token` divides the one by the other.
    `keep` is given the first `KEPT` samples with their prompts, as text, for people to read. `copy` of the policy, in
    the dtype that it computes in, draws them where there is one.
    """
    whole = copy or assembled(policy)
    drawn = parallel.on_main(
        lambda: sample(
            whole, tokenizer, prompts, Decoding(temperature=1.0, max_tokens=max_tokens),
            stop_ids=stop_ids, samples=samples, seed=seed,
        )
    )  # fmt: skip
    each = [one for several in drawn for one in several]
    length = fmean(len(one.tokens) for one in each)
    said = shares(
        [token for token in one.tokens if token not in stop_ids] for one in each
    )  # answers end, short or long
    values = {
        "samples/count": float(len(each)),
        "samples/length": length,
        "samples/length_se": stdev(len(one.tokens) for one in each) / len(each) ** 0.5 if len(each) > 1 else 0.0,
        "samples/repetition": fmean(repetition(one.tokens) for one in each),
        "samples/commonest": next(iter(said.values()), 0.0),
        "samples/same_start": commonest([tuple(one.tokens[:OPENING])] for one in each),
        "samples/same_token": commonest(one.tokens[:1] for one in each),
        "samples/unfinished": fmean(not one.finished for one in each),
        "samples/empty": fmean(not one.text.strip() for one in each),
    }
    # By the token's number too, as several can look alike.
    noted = {token: share for token, share in said.items() if share >= NOTED}
    values |= {f"{SHARE}{token}/{tokenizer.decode([token])}": share for token, share in noted.items()}
    if reference is not None:
        kl = kl_of_samples(policy, reference.logps, prompts, drawn, budget)
        values["objective/kl"] = fmean(kl)
        values["objective/kl_se"] = stdev(kl) / len(kl) ** 0.5 if len(kl) > 1 else float("nan")
        values["objective/kl_per_token"] = fmean(kl) / length
    for prompt, several in list(zip(prompts, drawn, strict=True))[:KEPT]:  # last: a stop ends a forward pass above
        keep({"prompt": str(tokenizer.decode(list(prompt), skip_special_tokens=True)), "text": several[0].text})
    return SampleMetrics(values, drawn)


@torch.no_grad()
def kl_of_samples(
    policy: Policy,
    reference: Callable[[Batch], torch.Tensor],
    prompts: Sequence[Sequence[int]],
    samples: Sequence[Sequence[Sample]],
    budget: int = 8192,
) -> list[float]:
    """log pi(y|x) - log ref(y|x) of every sample, nats; their mean estimates KL where they were drawn at T = 1."""
    values: list[float] = []
    for run in split_by_tokens(groups_of_samples(prompts, samples), budget):
        batch = collate(run)
        difference = policy(batch) - reference(batch)
        values += batch.sums(difference).tolist()
    return values


def groups_of_samples(prompts: Sequence[Sequence[int]], samples: Sequence[Sequence[Sample]]) -> list[TokenGroup]:
    """Each prompt with its samples, all of their tokens scored."""
    groups = []
    for row, (prompt, several) in enumerate(zip(prompts, samples, strict=True)):
        completions = tuple(np.array(one.tokens) for one in several)
        train = tuple(np.ones(len(completion), dtype=bool) for completion in completions)
        groups.append(TokenGroup(np.array(prompt), completions, train, row))
    return groups
