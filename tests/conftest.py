"""Models, tokenizers and token groups small enough for one core, built here and never downloaded."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import copy
import dataclasses
import string
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from preferably.config import settings
from preferably.data.tokens import TokenGroup
from preferably.models.attention import NAME
from preferably.models.policy import Policy
from preferably.training.checkpoint import lock_run
from preferably.training.closing import Progress
from preferably.training.offline import TrainData, train_offline
from preferably.training.reference import Reference
from preferably.training.run_directory import RunDirectory
from preferably.training.state import Saver

torch.set_num_threads(1)

WORDS = 103  # size of every tiny vocabulary: what `characters` makes

SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": WORDS}
ENDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
MORE = {"intermediate_size": 48, "max_position_embeddings": 128}


def _config(kind):
    match kind:
        case "llama":
            return LlamaConfig(**SIZE, **MORE, **ENDS, num_key_value_heads=2)
        case "llama-mha":
            return LlamaConfig(**SIZE, **MORE, **ENDS, tie_word_embeddings=True)
        case "qwen3":
            return Qwen3Config(**SIZE, **MORE, **ENDS, num_key_value_heads=2, head_dim=8)
        case "gemma3":
            size = SIZE | {"num_hidden_layers": 3}
            kinds = ["sliding_attention", "full_attention", "sliding_attention"]
            return Gemma3TextConfig(
                **size, **MORE, **ENDS, num_key_value_heads=2, head_dim=8, sliding_window=8, layer_types=kinds,
                final_logit_softcapping=6.0, query_pre_attn_scalar=8, tie_word_embeddings=False,
            )  # fmt: skip
        case "gemma2":
            return Gemma2Config(
                **SIZE, **MORE, **ENDS, num_key_value_heads=2, head_dim=8, sliding_window=8,
                attn_logit_softcapping=1.0, final_logit_softcapping=None, query_pre_attn_scalar=8,
            )  # fmt: skip
        case "gpt2":
            ids = {"bos_token_id": 0, "eos_token_id": 1}
            off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
            return GPT2Config(vocab_size=WORDS, n_embd=32, n_layer=2, n_head=4, n_positions=128, **off, **ids)
        case "gpt-neox":
            return GPTNeoXConfig(**SIZE, **MORE, **ENDS)
        case "bloom":
            return BloomConfig(vocab_size=WORDS, hidden_size=32, n_layer=2, n_head=4, **ENDS)
        case "falcon":
            return FalconConfig(
                **SIZE, **ENDS, max_position_embeddings=128, alibi=False, new_decoder_architecture=False
            )
        case "gpt-neo":
            return GPTNeoConfig(
                vocab_size=WORDS, hidden_size=32, num_layers=2, num_heads=4, max_position_embeddings=128,
                attention_types=[[["global", "local"], 1]], window_size=8, **ENDS,
            )  # fmt: skip
    raise ValueError(kind)


def _build(kind, attention=NAME, seed=0, std=0.2):
    """A model in float32 with every weight drawn: matrices N(0, std), vectors their start plus N(0, std / 2)."""
    model = AutoModelForCausalLM.from_config(_config(kind), attn_implementation=attention, dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() >= 2:
                parameter.copy_(std * noise)
            else:
                parameter.add_(std / 2 * noise)
    return model


def _plain_logps(model, group, dtype=torch.float64):
    """Independent of everything in src: each completion alone in a row without padding, log-softmax in float64."""
    parts = []
    for completion in group.completions:
        ids = torch.from_numpy(np.concatenate([group.prompt, completion]))[None]
        logits = model(input_ids=ids, use_cache=False).logits[0]
        logps = torch.log_softmax(logits.to(dtype), -1)
        first = len(group.prompt)
        parts.append(torch.stack([logps[at - 1, ids[0, at]] for at in range(first, ids.shape[1])]))
    return torch.cat(parts)


def _groups(shapes, seed=0, words=WORDS, masked=False):
    """Random groups. `shapes`: [(prompt length, [completion lengths])]; with `masked` about a third is not trained."""
    rng = np.random.default_rng(seed)
    out = []
    for row, (prompt, completions) in enumerate(shapes):
        arrays = tuple(rng.integers(3, words, size=length) for length in completions)
        train = []
        for length in completions:
            mask = rng.random(length) < 2 / 3 if masked else np.ones(length, dtype=bool)
            mask[-1] = True
            train.append(mask)
        out.append(TokenGroup(rng.integers(3, words, size=prompt), arrays, tuple(train), row))
    return out


def _characters():
    """A token a character: <s> 0, </s> 1, <end> 2, then string.printable."""
    vocabulary = {piece: number for number, piece in enumerate(["<s>", "</s>", "<end>", *string.printable])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<s>", "</s>", "<end>")])
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<end>")


def _write_model(directory, kind="llama", seed=0, std=0.2):
    """A model directory as `load` wants it."""
    _build(kind, attention="eager", seed=seed, std=std).save_pretrained(directory)
    _characters().save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tiny():
    """Builders: `build`, `groups`, `plain_logps`, `tokenizer`, `write_model`; `words` is the size of the vocabulary."""
    return SimpleNamespace(
        build=_build,
        groups=_groups,
        plain_logps=_plain_logps,
        tokenizer=_characters,
        write_model=_write_model,
        words=WORDS,
    )


# The loop on random token groups, without files of data or models around it

SHAPES = [(1 + i % 5, [2 + i % 7, 1 + (3 * i) % 8]) for i in range(24)]


@pytest.fixture
def offline(tiny, tmp_path):
    """`offline(method="dpo", ...settings)` runs the loop on 24 pairs; what it did and the weights after every step."""

    def run(method="dpo", *, groups=None, held_out=(), prompts=(), name="run", resume=False, stop=lambda: False,
            reference_seed=0, **more):  # fmt: skip
        made = settings(
            {"method": method, "model": "tiny", "output": str(tmp_path / name), "warmup": 0, "learning_rate": 1e-3,
             "batch_size": 4} | more
        )  # fmt: skip
        policy = Policy(tiny.build("llama"))
        reference = None
        if made.row.reference:
            reference = Reference(
                Policy(tiny.build("llama", seed=reference_seed)), adapters=False, cache=made.reference == "cache"
            )
        directory = RunDirectory(tmp_path / name)
        directory.create(resume=resume)
        if groups is None:
            pairs = made.row.feedback == "pairs"
            shapes = SHAPES if pairs else [(prompt, completions[:1]) for prompt, completions in SHAPES]
            groups = tiny.groups(shapes, masked=True)
            if made.row.feedback == "labels":
                groups = [dataclasses.replace(group, label=row % 3 == 0) for row, group in enumerate(groups)]
        weights, metrics = [], []

        def step(number, values):
            metrics.append(values)
            weights.append([p.detach().clone() for p in policy.parameters()])

        out = SimpleNamespace(
            policy=policy, reference=reference, run=directory, weights=weights, metrics=metrics, settings=made,
            checkpoints=directory.path / "checkpoints", groups=groups, start=copy.deepcopy(policy), state=None,
        )  # fmt: skip
        run.last = out
        with lock_run(directory.path) as lock:
            saver = Saver(directory, {"seed": made.seed}, made.keep, resume, lock)
            out.state = train_offline(
                policy, reference, TrainData(groups, list(held_out), list(prompts)), tiny.tokenizer(), made, directory,
                saver, stop_ids={1}, progress=Progress(step=step), stop_asked=stop,
            )  # fmt: skip
        return out

    return run


@pytest.fixture
def gradients(monkeypatch):
    """Every gradient that reaches the optimizer, before it is clipped: one list of tensors a step."""
    seen = []
    clip = torch.nn.utils.clip_grad_norm_

    def spy(parameters, *arguments, **options):
        parameters = list(parameters)
        seen.append([None if p.grad is None else p.grad.clone() for p in parameters])
        return clip(parameters, *arguments, **options)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
    return seen


@pytest.fixture(scope="session")
def tiny_model_directory(tmp_path_factory):
    """A tiny random Llama with a tokenizer of characters, saved as users' models are."""
    directory = tmp_path_factory.mktemp("models") / "tiny"
    _write_model(directory)
    return directory
