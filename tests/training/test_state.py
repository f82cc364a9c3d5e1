"""What a run remembers: the best, the patience, the checkpoint, and the refusal to go on under other circumstances."""

import pytest
import torch

from preferably.batches.group import collate
from preferably.errors import CheckpointError
from preferably.models.policy import Policy
from preferably.training.checkpoint import lock_run
from preferably.training.optimizer import adamw
from preferably.training.reference import Reference
from preferably.training.run_directory import LOGS, RunDirectory
from preferably.training.state import Saver, State, refuse_changes

SHAPES = [(5, [4, 7]), (1, [1, 3]), (12, [9, 1]), (3, [2, 2])]


def judged(losses, patience=None):
    state = State()
    for step, loss in enumerate(losses, 1):
        state.step = step
        state.judge(loss, patience)
        if state.reason:
            break
    return state


def test_the_best_is_the_lowest_and_the_first_of_equals():
    state = judged([0.7, 0.5, 0.6, 0.5, 0.55])
    assert (state.best_loss, state.best_step, state.evaluations_without_gain, state.reason) == (0.5, 2, 3, "")


def test_patience_counts_evaluations_since_the_best():
    state = judged([0.7, 0.6, 0.65, 0.5, 0.6, 0.6, 0.4], patience=2)
    assert state.step == 6 and state.best_step == 4 and "2 evaluations" in state.reason
    assert judged([0.7, 0.71], patience=1).step == 2
    assert judged([0.7, 0.6, 0.5], patience=1).reason == ""


def test_a_step_without_evaluation_is_no_lack_of_gain():
    state = judged([0.7, None, None, 0.6], patience=1)
    assert state.reason == "" and state.best_step == 4


def test_a_loss_that_is_no_number_is_never_the_best():
    state = judged([float("nan"), 0.5])
    assert (state.best_loss, state.best_step) == (0.5, 2)
    assert judged([0.5, float("nan"), float("nan")], patience=2).reason


def saver(directory, lock, resume=False, run_id="a", facts=None, keep=2, warn=lambda *words: None):
    run = RunDirectory(directory)
    run.id = run_id
    return Saver(run, facts or {"seed": 1}, keep, resume, lock, warn)


