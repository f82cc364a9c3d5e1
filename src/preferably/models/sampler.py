"""Completions sampled from a policy: batched, with a KV cache, finished rows leaving the batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase

from preferably.errors import ConfigError
from preferably.models.policy import Policy

# Rows are dropped from the batch once this share of them is done: a smaller one copies the cache more often.
DONE_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Decoding:
    """How to sample. `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 switch those filters off."""

    temperature: float = 0.7
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()  # texts that end a completion; they are cut off

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf") or not 0 < self.top_p <= 1 or self.top_k < 0 or self.max_tokens < 1:
            raise ConfigError(
                f"Cannot sample with {self}: expected temperature >= 0, 0 < top_p <= 1, top_k >= 0, max_tokens >= 1."
            )


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion: its tokens (the stop token included), their log-probs and its text."""

    tokens: list[int]
    logps: list[float]  # nats, under the model at temperature 1 whatever was sampled with
    text: str  # without the stop token
    finished: bool  # whether the model ended it, rather than `max_tokens`


def context_of(model: Any) -> int | None:
    """How many tokens a model takes in, where its configuration says so."""
    config = model.config.get_text_config()
    return getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)


@torch.no_grad()
def sample(
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    *,
    stop_ids: set[int],
    samples: int = 1,
    seed: int = 0,
    rows: int = 256,
    progress: Callable[[int], None] | None = None,
) -> list[list[Sample]]:
    """`samples` completions for each prompt (token ids, never empty), in the order of the prompts.

    The same arguments give the same completions on the same machine. `rows` bounds the batch: a prompt is read once and
    its cache copied for its samples; prompts of like lengths go together. `progress` is told how many prompts are done.
    A completion ends where the model's context does, whatever `max_tokens`. Raises `ConfigError` for no samples, or a
    prompt that fills the context.
    """
    context = context_of(policy.inner)
    longest = max(map(len, prompts), default=0)
    if samples < 1 or (context is not None and longest >= context):
        raise ConfigError(
            f"Cannot draw {samples} samples after a prompt of {longest} tokens: expected at least one sample, and "
            f"prompts below the model's context of {context} tokens."
        )
    generator = torch.Generator(policy.device).manual_seed(seed)
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    results: list[list[Sample]] = [[] for _ in prompts]
    size = max(1, rows // samples)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        state = _generate(policy, [prompts[i] for i in chosen], decoding, stop_ids, samples, generator, tokenizer)
        for place, i in enumerate(chosen):
            results[i] = state[place * samples : (place + 1) * samples]
        if progress is not None:
            progress(len(chosen))
    return results


def _generate(
    policy: Policy,
    prompts: list[Sequence[int]],
    decoding: Decoding,
    stop_ids: set[int],
    samples: int,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase,
) -> list[Sample]:
    device = policy.device
    width = max(len(prompt) for prompt in prompts)
    tokens = torch.zeros(len(prompts), width, dtype=torch.int64)
    seen = torch.zeros(len(prompts), width + decoding.max_tokens, dtype=torch.int64)
    for row, prompt in enumerate(prompts):  # padded on the left, so that all rows go on at the same column
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        seen[row, width - len(prompt) : width] = 1
    seen[:, width:] = 1
    seen, tokens = seen.to(device), tokens.to(device)
    stops = torch.tensor(sorted(stop_ids), device=device)
    cache = DynamicCache(config=policy.inner.config)
    positions = (seen[:, :width].cumsum(1) - 1).clamp(min=0)
    logits = _step(policy, tokens, seen[:, :width], positions, cache)
    if samples > 1:
        cache.batch_repeat_interleave(samples)
        logits, seen, positions = (x.repeat_interleave(samples, 0) for x in (logits, seen, positions[:, -1:]))
    place = positions[:, -1]
    live = torch.arange(len(logits), device=device)  # which completion each row of the batch is
    done = torch.zeros(len(logits), dtype=torch.bool, device=device)
    context = context_of(policy.inner) or width + decoding.max_tokens
    room = context - 1 - place  # tokens that still fit, a row
    out_tokens: list[list[int]] = [[] for _ in live]
    out_logps: list[list[float]] = [[] for _ in live]
    ended = [False] * len(live)
    for column in range(decoding.max_tokens):
        drawn, logps = _draw(logits, decoding, generator)
        stopped = torch.isin(drawn, stops)
        _record(live, done, drawn, logps, stopped, out_tokens, out_logps, ended)
        done |= stopped | (room <= column + 1)
        if decoding.stop:
            done |= _at_stop_text(live, done, out_tokens, ended, decoding.stop, tokenizer).to(device)
        if column + 1 == decoding.max_tokens or bool(done.all()):
            break
        if done.float().mean() >= DONE_SHARE:
            keep = (~done).nonzero()[:, 0]
            cache.batch_select_indices(keep)
            live, done, seen, place, drawn, room = (x[keep] for x in (live, done, seen, place, drawn, room))
        place = place + 1
        logits = _step(policy, drawn[:, None], seen[:, : width + column + 1], place[:, None], cache)
    return [
        Sample(t, logp, _text(t, stop_ids, decoding.stop, tokenizer), end)
        for t, logp, end in zip(out_tokens, out_logps, ended, strict=True)
    ]


def _step(policy: Policy, tokens: Tensor, seen: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
    """Logits [B, V] after `tokens` [B, L], float32; `cache` grows by L."""
    with policy.autocast():
        logits: Tensor = policy.model(
            input_ids=tokens,
            attention_mask=seen,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits
    return logits[:, -1].float()


def _draw(logits: Tensor, decoding: Decoding, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One token a row [B], and its log-prob under the unfiltered model at temperature 1 [B]."""
    if decoding.temperature == 0:
        drawn = logits.argmax(-1)
    else:
        scaled = logits / decoding.temperature
        if decoding.top_k and decoding.top_k < scaled.shape[-1]:
            scaled = scaled.masked_fill(scaled < scaled.topk(decoding.top_k).values[:, -1:], -torch.inf)
        probs = scaled.softmax(-1)
        if decoding.top_p < 1:
            ranked, index = probs.sort(descending=True)
            ranked[ranked.cumsum(-1) - ranked >= decoding.top_p] = 0  # the most likely one always stays
            probs = torch.zeros_like(probs).scatter(-1, index, ranked)
        # By the inverse of the distribution function: one random number a row, where a race of exponentials takes one
        # a word (15% of the time of a small model). In float64, so that 150,000 words leave no gap.
        upto = probs.double().cumsum(-1)
        point = torch.rand(len(probs), 1, generator=generator, device=probs.device, dtype=torch.float64) * upto[:, -1:]
        drawn = torch.searchsorted(upto, point, right=True)[:, 0].clamp(max=probs.shape[-1] - 1)
    logps = logits.gather(-1, drawn[:, None])[:, 0] - logits.logsumexp(-1)
    return drawn, logps


def _record(
    live: Tensor,
    done: Tensor,
    drawn: Tensor,
    logps: Tensor,
    stopped: Tensor,
    out_tokens: list[list[int]],
    out_logps: list[list[float]],
    ended: list[bool],
) -> None:
    columns = zip(live.tolist(), done.tolist(), drawn.tolist(), logps.tolist(), stopped.tolist(), strict=True)
    for row, over, token, logp, stop in columns:
        if not over:
            out_tokens[row].append(token)
            out_logps[row].append(logp)
            ended[row] = stop


def _at_stop_text(
    live: Tensor,
    done: Tensor,
    out_tokens: list[list[int]],
    ended: list[bool],
    stop: tuple[str, ...],
    tokenizer: PreTrainedTokenizerBase,
) -> Tensor:
    """[B] bool: rows whose text now holds a stop text."""
    hit = torch.zeros(len(live), dtype=torch.bool)
    for place, (row, over) in enumerate(zip(live.tolist(), done.tolist(), strict=True)):
        if not over and any(text in tokenizer.decode(out_tokens[row], skip_special_tokens=True) for text in stop):
            hit[place] = ended[row] = True
    return hit


def _text(tokens: list[int], stop_ids: set[int], stop: tuple[str, ...], tokenizer: PreTrainedTokenizerBase) -> str:
    body = tokens[:-1] if tokens and tokens[-1] in stop_ids else tokens
    text = str(tokenizer.decode(body, skip_special_tokens=True))
    cuts = [text.find(mark) for mark in stop if mark in text]
    return text[: min(cuts)] if cuts else text
