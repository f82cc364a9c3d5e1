"""Completions sampled from a policy: batched, with a KV cache, finished rows leaving the batch."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase

from preferably.errors import ConfigError
from preferably.models.cache import RoomyLayer, handed, roomy_cache
from preferably.models.policy import Policy

# Rows are dropped from the batch once this share of them is done: a smaller one copies the cache more often.
DONE_SHARE = 0.15
FREE_SHARE = 0.25  # of the rows that there may be: below that, prompts wait, as reading few at a time is slow


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
    its cache copied for its samples; finished rows leave, and prompts that wait take their place. `progress` is told
    how many prompts are done. A completion ends where the model's context does, whatever `max_tokens`. Raises
    `ConfigError` for no samples, or a prompt that fills the context.
    """
    context = context_of(policy.inner)
    longest = max(map(len, prompts), default=0)
    if samples < 1 or (context is not None and longest >= context):
        raise ConfigError(
            f"Cannot draw {samples} samples after a prompt of {longest} tokens: expected at least one sample, and "
            f"prompts below the model's context of {context} tokens."
        )
    generator = torch.Generator(policy.device).manual_seed(seed)
    stops = torch.tensor(sorted(stop_ids), device=policy.device)
    waiting = deque(sorted(range(len(prompts)), key=lambda i: len(prompts[i])))
    texts = [_Text([], [], False) for _ in range(len(prompts) * samples)]
    unfinished = Counter({i: samples for i in waiting})
    live: _Live | None = None
    while waiting or live is not None:
        free = rows - (len(live) if live is not None else 0)
        if waiting and (live is None or (free >= max(samples, FREE_SHARE * rows) and live.grows)):
            chosen = [waiting.popleft() for _ in range(min(len(waiting), max(1, free // samples)))]
            more = _read(policy, [prompts[i] for i in chosen], chosen, samples, decoding.max_tokens, context)
            live = more if live is None else live.joined(more)
        assert live is not None
        drawn, logps = _draw(live.logits, decoding, generator)
        live.left -= 1
        stopped = torch.isin(drawn, stops)
        _record(live, drawn, logps, stopped, texts)
        live.done |= stopped | (live.left <= 0)
        if decoding.stop:
            live.done |= _at_stop_text(live, texts, decoding.stop, tokenizer).to(policy.device)
        if float(live.done.float().mean()) >= DONE_SHARE or bool(live.done.all()):
            gone = Counter(row // samples for row in live.rows[live.done].tolist())
            unfinished.subtract(gone)
            if progress is not None:
                progress(sum(unfinished[i] == 0 for i in gone))
            keep = (~live.done).nonzero()[:, 0]
            drawn = drawn[keep]
            live = live.kept(keep) if len(keep) else None
        if live is not None:
            live.read(policy, drawn)
    made = [Sample(t.tokens, t.logps, _text(t.tokens, stop_ids, decoding.stop, tokenizer), t.ended) for t in texts]
    return [made[i * samples : (i + 1) * samples] for i in range(len(prompts))]


@dataclass(slots=True)
class _Text:
    """A completion as it grows."""

    tokens: list[int]
    logps: list[float]
    ended: bool


@dataclass(slots=True)
class _Live:
    """The rows that are being continued: B of them, over a cache of L columns that all go on at the same one."""

    rows: Tensor  # [B] which completion
    logits: Tensor  # [B, V] of the next token
    seen: Tensor  # [B, L] which columns are a row's own
    place: Tensor  # [B] position of the last token that was read
    left: Tensor  # [B] tokens that may still be drawn
    done: Tensor  # [B] bool
    cache: DynamicCache

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def grows(self) -> bool:
        """Whether rows can join: layers that forget what lies behind their window cannot be aligned any more."""
        return all(isinstance(layer, RoomyLayer) for layer in self.cache.layers)

    def joined(self, more: "_Live") -> "_Live":
        """Both, padded on the left to the same number of columns."""
        width = max(self.seen.shape[1], more.seen.shape[1])
        for layer, other in zip(self.cache.layers, more.cache.layers, strict=True):
            for name in ("keys", "values"):
                both = [_widened(getattr(one, name), width, -2) for one in (layer, other)]
                setattr(layer, name, torch.cat(both))
        seen = torch.cat([_widened(one.seen, width, -1) for one in (self, more)])
        pairs = ((getattr(self, name), getattr(more, name)) for name in ("rows", "logits", "place", "left", "done"))
        rows, logits, place, left, done = (torch.cat(pair) for pair in pairs)
        return _Live(rows, logits, seen, place, left, done, self.cache)

    def kept(self, keep: Tensor) -> "_Live":
        """The rows `keep`, without the columns that none of them needs."""
        self.cache.batch_select_indices(keep)
        rows, logits, seen, place, left, done = (
            one[keep] for one in (self.rows, self.logits, self.seen, self.place, self.left, self.done)
        )
        if self.grows:
            first = int(seen.any(0).nonzero()[0, 0])
            seen = seen[:, first:]
            for layer in self.cache.layers if first else ():
                for name in ("keys", "values"):
                    setattr(layer, name, getattr(layer, name)[..., first:, :])
        return _Live(rows, logits, seen, place, left, done, self.cache)

    def read(self, policy: Policy, drawn: Tensor) -> None:
        """Take in the tokens that were drawn, [B]."""
        self.place = self.place + ~self.done  # one that is done stays where it is: behind it the context may end
        self.seen = torch.cat([self.seen, torch.ones_like(self.seen[:, :1])], 1)
        self.logits = _step(policy, drawn[:, None], self.seen, self.place[:, None], self.cache)


def _widened(tensor: Tensor, width: int, dim: int) -> Tensor:
    """`tensor` with zeros in front along `dim`, up to `width`."""
    lacking = width - tensor.shape[dim]
    if not lacking:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = lacking
    return torch.cat([tensor.new_zeros(shape), tensor], dim)


def _read(
    policy: Policy, prompts: list[Sequence[int]], indices: list[int], samples: int, most: int, context: int | None
) -> _Live:
    """Read prompts, each once, and copy what was read for their samples."""
    device, width = policy.device, max(map(len, prompts))
    tokens = torch.zeros(len(prompts), width, dtype=torch.int64)
    seen = torch.zeros(len(prompts), width, dtype=torch.int64)
    for row, prompt in enumerate(prompts):  # padded on the left, so that all rows go on at the same column
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        seen[row, width - len(prompt) :] = 1
    tokens, seen = tokens.to(device), seen.to(device)
    cache = roomy_cache(policy.inner.config)
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    logits = _step(policy, tokens, seen, positions, cache)
    rows = torch.tensor([i * samples + k for i in indices for k in range(samples)], device=device)
    left = torch.tensor([min(most, context - len(prompt)) if context else most for prompt in prompts], device=device)
    place = positions[:, -1]
    if samples > 1:
        cache.batch_repeat_interleave(samples)
        logits, seen, place, left = (one.repeat_interleave(samples, 0) for one in (logits, seen, place, left))
    return _Live(rows, logits, seen, place, left, torch.zeros_like(left, dtype=torch.bool), cache)


def _step(policy: Policy, tokens: Tensor, seen: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
    """Logits [B, V] after `tokens` [B, L], float32; `cache` grows by L."""
    with policy.autocast():
        logits: Tensor = policy.model(
            input_ids=tokens,
            attention_mask=seen,
            position_ids=positions,
            use_cache=True,
            logits_to_keep=1,
            **handed(policy.inner, cache),
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


def _record(live: _Live, drawn: Tensor, logps: Tensor, stopped: Tensor, texts: list[_Text]) -> None:
    """Write down what was drawn for the rows that are not done."""
    columns = (live.rows, live.done, drawn, logps, stopped)
    for row, over, token, logp, stop in zip(*(column.tolist() for column in columns), strict=True):
        if not over:
            texts[row].tokens.append(token)
            texts[row].logps.append(logp)
            texts[row].ended = stop


def _at_stop_text(live: _Live, texts: list[_Text], stop: tuple[str, ...], tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """[B] bool: rows whose text now holds a stop text."""
    hit = torch.zeros(len(live), dtype=torch.bool)
    for place, (row, over) in enumerate(zip(live.rows.tolist(), live.done.tolist(), strict=True)):
        text = tokenizer.decode(texts[row].tokens, skip_special_tokens=True) if not over else ""
        if any(mark in text for mark in stop):
            hit[place] = texts[row].ended = True
    return hit


def _text(tokens: list[int], stop_ids: set[int], stop: tuple[str, ...], tokenizer: PreTrainedTokenizerBase) -> str:
    body = tokens[:-1] if tokens and tokens[-1] in stop_ids else tokens
    text = str(tokenizer.decode(body, skip_special_tokens=True))
    cuts = [text.find(mark) for mark in stop if mark in text]
    return text[: min(cuts)] if cuts else text
