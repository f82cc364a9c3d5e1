"""The same numbers as TRL 1.16 on the same data, in the same order, from the same weights: float32 on one core."""

import json
import random
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from tokenizers import decoders as token_decoders
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from preferably.config import settings
from preferably.data.order import batch_indices
from preferably.training.run import train

trl = pytest.importorskip("trl", reason="parity is with TRL, which is not installed (pip install preferably[parity])")
datasets = pytest.importorskip("datasets", reason="TRL takes its data from the datasets package")

STEPS, ROWS = 50, 64
COMMON = {"beta": 0.1, "learning_rate": 3e-3, "weight_decay": 0.1}


# transformers 5.23 about two names that TRL 1.16 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing` is deprecated:FutureWarning")


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


@pytest.fixture(scope="module")
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
        place=place, model=place / "model", data=place / "pairs.jsonl", rows=rows, tokenizer=tokenizer
    )


def ours(world, name, steps=STEPS, **changes):
    """The loss of every step by `preferably.training.run.train`."""
    given = {
        "method": "dpo", "model": str(world.model), "data": str(world.data), "output": str(world.place / name),
        "held_out": 0, "max_steps": steps, "batch_size": 4, "schedule": "linear", "warmup": 0, "clip": 1.0, "eps": 1e-8,
        "sample_prompts": 0, "save_every": 1000, "device": "cpu", "dtype": "float32",
    } | COMMON  # fmt: skip
    path = train(settings(given | changes)).path
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["step"] > 0]


def theirs(world, name, steps=STEPS, batch=4, accumulation=1, **changes):
    """The loss of every step by `trl.DPOTrainer`, whose data are our order laid end to end and not shuffled."""
    order = [row for step in range(steps) for row in batch_indices(step, batch * accumulation, ROWS, 0)]
    data = datasets.Dataset.from_list([world.rows[row] for row in order])
    arguments = trl.DPOConfig(
        output_dir=str(world.place / name), max_steps=steps, per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation, lr_scheduler_type="linear", warmup_steps=0, max_grad_norm=1.0,
        adam_epsilon=1e-8, bf16=False, gradient_checkpointing=False, report_to=[], use_cpu=True, disable_tqdm=True,
        save_strategy="no", train_sampling_strategy="sequential", logging_steps=1, **COMMON | changes,
    )  # fmt: skip
    policy, reference = (AutoModelForCausalLM.from_pretrained(world.model, dtype=torch.float32) for _ in range(2))
    trainer = trl.DPOTrainer(
        model=policy, ref_model=reference, args=arguments, train_dataset=data, processing_class=world.tokenizer
    )
    seen = []
    honest = trainer._compute_loss

    def spy(*arguments):
        loss = honest(*arguments)
        seen.append(loss.item())
        return loss

    trainer._compute_loss = spy
    trainer.train()
    assert len(seen) == steps * accumulation
    return [sum(seen[at : at + accumulation]) / accumulation for at in range(0, len(seen), accumulation)]


def apart(a, b):
    assert len(a) == len(b)
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def curves(world):
    """(ours, TRL's) over 50 steps: made once."""
    return ours(world, "ours"), theirs(world, "trl")


def test_fifty_steps_of_dpo_are_those_of_trl(curves):
    mine, trls = curves
    assert trls[0] == pytest.approx(0.693147, abs=1e-5)
    assert min(trls) < 0.5  # it learns: a curve that stays at ln 2 would agree with anything
    assert apart(mine, trls) < 1e-5


def test_accumulation_by_either_side_is_the_same_curve(world, curves):
    mine, trls = curves
    assert apart(mine, theirs(world, "trl-2x2", batch=2, accumulation=2)) < 1e-5
    assert apart(ours(world, "ours-cut", tokens_per_microbatch=50), trls) < 1e-5


@pytest.mark.parametrize(
    "changes",
    [
        {"eps": 1e-6},
        {"weight_decay": 0.01},
        {"clip": 100.0},
        {"betas": (0.9, 0.95)},
        {"schedule": "cosine"},
        {"seed": 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_comparison_has_teeth(world, curves, changes):
    """One wrong hyperparameter is further from TRL than what is allowed above."""
    assert apart(ours(world, f"wrong-{next(iter(changes))}", **changes), curves[1]) > 1e-5


@pytest.mark.parametrize(
    ("method", "mine", "trls"),
    [
        ("ipo", {}, {"loss_type": ["ipo"]}),
        ("rdpo", {"label_smoothing": 0.2}, {"loss_type": ["robust"], "label_smoothing": 0.2}),
        ("hinge", {}, {"loss_type": ["hinge"]}),
    ],
)
def test_other_objectives_take_the_same_steps(world, method, mine, trls):
    """Three steps, so that the second and third loss depend on the first gradients too."""
    a = ours(world, method, steps=3, method=method, **mine)
    b = theirs(world, f"trl-{method}", steps=3, **trls)
    assert len(set(b)) == 3
    assert apart(a, b) < 1e-5 * max(1.0, *map(abs, b))


def test_conservative_dpo_is_dpo_at_no_smoothing_and_another_at_some(world):
    """TRL's sigmoid loss takes no label smoothing: parity holds at 0, and 0.1 must be noticed."""
    trls = theirs(world, "trl-3", steps=3)
    assert apart(ours(world, "cdpo-0", steps=3, method="cdpo", label_smoothing=0.0), trls) < 1e-5
    assert apart(ours(world, "cdpo-1", steps=3, method="cdpo", label_smoothing=0.1), trls) > 1e-3


def test_an_sft_term_is_that_of_trl_where_a_step_is_one_pair(world):
    """TRL averages over the batch's tokens, we over each completion's: the same for one pair a step."""
    a = ours(world, "nll", steps=3, batch_size=1, nll_weight=0.5)
    b = theirs(world, "trl-nll", steps=3, batch=1, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5])
    assert apart(a, b) < 1e-5
