"""The one forward against the model's own: each completion alone, unpadded, eager attention, float64 log-softmax."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from preferably.batches.group import collate
from preferably.batches.plan import Plan, strip_of
from preferably.models import attention
from preferably.models.policy import Policy
from preferably.models.selfcheck import check_packing

KINDS = ["llama", "llama-mha", "qwen3", "gemma3", "gpt2", "gpt-neox"]
# K = 1, 2, 3; prompts and completions of one token; the sliding window of gemma3 is 8, so some are longer than it.
SHAPES = [(5, [4, 7]), (1, [1, 3]), (12, [9]), (3, [10, 12, 1]), (1, [1]), (20, [2, 15]), (2, [1, 1, 1])]


@pytest.fixture(scope="module", params=KINDS)
def twins(request, tiny):
    """(ours, the same weights behind transformers' eager attention)."""
    ours = tiny.build(request.param)
    plain = tiny.build(request.param, attention="eager")
    assert all(a.equal(b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True))
    return ours, plain


@torch.no_grad()
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_log_probs_are_those_of_the_plain_model(tiny, twins, packed):
    ours, plain = twins
    groups = tiny.groups(SHAPES)
    batch = collate(groups)
    got = Policy(ours, packed=packed)(batch)
    expected = torch.cat([tiny.plain_logps(plain, group) for group in groups])
    assert got.dtype == torch.float32 and got.shape == batch.target.shape
    assert expected.std() > 0.5  # not a model that says the same of every token
    assert (got - expected).abs().max() < 1e-5
    assert batch.plan.calls == (ours.config.num_hidden_layers if packed else 0)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_gradients_are_those_of_the_plain_model(tiny, twins, packed):
    ours, plain = twins
    groups = tiny.groups(SHAPES)
    torch.manual_seed(1)
    weights = torch.randn(sum(sum(map(len, group.completions)) for group in groups), dtype=torch.float64)
    ours.zero_grad()
    plain.zero_grad()
    (Policy(ours, packed=packed)(collate(groups)) * weights.float()).sum().backward()
    (torch.cat([tiny.plain_logps(plain, group) for group in groups]) * weights).sum().backward()
    for (name, a), b in zip(ours.named_parameters(), plain.parameters(), strict=True):
        if a.grad is None:
            assert b.grad is None, name
            continue
        assert float((a.grad - b.grad).norm()) <= 1e-5 * float(b.grad.norm()) + 1e-6, name


@torch.no_grad()
def test_a_group_does_not_see_the_others(tiny, twins):
    policy = Policy(twins[0])
    groups = tiny.groups(SHAPES)
    together = policy(collate(groups))
    alone = torch.cat([policy(collate([group])) for group in groups])
    turned = policy(collate(groups[::-1]))
    sizes = [sum(map(len, group.completions)) for group in groups]
    assert (together - alone).abs().max() < 1e-5
    assert (together - torch.cat(turned.split(sizes[::-1])[::-1])).abs().max() < 1e-5


@torch.no_grad()
def test_a_completion_does_not_see_its_siblings(tiny, twins):
    policy = Policy(twins[0])
    (group,) = tiny.groups([(6, [5, 9])])
    (other,) = tiny.groups([(6, [5, 9])], seed=7)
    changed = replace(group, completions=(group.completions[0], other.completions[1]))
    a, b = policy(collate([group])), policy(collate([changed]))
    assert (a[:5] - b[:5]).abs().max() < 1e-5 and (a[5:] - b[5:]).abs().max() > 0.1


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_bfloat16_errs_no_more_than_plain_autocast(tiny, twins, packed):
    ours, plain = twins
    groups = tiny.groups(SHAPES, seed=2)
    with torch.no_grad():
        exact = torch.cat([tiny.plain_logps(plain, group) for group in groups])
        with torch.autocast("cpu", torch.bfloat16):
            rough = torch.cat([tiny.plain_logps(plain, group) for group in groups])
    policy = Policy(ours, compute=torch.bfloat16, packed=packed)
    ours.zero_grad()
    got = policy(collate(groups))
    got.sum().backward()
    assert got.dtype == torch.float32
    assert all(p.grad is None or (p.grad.dtype == torch.float32 and p.grad.isfinite().all()) for p in ours.parameters())
    error, usual = (got.double() - exact).norm(), (rough - exact).norm()
    assert 0 < error <= 1.5 * usual  # more than nothing: it did compute in bfloat16
    assert (got - exact).abs().max() < 0.3


@torch.no_grad()
def test_the_window_of_the_layers_is_obeyed(tiny):
    """Were the sliding layers of gemma3 to see everything, the numbers would differ: the test above has teeth."""
    windowed, open_ = tiny.build("gemma3"), tiny.build("gemma3")
    for module in open_.modules():
        if getattr(module, "sliding_window", None) is not None:
            module.sliding_window = None
    groups = tiny.groups([(20, [15, 9])])
    assert (Policy(windowed)(collate(groups)) - Policy(open_)(collate(groups))).abs().max() > 1e-2


def by_a_loop(query, key, value, query_ends, key_ends, most_queries, most_keys, *, scale, window_size, after=False):
    """What the GPU's kernel for rows of any length does: one row after the other, the last query at the last key."""
    spans = [list(pairwise(ends.tolist())) for ends in (query_ends, key_ends)]
    outputs = []
    for (q0, q1), (k0, k1) in zip(*spans, strict=True):
        k, v = (x[k0:k1].repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
        back = torch.arange(q1 - q0)[:, None] + (k1 - k0) - (q1 - q0) - torch.arange(k1 - k0)  # how far back a key is
        seen = ((back >= 0) | after) & ((back <= window_size[0]) | (window_size[0] < 0))
        scores = torch.einsum("qhd,khd->hqk", query[q0:q1], k) * (scale or query.shape[-1] ** -0.5)
        outputs.append(torch.einsum("hqk,khd->qhd", scores.masked_fill(~seen, -torch.inf).softmax(-1), v))
    return torch.cat(outputs)


def test_all_branches_in_one_call_give_the_same(tiny, twins, monkeypatch):
    ours, _ = twins
    monkeypatch.setattr(attention, "_any_length", lambda rows: True)
    monkeypatch.setattr(attention, "_kernel", lambda: by_a_loop)
    results = []
    for strips in (False, True):
        batch = collate(tiny.groups(SHAPES))
        batch.plan.strip = strip_of(batch.plan.branches, torch.device("cpu")) if strips else None
        monkeypatch.setattr(Plan, "to", lambda plan, device: plan)
        logps = Policy(ours)(batch)
        ours.zero_grad()
        logps.sum().backward()
        results.append((logps.detach(), torch.cat([p.grad.flatten() for p in ours.parameters() if p.grad is not None])))
    (logps, slopes), (expected, wanted) = results
    assert (logps - expected).abs().max() < 1e-5
    assert float((slopes - wanted).norm()) <= 1e-5 * float(wanted.norm())


@pytest.mark.parametrize("fault", ["none", "sees what comes after", "learns nothing of keys", "does not run"])
def test_one_call_is_held_against_many_before_it_is_used(tiny, monkeypatch, fault):
    def kernel(query, key, value, *rest, window_size, **how):
        if fault == "does not run":
            raise RuntimeError("no kernel for sm_70")
        key = key.detach() if fault == "learns nothing of keys" else key
        after = fault == "sees what comes after"
        return by_a_loop(query, key, value, *rest, window_size=window_size, after=after, **how)

    monkeypatch.setattr(attention, "_any_length", lambda rows: rows[0].dtype == torch.bfloat16)
    monkeypatch.setattr(attention, "_kernel", lambda: kernel)
    monkeypatch.setattr(Plan, "to", lambda plan, device: replace(plan, strip=strip_of(plan.branches, device)))
    policy = Policy(tiny.build("llama"), compute=torch.bfloat16)
    found = check_packing(policy, tiny.groups(SHAPES))
    assert found.packed and policy.compute == torch.bfloat16
    assert policy.strips == (fault == "none") == (found.note is None)
    if fault == "does not run":
        assert "no kernel for sm_70" in found.note
    assert all(parameter.grad is None for parameter in policy.parameters())
