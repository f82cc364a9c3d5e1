"""The same numbers as TRL 1.16 on the same data, in the same order, from the same weights: float32 on one core."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from preferably.data.order import batch_indices

trl = pytest.importorskip("trl", reason="parity is with TRL, which is not installed (pip install preferably[parity])")
datasets = pytest.importorskip("datasets", reason="TRL takes its data from the datasets package")

STEPS, ROWS = 50, 64


# transformers 5.23 about two names that TRL 1.16 still uses.
pytestmark = pytest.mark.filterwarnings("ignore:`(is_)?gradient_checkpointing` is deprecated:FutureWarning")


def theirs(world, name, steps=STEPS, batch=4, accumulation=1, **changes):
    """The loss of every step by `trl.DPOTrainer`, whose data are our order laid end to end and not shuffled."""
    order = [row for step in range(steps) for row in batch_indices(step, batch * accumulation, ROWS, 0)]
    data = datasets.Dataset.from_list([world.rows[row] for row in order])
    arguments = trl.DPOConfig(
        output_dir=str(world.place / name), max_steps=steps, per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation, lr_scheduler_type="linear", warmup_steps=0, max_grad_norm=1.0,
        adam_epsilon=1e-8, bf16=False, gradient_checkpointing=False, report_to=[], use_cpu=True, disable_tqdm=True,
        save_strategy="no", train_sampling_strategy="sequential", logging_steps=1, **world.common | changes,
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
def curves(world, ours):
    """(ours, TRL's) over 50 steps: made once."""
    return ours(world, "ours"), theirs(world, "trl")


def test_fifty_steps_of_dpo_are_those_of_trl(curves):
    mine, trls = curves
    assert trls[0] == pytest.approx(0.693147, abs=1e-5)
    assert min(trls) < 0.5  # it learns: a curve that stays at ln 2 would agree with anything
    assert apart(mine, trls) < 1e-5


def test_accumulation_by_either_side_is_the_same_curve(world, ours, curves):
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
def test_the_comparison_has_teeth(world, ours, curves, changes):
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
def test_other_objectives_take_the_same_steps(world, ours, method, mine, trls):
    """Three steps, so that the second and third loss depend on the first gradients too."""
    a = ours(world, method, steps=3, method=method, **mine)
    b = theirs(world, f"trl-{method}", steps=3, **trls)
    assert len(set(b)) == 3
    assert apart(a, b) < 1e-5 * max(1.0, *map(abs, b))


def test_conservative_dpo_is_dpo_at_no_smoothing_and_another_at_some(world, ours):
    """TRL's sigmoid loss takes no label smoothing: parity holds at 0, and 0.1 must be noticed."""
    trls = theirs(world, "trl-3", steps=3)
    assert apart(ours(world, "cdpo-0", steps=3, method="cdpo", label_smoothing=0.0), trls) < 1e-5
    assert apart(ours(world, "cdpo-1", steps=3, method="cdpo", label_smoothing=0.1), trls) > 1e-3


def test_an_sft_term_is_that_of_trl_where_a_step_is_one_pair(world, ours):
    """TRL averages over the batch's tokens, we over each completion's: the same for one pair a step."""
    a = ours(world, "nll", steps=3, batch_size=1, nll_weight=0.5)
    b = theirs(world, "trl-nll", steps=3, batch=1, loss_type=["sigmoid", "sft"], loss_weights=[1.0, 0.5])
    assert apart(a, b) < 1e-5
