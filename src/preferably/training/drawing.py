"""What drawing answers would take and hold at most: a model is tried on a few tokens, and nothing of it is kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from preferably.data.tokens import encode_prompts
from preferably.errors import DataError
from preferably.feedback.records import Group
from preferably.models.loading import load, model_directory
from preferably.models.policy import to_draw_with
from preferably.training.estimate import COMPUTING
from preferably.training.pace import PROMPTS, sampling_pace
from preferably.training.rehearsal import sampling_bytes
from preferably.training.room import held
from preferably.training.workload import TOGETHER


@dataclass(frozen=True, slots=True)
class Tried:
    """A model that was tried on this machine."""

    tokenizer: PreTrainedTokenizerBase
    context: int | None  # tokens
    config: Any
    compute: torch.dtype
    weights: int  # bytes
    copy: int  # bytes of the copy that draws, one at a time; 0 where the model draws itself
    process: int  # bytes beside all models; 0 on a device of its own
    load: float  # seconds
    read: float  # seconds a prompt
    draw: float  # seconds one token more for an answer

    def at_most(
        self, prompts: Sequence[Group], *, samples: int, tokens: int, models: int = 1
    ) -> tuple[float, int]:  # fmt: skip
        """Seconds, and bytes at the peak, in which `models` such models, there together, give `samples` answers to each
        prompt, all of them `tokens` long (or as long as the context lets them)."""
        lengths, tokens = _with_room(prompts, self.tokenizer, self.context, tokens)
        a_prompt = self.read + samples * tokens * self.draw
        rows = min(len(lengths), max(1, TOGETHER // samples))
        beside = sampling_bytes(
            self.config, compute=self.compute, rows=rows, width=max(map(len, lengths)), tokens=tokens, copies=samples
        )  # fmt: skip
        seconds = models * (self.load + len(lengths) * a_prompt)
        return seconds, models * self.weights + self.copy + beside + self.process


def try_drawing(model: str, prompts: Sequence[Group], *, device: str = "auto", dtype: str = "auto") -> Tried:
    """Load a model and let it read some of the prompts and draw a few tokens. Raises what loading does, and `DataError`
    where no prompt leaves room to answer."""
    before, began = held(), time.perf_counter()
    loaded = load(model_directory(model), device=device, dtype=dtype)
    loading = time.perf_counter() - began
    ids, _ = _with_room(prompts, loaded.tokenizer, loaded.context, 1)
    read, draw = sampling_pace(loaded, ids[:PROMPTS])
    policy = loaded.policy
    drawer = to_draw_with(policy)
    process = before + COMPUTING if policy.device.type == "cpu" else 0
    return Tried(
        loaded.tokenizer, loaded.context, policy.inner.config, policy.compute,
        sum(one.nbytes for one in policy.parameters()),
        sum(one.nbytes for one in drawer.parameters()) if drawer is not policy else 0, process, loading, read, draw,
    )  # fmt: skip


def _with_room(
    prompts: Sequence[Group], tokenizer: PreTrainedTokenizerBase, context: int | None, tokens: int
) -> tuple[list[list[int]], int]:  # fmt: skip
    """The prompts that leave room for an answer, as tokens, and how long answers may be: as drawing has it."""
    most = context or 10**9
    tokens = min(tokens, most // 2) if context else tokens
    ids = [one for one in encode_prompts(prompts, tokenizer, max_length=10**9) if len(one) <= most - tokens]
    if not ids:
        raise DataError(f"None of {len(prompts)} prompts leaves room to answer.")
    return ids, tokens
