"""The loop: what a step is, what is refused, what is logged, when it ends."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file

from preferably.config import settings
from preferably.data.order import batch_indices
from preferably.errors import TrainingError
from preferably.training import offline as loop
from preferably.training.offline import total_steps


def same(a, b):
    return all(x.equal(y) for x, y in zip(a, b, strict=True))


def poisoned(monkeypatch, rows, value=math.nan):
    """Make the loss of every batch that holds one of `rows` not finite, with its gradient."""
    honest = loop.group_losses

    def spoil(policy, batch, *arguments):
        losses, metrics = honest(policy, batch, *arguments)
        bad = any(group.row in rows for group in batch.groups)
        return losses * (value if bad else 1.0), metrics

    monkeypatch.setattr(loop, "group_losses", spoil)


def rows_of(steps, batch_size=4, n=24, seed=0):
    return {row for step in steps for row in batch_indices(step - 1, batch_size, n, seed)}


# Steps that are not finite


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_is_not_applied(offline, monkeypatch, value):
    poisoned(monkeypatch, rows_of([3]), value)
    out = offline(save_every=1, keep=9)
    before, after = out.weights[2], out.weights[3]  # index 0 is step 0
    assert same(before, after) and not same(out.weights[1], before) and not same(after, out.weights[4])
    moments = [load_file(out.checkpoints / f"step-0000000{n}" / "optimizer.safetensors") for n in (2, 4)]
    counts = [{float(value) for key, value in each.items() if key.endswith("/step")} for each in moments]
    assert counts == [{2.0}, {3.0}]  # step 3 was no update
    assert not (out.checkpoints / "step-00000003").exists()  # nor a good checkpoint
    assert all(torch.isfinite(p).all() for p in out.policy.parameters())
    lines = {line["step"]: line for line in out.run.lines("metrics.jsonl")}
    assert "skipped" in lines[3] and [n for n, line in lines.items() if "skipped" in line] == [3]
    (warning,) = out.run.lines("warnings.jsonl")
    assert (warning["step"], warning["code"]) == (3, "not_finite")
    assert all(str(row) in warning["message"] for row in rows_of([3])) and warning["advice"]
    assert out.state.step == 6 and out.state.bad_steps == 0


def test_what_follows_a_skipped_step_is_as_if_its_gradient_had_never_been(offline, monkeypatch):
    """Accumulated NaN gradients must not leak into the next step."""
    poisoned(monkeypatch, rows_of([3]))
    out = offline(tokens_per_microbatch=10)
    assert all(math.isfinite(m["grad_norm"]) for m in out.metrics[4:])


def test_two_in_a_row_are_survived_and_the_count_begins_anew(offline, monkeypatch):
    poisoned(monkeypatch, rows_of([1, 2, 4, 5]))
    out = offline()
    assert out.state.step == 6 and [bool(m.get("skipped")) for m in out.metrics[1:]] == [1, 1, 0, 1, 1, 0]


def test_three_in_a_row_end_the_run_with_the_checkpoint_before_them(offline, monkeypatch):
    poisoned(monkeypatch, rows_of([3, 4, 5]))
    with pytest.raises(TrainingError, match="Steps 3 to 5 .* last good checkpoint is kept"):
        offline(save_every=1, keep=1)
    out = offline.last
    assert same(out.weights[2], out.policy.parameters())
    assert [line["step"] for line in out.run.lines("metrics.jsonl")] == [0, 1, 2, 3, 4, 5]
    saved = load_file(sorted(out.checkpoints.iterdir())[-1] / "weights.safetensors")
    assert all(saved[name].equal(p) for name, p in out.policy.named_parameters() if name in saved)
    assert all(torch.isfinite(value).all() for value in saved.values())


def test_bad_steps_are_counted_across_a_resume(offline, monkeypatch):
    poisoned(monkeypatch, rows_of([3, 4, 5]))
    out = offline(save_every=1, held_out=[], stop=lambda: len(offline.last.metrics) > 4)
    assert out.state.step == 4 and out.state.bad_steps == 2
    saved = json.loads((out.checkpoints / "step-00000004" / "state.json").read_text())
    assert saved["bad_steps"] == 2


# What is logged


def test_numbers_of_a_step(offline, gradients):
    out = offline(max_steps=3, learning_rate=1e-2, schedule="linear", warmup=1)
    lines = list(out.run.lines("metrics.jsonl"))
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    # linear from 0 to the peak in one step, then to 0 at step 3
    assert [line["learning_rate"] for line in lines[1:]] == pytest.approx([0.0, 1e-2, 5e-3])
    assert lines[1]["loss"] == pytest.approx(math.log(2), abs=1e-6)  # policy = reference
    assert lines[2]["loss"] == pytest.approx(math.log(2), abs=1e-6)  # the first update had rate 0
    assert lines[3]["loss"] != pytest.approx(math.log(2), abs=1e-4)
    assert [line["epoch"] for line in lines[1:]] == pytest.approx([4 / 24, 8 / 24, 12 / 24], abs=1e-6)
    sizes = [len(g.prompt) + sum(map(len, g.completions)) for g in out.groups]
    rows = [batch_indices(step, 4, 24, 0) for step in range(3)]
    totals = [sum(sizes[row] for row in chosen) for chosen in rows]
    assert [line["num_tokens"] for line in lines[1:]] == [totals[0], sum(totals[:2]), sum(totals)]
    for line, slopes in zip(lines[1:], gradients, strict=True):
        norm = math.sqrt(sum(float(slope.double().pow(2).sum()) for slope in slopes if slope is not None))
        assert line["grad_norm"] == pytest.approx(norm, rel=1e-5)
    assert [line["step"] for line in out.run.lines("timing.jsonl")] == [1, 2, 3]


def test_the_gradient_is_clipped_to_the_norm_asked_for(offline):
    """With plain numbers: Adam's first step is lr x sign, whatever the clip; its second moment is not."""
    moments = {}
    for clip in (1e-3, 1e9):
        out = offline(max_steps=1, clip=clip, name=f"clip-{clip}")
        saved = load_file(out.checkpoints / "step-00000001" / "optimizer.safetensors")
        moments[clip] = math.sqrt(
            sum(float(v.double().pow(2).sum()) for k, v in saved.items() if k.endswith("/exp_avg"))
        )
        norm = out.metrics[1]["grad_norm"]
        assert norm > 1e-3
        assert moments[clip] == pytest.approx(0.1 * min(clip, norm), rel=1e-3)


