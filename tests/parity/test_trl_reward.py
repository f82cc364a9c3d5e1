"""The same loss as TRL 1.16's RewardTrainer, step by step: float32 on one core."""

import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from preferably.data.order import batch_indices
from preferably.models.loading import load, save

trl = pytest.importorskip("trl", reason="parity is with TRL, which is not installed (pip install preferably[parity])")
datasets = pytest.importorskip("datasets", reason="TRL takes its data from the datasets package")

STEPS, ROWS = 50, 64
pytestmark = pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def start(world):
    """A reward model with a head that both sides begin with."""
    torch.manual_seed(0)
    path = world.place / "reward-start"
    save(load(world.model, axes={"reward": 1.0}, device="cpu", dtype="float32"), path)
    return path


def theirs(world, start, margins=None):
    order = [row for step in range(STEPS) for row in batch_indices(step, 4, ROWS, 0)]
    rows = [world.rows[row] | ({} if margins is None else {"margin": margins[row]}) for row in order]
    arguments = trl.RewardConfig(
        output_dir=str(world.place / "trl-reward"), max_steps=STEPS, per_device_train_batch_size=4,
        lr_scheduler_type="linear", warmup_steps=0, max_grad_norm=1.0, adam_epsilon=1e-8, bf16=False,
        gradient_checkpointing=False, report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no",
        train_sampling_strategy="sequential", logging_steps=1, disable_dropout=True, learning_rate=3e-3,
        weight_decay=0.1,
    )  # fmt: skip
    model = AutoModelForSequenceClassification.from_pretrained(start, dtype=torch.float32)
    trainer = trl.RewardTrainer(
        model=model, args=arguments, train_dataset=datasets.Dataset.from_list(rows), processing_class=world.tokenizer
    )
    seen = []
    honest = trainer.compute_loss

    def spy(*arguments, **options):
        loss = honest(*arguments, **options)
        seen.append((loss[0] if isinstance(loss, tuple) else loss).item())
        return loss

    trainer.compute_loss = spy
    trainer.train()
    return seen


def test_fifty_steps_of_a_reward_model_are_those_of_trl(world, ours, start):
    mine = ours(world, "reward", method="reward", model=str(start), beta=None)
    trls = theirs(world, start)
    assert len(mine) == len(trls) == STEPS and min(trls) < 0.4
    assert max(abs(a - b) for a, b in zip(mine, trls, strict=True)) < 1e-5


def test_so_are_they_where_the_chosen_one_has_to_be_ahead_by_a_margin(world, ours, start):
    strengths = [float(row % 4) for row in range(ROWS)]
    data = world.place / "strong.jsonl"
    rows = (row | {"strength": strength} for row, strength in zip(world.rows, strengths, strict=True))
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    mine = ours(world, "margins", method="reward", model=str(start), data=str(data), beta=None, margin=0.5)
    trls = theirs(world, start, margins=[0.5 * strength for strength in strengths])
    assert len(mine) == len(trls) == STEPS
    assert max(abs(a - b) for a, b in zip(mine, trls, strict=True)) < 1e-5