def trained(tiny, seed=0, steps=3):
    """A policy with moments, and the reference it was held to."""
    policy = Policy(tiny.build("llama", seed=seed))
    reference = Reference(policy, adapters=False, cache=True)
    optimizer = adamw(policy, learning_rate=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    for step in range(steps):
        batch = collate(tiny.groups(SHAPES, seed=step))
        reference.sums(batch, "train")
        policy(batch).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    reference.sums(collate(tiny.groups(SHAPES, seed=9)), "held_out")
    return policy, optimizer, reference


def test_what_is_saved_is_taken_up_to_the_last_bit(tiny, tmp_path):
    policy, optimizer, reference = trained(tiny)
    state = State(
        step=5, tokens=321, line={"step": 5, "loss": 0.1 + 0.2}, start={"eval_loss": 0.7}, best_loss=0.5, best_step=4,
        evaluations_without_gain=1, bad_steps=2, alarms=["kl_high"],
    )  # fmt: skip
    with lock_run(tmp_path) as lock:
        saver(tmp_path, lock).save(policy, optimizer, reference, state)
        fresh, empty, blank = trained(tiny, seed=3, steps=0)
        blank.known.clear()
        again = saver(tmp_path, lock, resume=True).restore(fresh, empty, blank)
    assert again == state and again.logs == dict.fromkeys(LOGS, 0)
    assert all(a.equal(b) for a, b in zip(policy.parameters(), fresh.parameters(), strict=True))
    for mine, theirs in zip(policy.parameters(), fresh.parameters(), strict=True):
        before, after = optimizer.state[mine], empty.state[theirs]
        assert before.keys() == after.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(before[key].equal(after[key]) and before[key].dtype == after[key].dtype for key in before)
    assert blank.known.keys() == reference.known.keys() and {part for part, _ in blank.known} == {"train", "held_out"}
    assert all(blank.known[key].equal(reference.known[key]) for key in blank.known)


def test_the_next_update_is_the_same_after_a_round_trip(tiny, tmp_path):
    policy, optimizer, reference = trained(tiny)
    with lock_run(tmp_path) as lock:
        saver(tmp_path, lock).save(policy, optimizer, reference, State(step=5))
        fresh, empty, blank = trained(tiny, seed=3, steps=0)
        saver(tmp_path, lock, resume=True).restore(fresh, empty, blank)
    for one, opt in ((policy, optimizer), (fresh, empty)):
        one(collate(tiny.groups(SHAPES, seed=8))).sum().backward()
        opt.step()
    assert all(a.equal(b) for a, b in zip(policy.parameters(), fresh.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapters_are_saved_without_the_frozen_weights(tiny, tmp_path):
    from safetensors.torch import load_file

    from preferably.models.adapters import add_adapters

    policy = Policy(tiny.build("llama"))
    add_adapters(policy, r=2, alpha=4, targets="all-linear")
    optimizer = adamw(policy, learning_rate=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    with lock_run(tmp_path) as lock:
        saver(tmp_path, lock).save(policy, optimizer, None, State(step=1))
        saver(tmp_path, lock, resume=True).restore(policy, optimizer, None)
    names = load_file(tmp_path / "checkpoints" / "step-00000001" / "weights.safetensors").keys()
    assert names and all("lora_" in name for name in names)


def test_without_resume_and_without_checkpoints_a_run_begins_anew(tiny, tmp_path):
    policy, optimizer, reference = trained(tiny, steps=1)
    before = [p.clone() for p in policy.parameters()]
    with lock_run(tmp_path) as lock:
        assert saver(tmp_path, lock, resume=True).restore(policy, optimizer, reference) == State()
        saver(tmp_path, lock).save(policy, optimizer, reference, State(step=5))
        assert saver(tmp_path, lock, resume=False).restore(policy, optimizer, reference) == State()
    assert all(a.equal(b) for a, b in zip(before, policy.parameters(), strict=True))


def test_a_broken_checkpoint_is_named_and_the_one_before_is_used(tiny, tmp_path):
    policy, optimizer, reference = trained(tiny, steps=1)
    told = []
    with lock_run(tmp_path) as lock:
        for step in (1, 2):
            saver(tmp_path, lock).save(policy, optimizer, reference, State(step=step))
        file = tmp_path / "checkpoints" / "step-00000002" / "weights.safetensors"
        data = bytearray(file.read_bytes())
        data[-3] ^= 1
        file.write_bytes(data)
        keep = saver(tmp_path, lock, resume=True, warn=lambda *words: told.append(words))
        assert keep.restore(policy, optimizer, reference).step == 1
    ((code, message, _),) = told
    assert (
        code == "checkpoint_refused"
        and message.startswith("step-00000002: ")
        and "SHA-256 differs" in message
        and message[-1] != "."
    )


def test_the_best_checkpoint_outlives_newer_ones_and_can_be_loaded(tiny, tmp_path):
    policy, optimizer, reference = trained(tiny, steps=1)
    state = State(best_step=1, best_loss=0.5)
    with lock_run(tmp_path) as lock:
        keeper = saver(tmp_path, lock, keep=2)
        for step in range(5):
            state.step = step
            with torch.no_grad():
                next(policy.parameters()).fill_(float(step))
            keeper.save(policy, optimizer, reference, state)
        names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
        assert names == ["step-00000001", "step-00000003", "step-00000004"]
        keeper.load_best(policy, state)
    assert next(policy.parameters()).eq(1.0).all()


def test_changed_circumstances_are_refused_by_name(tiny, tmp_path):
    policy, optimizer, reference = trained(tiny, steps=1)
    facts = {"settings": {"learning_rate": 1e-5, "seed": 1}, "data": "abc"}
    with lock_run(tmp_path) as lock:
        saver(tmp_path, lock, facts=facts).save(policy, optimizer, reference, State(step=1))
        before = [p.clone() for p in policy.parameters()]
        other = {"settings": {"learning_rate": 2e-5, "seed": 1, "clip": 1.0}, "data": "abc"}
        with pytest.raises(CheckpointError) as caught:
            saver(tmp_path, lock, resume=True, facts=other).restore(policy, optimizer, reference)
    said = str(caught.value)
    assert "settings.learning_rate: 1e-05 then, 2e-05 now" in said and "settings.clip: None then, 1.0 now" in said
    assert "seed" not in said and "data" not in said
    assert all(a.equal(b) for a, b in zip(before, policy.parameters(), strict=True))


def test_the_same_circumstances_are_not_refused(tmp_path):
    refuse_changes({"a": {"b": [1, 2]}, "c": None}, {"c": None, "a": {"b": [1, 2]}}, tmp_path)
    with pytest.raises(CheckpointError, match=r"a.b: \[1, 2\] then, \[2, 1\] now"):
        refuse_changes({"a": {"b": [1, 2]}}, {"a": {"b": [2, 1]}}, tmp_path)
