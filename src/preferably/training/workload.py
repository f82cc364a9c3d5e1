"""What a run will compute, counted from its settings and data before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from preferably.batches.packing import packed_size, split_by_tokens
from preferably.config import TrainSettings
from preferably.data.order import batch_indices
from preferably.data.tokens import TokenGroup
from preferably.models.selfcheck import some_of
from preferably.training.closing import evaluation_every
from preferably.training.equipment import PROBE_TOKENS, PROBED
from preferably.training.offline import TrainData, total_rows, total_steps
from preferably.training.online import total_iterations

COUNTED = 100_000  # groups whose micro-batches are made one by one; a longer run is taken to go on like that
TOGETHER = 256  # prompts that the sampler takes together

Microbatch = list[TokenGroup]


@dataclass(frozen=True, slots=True)
class Workload:
    """Counts over the whole run unless said otherwise. Tokens are packed ones: each prompt once."""

    steps: int
    groups: int
    tokens: int
    first_tokens: int  # of groups that are met for the first time
    microbatches: int
    accumulates: bool  # whether a step has several micro-batches
    first: Microbatch
    checked: Microbatch  # what the self-check looks at
    largest: list[Microbatch]  # the one with most tokens and the one with most completion tokens
    evaluations: int  # the one before any update included
    held_out_tokens: int  # in one evaluation
    evaluated: list[Microbatch]  # the largest of an evaluation
    prompts: int  # sampled at an evaluation
    together: int  # of these, at a time
    longest_prompt: int
    sampled_tokens: int  # prompts and their samples, if none ends early
    checkpoints: int
    rolled: list[TokenGroup] = field(default_factory=list)  # online: rollouts as long as they may be

    @property
    def largest_tokens(self) -> int:
        """Tokens in the largest micro-batch."""
        return sum(map(packed_size, self.largest[0]))


def count_work(settings: TrainSettings, data: TrainData, context: int | None) -> Workload:
    """Count what a run of `settings` on `data` computes, on a model that takes in `context` tokens.

    Of an online run a step is an iteration; groups, tokens and micro-batches are of one pass of its updates over
    completions that are all as long as they may be.
    """
    if not settings.row.online:
        return _count(settings, data, context)
    steps, cuts = total_iterations(settings, len(data.train)), min(settings.minibatches, settings.batch_size)
    every = evaluation_every(settings, steps)
    updates = settings.model_copy(update={
        "batch_size": -(-settings.batch_size // cuts), "max_steps": steps * cuts, "eval_every": every * cuts,
        "save_every": (settings.save_every or every) * cuts,
    })  # fmt: skip
    prompts = [group.prompt.tolist() for group in data.train[:COUNTED]]
    taught = {"tokens": settings.samples, "pairs": 2, "best": 1}[settings.row.learns]
    learnt = TrainData(_filled(prompts, taught, settings.sample_tokens, context), [], data.prompts)
    return replace(
        _count(updates, learnt, context), steps=steps, groups=steps * settings.batch_size,
        checked=_filled(prompts[:PROBED], 2, PROBE_TOKENS, context),
        rolled=_filled(prompts, settings.samples, settings.sample_tokens, context),
    )  # fmt: skip


def _count(settings: TrainSettings, data: TrainData, context: int | None) -> Workload:
    steps, groups, rows = total_steps(settings, len(data.train)), total_rows(settings, len(data.train)), len(data.train)
    cuts: list[list[Microbatch]] = []
    counted = tokens = 0
    while counted < min(groups, COUNTED):
        size = min(settings.batch_size, groups - counted)
        chosen = [data.train[i] for i in batch_indices(len(cuts), settings.batch_size, rows, settings.seed)[:size]]
        cuts.append(split_by_tokens(chosen, settings.tokens_per_microbatch))
        counted, tokens = counted + size, tokens + sum(map(packed_size, chosen))
    all_tokens = round(tokens * groups / counted)
    eval_every = evaluation_every(settings, steps)
    held_out = split_by_tokens(data.held_out, settings.tokens_per_microbatch)
    samples = _filled(data.prompts, 1, settings.sample_tokens, context)
    scored = split_by_tokens(samples, settings.tokens_per_microbatch) if settings.row.reference else []
    return Workload(
        steps=steps, groups=groups, tokens=all_tokens, first_tokens=round(all_tokens * min(1.0, rows / groups)),
        microbatches=round(sum(map(len, cuts)) * groups / counted), accumulates=any(len(cut) > 1 for cut in cuts),
        first=cuts[0][0], checked=some_of(data.train), largest=largest_of([micro for cut in cuts for micro in cut]),
        evaluations=1 - (-steps // eval_every),
        held_out_tokens=sum(map(packed_size, data.held_out)), evaluated=largest_of([*held_out, *scored]),
        prompts=len(samples), together=min(len(samples), TOGETHER),
        longest_prompt=max((len(prompt) for prompt in data.prompts), default=0),
        sampled_tokens=sum(map(packed_size, samples)), checkpoints=1 - (-steps // (settings.save_every or eval_every)),
    )  # fmt: skip


def largest_of(micros: Sequence[Microbatch]) -> list[Microbatch]:
    """The one with most tokens, and the one with most completion tokens where it is another."""
    if not micros:
        return []
    tokens = max(micros, key=lambda micro: sum(map(packed_size, micro)))
    scored = max(micros, key=completion_tokens)
    return [tokens] if completion_tokens(scored) == completion_tokens(tokens) else [tokens, scored]


def completion_tokens(micro: Microbatch) -> int:
    """Tokens whose log-probs are computed."""
    return sum(len(completion) for group in micro for completion in group.completions)


def _filled(prompts: Sequence[Sequence[int]], copies: int, tokens: int, context: int | None) -> list[TokenGroup]:
    """Prompts with `copies` completions each, of `tokens` or of the room that there is."""
    made = []
    for row, prompt in enumerate(prompts):
        length = min(tokens, (context or len(prompt) + tokens) - len(prompt))
        ids, scored = np.zeros(length, dtype=np.int64), np.ones(length, dtype=np.bool_)
        made.append(TokenGroup(np.array(prompt, dtype=np.int64), (ids,) * copies, (scored,) * copies, row))
    return made
