"""A tiny model and data that both sides train on, and our side of it."""

import json
import random
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from tokenizers import decoders as token_decoders
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from preferably.config import settings
from preferably.training.run import train

ROWS = 64
COMMON = {"beta": 0.1, "learning_rate": 3e-3, "weight_decay": 0.1}


def texts():
    """64 pairs: the chosen one counts upwards, the rejected one downwards, with noise that cannot be learnt."""
    rng = random.Random(0)
    rows = []
    for _ in range(ROWS):
        start = rng.randrange(10, 60)
        up = " ".join(str(start + i) for i in range(1, 2 + rng.randrange(5)))
        down = " ".join(str(start - i) for i in range(1, 2 + rng.randrange(5)))
        if rng.random() < 0.1:
            up, down = down, up
        rows.append({"prompt": f"count from {start}", "chosen": f" {up}", "rejected": f" {down}"})
    return rows


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A directory with a tiny Llama (2 layers, GQA), a BPE tokenizer with BOS trained on the texts, and the data."""
    place = tmp_path_factory.mktemp("parity")
    rows = texts()
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), token_decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>", "<pad>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    raw.train_from_iterator([text for row in rows for text in row.values()], trainer)
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.1,
            bos_token_id=0, eos_token_id=1, pad_token_id=2,
        )
    )  # fmt: skip
    model.save_pretrained(place / "model")
    tokenizer.save_pretrained(place / "model")
    (place / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return SimpleNamespace(
        place=place, model=place / "model", data=place / "pairs.jsonl", rows=rows, tokenizer=tokenizer, common=COMMON
    )


def _ours(world, name, steps=50, groups=None, **changes):
    """The loss of every step by `preferably.training.run.train`; `groups` in memory take the place of the file."""
    given = {
        "method": "dpo", "model": str(world.model), "data": str(world.data), "output": str(world.place / name),
        "held_out": 0, "max_steps": steps, "batch_size": 4, "schedule": "linear", "warmup": 0, "clip": 1.0, "eps": 1e-8,
        "sample_prompts": 0, "save_every": 1000, "device": "cpu", "dtype": "float32",
    } | COMMON  # fmt: skip
    path = train(settings(given | changes), groups=groups).path
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["step"] > 0]


@pytest.fixture(scope="session")
def ours():
    """`ours(world, name, steps, **settings)`: the loss of every step by our side."""
    return _ours
