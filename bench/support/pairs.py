"""Synthetic pairs of given lengths, and a model of given shape with a tokenizer in which a word is a token."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

SPECIAL = ("<pad>", "</s>", "<unk>")
LONGEST_PROMPT, LONGEST_COMPLETION = 512, 480  # together below TRL's default max_length of 1024: nobody truncates


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama; the defaults are the one of 135 million parameters (SmolLM-135M)."""

    layers: int = 30
    hidden: int = 576
    intermediate: int = 1536
    heads: int = 9
    kv_heads: int = 3
    words: int = 49152


@dataclass(frozen=True, slots=True)
class Workload:
    """Mean lengths in tokens, and the spread: sd of the logarithm of a lognormal, cut at the longest."""

    name: str
    prompt: int
    completion: int
    prompt_spread: float
    completion_spread: float


# The spreads of the second were measured in words on the two HH-RLHF test files (1.11 and 0.94).
WORKLOADS = {
    row.name: row
    for row in (
        Workload("ultrafeedback-like", 150, 260, 0.9, 0.6),
        Workload("hh-like", 130, 60, 1.1, 0.94),
        Workload("smoke", 12, 8, 0.5, 0.5),
    )
}


def build_model(directory: Path, shape: Shape, seed: int = 0) -> dict[str, Any]:
    """Write a Llama with random weights and its tokenizer to `directory`; its size."""
    import torch
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate([*SPECIAL, *(f"w{i}" for i in range(3, shape.words))])}
    core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=2048
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=shape.words, hidden_size=shape.hidden, intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers, num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads,
        max_position_embeddings=2048, tie_word_embeddings=True, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return asdict(shape) | {"parameters": sum(p.numel() for p in model.parameters())}


def draw_pairs(workload: Workload, count: int, words: int, seed: int = 0) -> list[dict[str, str]]:
    """`count` pairs of random words, the same for every contender; a completion's EOS is added by the contenders."""
    rng = np.random.default_rng(seed)
    prompts = _lengths(rng, count, workload.prompt, workload.prompt_spread, LONGEST_PROMPT)
    completions = _lengths(rng, 2 * count, workload.completion, workload.completion_spread, LONGEST_COMPLETION)

    def text(length: int) -> str:
        return " ".join(f"w{i}" for i in rng.integers(3, words, size=length))

    return [
        {"prompt": text(p), "chosen": " " + text(a), "rejected": " " + text(b)}
        for p, a, b in zip(prompts, completions[::2], completions[1::2], strict=True)
    ]


def _lengths(rng: np.random.Generator, count: int, mean: float, spread: float, longest: int) -> list[int]:
    """Lognormal lengths with this mean after they are cut."""
    drawn = rng.lognormal(0.0, spread, size=count)
    scale = mean / drawn.mean()
    for _ in range(50):
        cut = np.clip(drawn * scale, 4, longest)
        scale *= mean / cut.mean()
    return [int(length) for length in np.clip(np.round(drawn * scale), 4, longest)]


def padded_share(pairs: list[dict[str, str]], batch: int) -> float:
    """The share of a padded batch [2B, T_max] that is tokens, over batches in order."""
    real = full = 0
    for start in range(0, len(pairs), batch):
        lengths = [
            len(pair["prompt"].split()) + len(pair[side].split()) + 1
            for pair in pairs[start : start + batch]
            for side in ("chosen", "rejected")
        ]
        real, full = real + sum(lengths), full + len(lengths) * max(lengths)
    return real / full