def test_evaluations_come_when_asked_and_at_both_ends(offline, tiny):
    held_out = tiny.groups([(3, [4, 5]), (2, [2, 6])], seed=5)
    out = offline(held_out=held_out, prompts=[[3, 4], [5]], eval_every=4, sample_tokens=4)
    seen = [line["step"] for line in out.run.lines("metrics.jsonl") if "eval_loss" in line]
    assert seen == [0, 4, 6]
    first = next(iter(out.run.lines("metrics.jsonl")))
    assert first["eval_loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert first["objective/kl"] == pytest.approx(0, abs=1e-4) and first["eval_rewards/accuracies"] == 0.5
    assert 1 <= first["samples/length"] <= 4
    last = list(out.run.lines("metrics.jsonl"))[-1]
    assert abs(last["objective/kl"]) > 1e-4


def test_held_out_numbers_do_not_depend_on_the_micro_batch(offline, tiny):
    held_out = tiny.groups([(3, [4, 5]), (2, [2, 6]), (7, [1, 1]), (2, [9, 3])], seed=5, masked=True)
    one, other = (
        offline(held_out=held_out, max_steps=2, tokens_per_microbatch=budget, name=f"b{budget}")
        for budget in (1, 10**6)
    )
    for a, b in zip(one.metrics[::2], other.metrics[::2], strict=False):
        assert a.keys() == b.keys()
        assert all(a[key] == pytest.approx(b[key], rel=1e-4, abs=1e-5) for key in a if key.startswith("eval_"))


# When it ends


@pytest.mark.parametrize(
    ("epochs", "max_steps", "batch_size", "rows", "expected"),
    [(1, None, 32, 100, 4), (1, None, 32, 96, 3), (2.5, None, 10, 100, 25), (0.1, None, 32, 100, 1), (1, 7, 32, 100, 7),
     (0.001, None, 32, 100, 1)],
)  # fmt: skip
def test_steps_of_a_run(epochs, max_steps, batch_size, rows, expected):
    given = {"epochs": epochs, "max_steps": max_steps, "batch_size": batch_size}
    made = settings({"method": "sft", "model": "m", "output": "o"} | given)
    assert total_steps(made, rows) == expected


def test_every_group_is_learnt_once_an_epoch_and_the_last_batch_is_cut(offline, monkeypatch):
    seen = []
    honest = loop.collate
    monkeypatch.setattr(loop, "collate", lambda groups: (seen.extend(g.row for g in groups), honest(groups))[1])
    out = offline(epochs=2, batch_size=7)
    assert out.state.step == 7  # 48 groups in sevens
    assert sorted(seen[:24]) == sorted(seen[24:]) == list(range(24)) and seen[:24] != seen[24:]


def test_a_run_of_less_than_one_group_still_learns_from_one(offline):
    out = offline(epochs=0.01, batch_size=4)
    assert out.state.step == 1 and out.metrics[1]["num_tokens"] > 0 and out.metrics[1]["grad_norm"] > 0


def test_patience_ends_a_run_whose_held_out_loss_does_not_fall(offline, tiny):
    held_out = tiny.groups([(3, [4, 5]), (2, [2, 6])], seed=5)
    flipped = [type(g)(g.prompt, g.completions[::-1], g.train[::-1], g.row) for g in held_out]
    out = offline(groups=held_out * 8, held_out=flipped, eval_every=1, patience=2, epochs=3)
    # the opposite of what is learnt: the first evaluation is the best, two more end it
    assert out.state.step == 3 and out.state.best_step == 1 and "2 evaluations" in out.state.reason


def test_a_stop_that_is_asked_for_ends_before_the_next_forward_pass_with_a_checkpoint(offline):
    out = offline(save_every=100, stop=lambda: len(offline.last.metrics) > 2)
    assert out.state.step == 2 and out.state.reason == "asked to stop"
    assert [path.name for path in sorted(out.checkpoints.iterdir())] == ["step-00000000", "step-00000002"]
    assert not out.policy.inner.model._forward_pre_hooks and all(p.grad is None for p in out.policy.parameters())


def test_a_step_that_is_stopped_in_the_middle_has_not_been(offline, monkeypatch):
    whole = offline(tokens_per_microbatch=10, name="whole")
    passes = []
    honest = loop.group_losses
    monkeypatch.setattr(loop, "group_losses", lambda *a: (passes.append(1), honest(*a))[1])
    stopped = offline(tokens_per_microbatch=10, save_every=100, stop=lambda: len(passes) > 13)
    assert stopped.state.reason and 0 < stopped.state.step < 6 and stopped.state.line is None
    assert same(stopped.policy.parameters(), whole.weights[stopped.state.step])
    monkeypatch.setattr(loop, "group_losses", honest)
    resumed = offline(tokens_per_microbatch=10, save_every=100, resume=True)
    assert same(resumed.policy.parameters(), whole.policy.parameters())
    assert list(resumed.run.lines("metrics.jsonl")) == list(whole.run.lines("metrics.jsonl"))


@pytest.mark.parametrize("at", [0, 4])
def test_an_evaluation_that_is_stopped_is_made_when_the_run_goes_on(offline, tiny, at):
    more = {"held_out": tiny.groups([(3, [4, 5]), (2, [2, 6])], seed=5), "prompts": [[3, 4], [5]], "eval_every": 4,
            "sample_tokens": 4}  # fmt: skip
    whole = offline(name="whole", **more)
    passes = []

    def stop():  # after a few passes of the evaluation of step `at`
        passes.extend([1] * (len(offline.last.metrics) == at))
        return len(passes) > 3

    stopped = offline(stop=stop, **more)
    assert stopped.state.step == at and stopped.state.line["step"] == at and stopped.state.reason
    assert [line["step"] for line in stopped.run.lines("metrics.jsonl")] == list(range(at))
    resumed = offline(resume=True, **more)
    assert list(resumed.run.lines("metrics.jsonl")) == list(whole.run.lines("metrics.jsonl"))
    assert list(resumed.run.lines("warnings.jsonl")) == list(whole.run.lines("warnings.jsonl"))
    assert same(resumed.policy.parameters(), whole.policy.parameters()) and resumed.state.start == whole.state.start
