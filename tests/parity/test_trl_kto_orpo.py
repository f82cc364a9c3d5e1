"""KTO and ORPO: the same numbers as TRL 1.16 on the same data, in the same order, from the same weights."""

import json
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM

from preferably.data.order import batch_indices
from preferably.feedback.records import Completion, Group, Message

trl = pytest.importorskip("trl", reason="parity is with TRL, which is not installed (pip install preferably[parity])")
datasets = pytest.importorskip("datasets", reason="TRL takes its data from the datasets package")

STEPS, BATCH = 50, 4
# transformers 5.23 about names that TRL 1.16 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing` is deprecated:FutureWarning")


def apart(a, b):
    assert len(a) == len(b)
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def their_losses(trainer, method="_compute_loss"):
    """The loss of every step of a TRL trainer."""
    seen = []
    honest = getattr(trainer, method)

    def spy(*arguments, **more):
        loss = honest(*arguments, **more)
        seen.append((loss[0] if isinstance(loss, tuple) else loss).item())
        return loss

    setattr(trainer, method, spy)
    trainer.train()
    return seen


def their_settings(world, name, batch, **changes):
    return {
        "output_dir": str(world.place / name), "max_steps": STEPS, "per_device_train_batch_size": batch,
        "lr_scheduler_type": "linear", "warmup_steps": 0, "max_grad_norm": 1.0, "adam_epsilon": 1e-8, "bf16": False,
        "gradient_checkpointing": False, "report_to": [], "use_cpu": True, "disable_tqdm": True,
        "save_strategy": "no", "train_sampling_strategy": "sequential", "logging_steps": 1,
    } | world.common | changes  # fmt: skip


def fresh(world):
    return AutoModelForCausalLM.from_pretrained(world.model, dtype=torch.float32)


@pytest.fixture(scope="module")
def thumbs(world):
    """A thumb up or down for every pair of the world: one completion of each, a third of them liked."""
    random, drawn = Random(1), []
    for row in world.rows:
        liked = random.random() < 1 / 3
        drawn.append((row["prompt"], row["chosen" if liked else "rejected"], liked))
    rows = [dict(zip(("prompt", "completion", "label"), row, strict=True)) for row in dict.fromkeys(drawn)]
    (world.place / "thumbs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def test_fifty_steps_of_kto_are_those_of_trl(world, ours, thumbs):
    weights = {"desirable_weight": 1.5, "undesirable_weight": 0.8, "beta": 0.5}
    mine = ours(world, "kto", STEPS, method="kto", data=str(world.place / "thumbs.jsonl"), batch_size=BATCH, **weights)
    order = [row for step in range(STEPS) for row in batch_indices(step, BATCH, len(thumbs), 0)]
    trainer = trl.KTOTrainer(
        model=fresh(world), ref_model=fresh(world),
        args=trl.KTOConfig(**their_settings(world, "trl-kto", BATCH, **weights)),
        train_dataset=datasets.Dataset.from_list([thumbs[row] for row in order]), processing_class=world.tokenizer,
    )  # fmt: skip
    trls = their_losses(trainer)
    assert min(trls) < 0.6 * trls[0] and len(set(trls)) == STEPS  # it learns
    assert apart(mine, trls) < 1e-5


def test_fifty_steps_of_orpo_are_those_of_trl(world, ours, monkeypatch):
    """One pair a step and no prompt, as TRL's SFT term averages over the batch and counts the prompt's tokens too."""
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    rows = [{"prompt": "", "chosen": row["prompt"] + row["chosen"], "rejected": row["prompt"] + row["rejected"]}
            for row in world.rows]  # fmt: skip
    order = [row for step in range(STEPS) for row in batch_indices(step, 1, len(rows), 0)]
    trainer = ORPOTrainer(
        model=fresh(world), args=ORPOConfig(**their_settings(world, "trl-orpo", 1)),
        train_dataset=datasets.Dataset.from_list([rows[row] for row in order]), processing_class=world.tokenizer,
    )  # fmt: skip
    trls = their_losses(trainer, "compute_loss")
    both = [[Completion((Message("text", row[side]),)) for side in ("chosen", "rejected")] for row in rows]
    mine = ours(world, "orpo", STEPS, [Group((), tuple(pair)) for pair in both], method="orpo", batch_size=1)
    assert min(trls) < 0.7 * trls[0]
    assert apart(mine, trls) < 1e-5
