"""The gradient of a step is that of its groups, however they are cut, and that of the formula."""

import math
from dataclasses import replace

import pytest
import torch

from preferably.data.order import batch_indices

BUDGETS = [1, 64, 10**6]


def norm(tensors):
    return math.sqrt(sum(float(t.double().pow(2).sum()) for t in tensors))


def by_formula(tiny, method, groups, beta=0.1):
    """The loss of the step and its gradient, from the plain model and the definition: no code of src but the data."""
    policy, reference = (tiny.build("llama", attention="eager", seed=seed) for seed in (0, 1))
    loss, baseline = 0.0, 0.0
    if method == "kto":  # of each prompt with the completion of the group before it
        with torch.no_grad():
            for group, other in zip(groups, [groups[-1], *groups[:-1]], strict=True):
                crossed = replace(group, completions=other.completions)
                ratio = tiny.plain_logps(policy, crossed) - tiny.plain_logps(reference, crossed)
                baseline += float(ratio[torch.from_numpy(other.train[0])].sum()) / len(groups)
        baseline = max(0.0, baseline)
    tokens = sum(int(mask.sum()) for group in groups for mask in group.train)
    for group in groups:
        sizes = [len(c) for c in group.completions]
        masks = [torch.from_numpy(mask) for mask in group.train]
        ours = [part[mask] for part, mask in zip(tiny.plain_logps(policy, group).split(sizes), masks, strict=True)]
        if method == "sft":
            loss = loss - sum(part.sum() for part in ours) / tokens
            continue
        with torch.no_grad():
            parts = tiny.plain_logps(reference, group).split(sizes)
            theirs = [part[mask] for part, mask in zip(parts, masks, strict=True)]
        if method == "kto":
            gain = ours[0].sum() - theirs[0].sum() - baseline
            loss = loss + (1 - torch.sigmoid(beta * (gain if group.label else -gain))) / len(groups)
            continue
        if method == "dpo":
            ratios = [a.sum() - b.sum() for a, b in zip(ours, theirs, strict=True)]
            loss = loss + torch.log1p(torch.exp(-beta * (ratios[0] - ratios[1]))) / len(groups)
        else:
            ratios = [a.mean() - b.mean() for a, b in zip(ours, theirs, strict=True)]
            loss = loss + (ratios[0] - ratios[1] - 1 / (2 * beta)) ** 2 / len(groups)
    loss.backward()
    return float(loss.detach()), [p.grad for p in policy.parameters()]


@pytest.mark.parametrize("method", ["sft", "dpo", "ipo", "kto"])
def test_gradients_do_not_depend_on_the_micro_batch_and_are_those_of_the_formula(tiny, offline, gradients, method):
    outs = [
        offline(method, max_steps=1, batch_size=12, tokens_per_microbatch=budget, name=f"b{budget}", reference_seed=1)
        for budget in BUDGETS
    ]
    cut, some, whole = gradients
    for other in (cut, some):
        assert norm([a - b for a, b in zip(other, whole, strict=True)]) <= 1e-6 * norm(whole)
    chosen = [outs[0].groups[row] for row in batch_indices(0, 12, 24, 0)]
    loss, expected = by_formula(tiny, method, chosen)
    assert norm([a - b for a, b in zip(whole, expected, strict=True)]) <= 1e-5 * norm(expected)
    assert all(out.metrics[1]["loss"] == pytest.approx(loss, rel=1e-5) for out in outs)


def test_the_mean_of_means_would_be_noticed(tiny, offline, gradients):
    """What averaging micro-batches would give differs a thousand times more than what is allowed above."""
    out = offline("sft", max_steps=1, batch_size=12)
    chosen = [out.groups[row] for row in batch_indices(0, 12, 24, 0)]
    halves = [by_formula(tiny, "sft", part)[1] for part in (chosen[:2], chosen[2:])]
    means = [(a + b) / 2 for a, b in zip(*halves, strict=True)]
    (whole,) = gradients
    assert norm([a - b for a, b in zip(means, whole, strict=True)]) > 1e-2 * norm(whole)


@pytest.mark.parametrize("method", ["sft", "dpo", "kto", "orpo"])
def test_whole_runs_agree_for_any_micro_batch(offline, method):
    curves = [
        [m["loss"] for m in offline(method, epochs=2, tokens_per_microbatch=budget, name=f"b{budget}").metrics[1:]]
        for budget in BUDGETS
    ]
    assert len(curves[0]) == 12 and max(curves[0]) - min(curves[0]) > 0.01
    assert curves[0] == pytest.approx(curves[2], abs=1e-4) and curves[1] == pytest.approx(curves[2], abs=1e-4)


def test_packed_and_padded_runs_agree(offline, monkeypatch):
    from preferably.models.policy import Policy

    packed = offline(epochs=2, name="packed")
    monkeypatch.setattr(Policy, "_packed", Policy._padded)
    padded = offline(epochs=2, name="padded")
    assert [m["loss"] for m in packed.metrics[1:]] == pytest.approx([m["loss"] for m in padded.metrics[1:]], abs=1e-4)
