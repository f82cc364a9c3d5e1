"""Completions that the policy draws to learn from, and what became of each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from preferably.data.tokens import TokenGroup
from preferably.models.policy import Policy, to_draw_with
from preferably.models.sampler import Decoding, Sample, sample

SHOWN = 2  # prompts of an iteration, and completions of each, that are kept to be read


@dataclass(slots=True)
class Rollout:
    """A prompt and the K completions that a version of the policy drew for it."""

    row: int  # of the prompt
    prompt: Sequence[int]
    samples: list[Sample]
    version: int  # of the policy that drew it: how many iterations it had behind it
    scores: list[float] = field(default_factory=list)  # [K], the sum of all parts; empty where one of K has none
    parts: dict[str, list[float | None]] = field(default_factory=dict)  # [K] each, as the parts gave them

    @property
    def group(self) -> TokenGroup:
        """The completions as tokens, all of them scored: none that the policy did not draw itself."""
        completions = tuple(np.array(one.tokens, dtype=np.int64) for one in self.samples)
        train = tuple(np.ones(len(one), dtype=np.bool_) for one in completions)
        return TokenGroup(np.array(self.prompt, dtype=np.int64), completions, train, self.row)


class Engine:
    """Draws rollouts. Where the policy computes below float32, a copy of it in that dtype stays in memory."""

    def __init__(
        self,
        policy: Policy,
        tokenizer: PreTrainedTokenizerBase,
        decoding: Decoding,
        *,
        samples: int,
        stop_ids: set[int],
    ) -> None:
        self.policy, self.tokenizer, self.decoding = policy, tokenizer, decoding
        self.samples, self.stop_ids = samples, stop_ids
        drawer = to_draw_with(policy)
        self.resident = None if drawer is policy else drawer

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the policy's weights, after an update."""
        if self.resident is not None:
            self.resident.follow(self.policy)
            for mine, theirs in zip(self.resident.parameters(), self.policy.parameters(), strict=True):
                mine.copy_(theirs)

    def draw(self, rows: Sequence[int], prompts: Sequence[Sequence[int]], *, seed: int, version: int) -> list[Rollout]:
        """`samples` completions for each prompt; `rows` are the prompts' own numbers. The same arguments and weights
        give the same rollouts."""
        drawn = sample(
            self.resident or self.policy, self.tokenizer, prompts, self.decoding,
            stop_ids=self.stop_ids, samples=self.samples, seed=seed,
        )  # fmt: skip
        asked = zip(rows, prompts, drawn, strict=True)
        return [Rollout(row, prompt, several, version) for row, prompt, several in asked]

    def shown(self, rollouts: Sequence[Rollout]) -> Iterator[dict[str, Any]]:
        """The first `SHOWN` completions of the first `SHOWN` rollouts as they were learnt from, with the version of the
        policy that drew them. `score` is null where a completion of the prompt has none."""
        for one in rollouts[:SHOWN]:
            prompt = str(self.tokenizer.decode(list(one.prompt), skip_special_tokens=True))
            for place, said in enumerate(one.samples[:SHOWN]):
                yield {
                    "version": one.version, "row": one.row, "prompt": prompt, "text": said.text,
                    "finished": said.finished, "score": one.scores[place] if one.scores else None,
                    "parts": {name: scores[place] for name, scores in one.parts.items()},
                }  # fmt: skip
