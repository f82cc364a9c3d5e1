"""The same code on a GPU: the forward, both loops and the sampler give what they give on the processor."""

import json

import pytest
import torch
from safetensors.torch import load_file

import preferably
from preferably.batches.group import collate
from preferably.feedback.records import Completion, Group, Message
from preferably.models import attention
from preferably.models.loading import load
from preferably.models.policy import Policy
from preferably.models.sampler import Decoding
from preferably.models.selfcheck import check_packing
from preferably.training.rollouts import Engine

DEVICE = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU for CUDA")

SHAPES = [(5, [4, 7]), (1, [1, 3]), (12, [9]), (3, [10, 12, 1]), (1, [1]), (20, [2, 15]), (2, [1, 1, 1])]
QUIET = {"sample_prompts": 0, "held_out": 0, "dtype": "float32", "learning_rate": 1e-3, "seed": 0}


@pytest.mark.parametrize("kind", ["llama", "llama-mha", "qwen3", "gemma3", "gpt2", "gpt-neox"])
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_log_probs_and_gradients_are_those_of_the_processor(tiny, kind, packed):
    there = tiny.build(kind)
    here = tiny.build(kind)
    groups = tiny.groups(SHAPES)
    outcomes = []
    for model, device in ((there.cuda(), "cuda"), (here, "cpu")):
        logps = Policy(model, packed=packed)(collate(groups))
        assert logps.device.type == device and logps.dtype == torch.float32
        logps.sum().backward()
        outcomes.append((logps.detach().cpu(), [p.grad.cpu() for p in model.parameters() if p.grad is not None]))
    (logps, gradients), (expected, wanted) = outcomes
    assert (logps - expected).abs().max() < 1e-4
    assert len(gradients) == len(wanted)
    for one, other in zip(gradients, wanted, strict=True):
        assert float((one - other).norm()) <= 1e-3 * float(other.norm()) + 1e-5


def test_in_bfloat16_the_packed_forward_stays_near_float32(tiny):
    groups = tiny.groups(SHAPES)
    model = tiny.build("llama").cuda()
    exact = Policy(model)(collate(groups))
    rounded = Policy(model, compute=torch.bfloat16)(collate(groups))
    assert rounded.dtype == torch.float32 and 0 < float((rounded - exact).detach().abs().max()) < 0.2


def test_two_sums_of_a_long_completion_are_one(tiny):
    """A float32 that many threads add to in any order is off by some thousandths of a nat at 6,000."""
    batch = collate(tiny.groups([(4, [500, 400])])).to(torch.device("cuda"))
    logps = -12 + torch.randn(900, generator=torch.Generator().manual_seed(0)).cuda()
    exact = torch.stack([part.double().sum() for part in logps.split([500, 400])]).float()
    for _ in range(20):
        assert torch.equal(batch.sums(logps), exact)


def pairs_of(count=24):
    return [
        Group(
            (Message("text", f"q{i} "),),
            tuple(Completion((Message("text", text),)) for text in ("a" * (1 + i % 3), "b" * (1 + i % 4))),
        )
        for i in range(count)
    ]


def losses_of(run):
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture
def model(tiny, tmp_path):
    return str(tiny.write_model(tmp_path / "tiny", std=0.1))


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_training_takes_the_course_that_it_takes_on_the_processor(model, tmp_path, method):
    courses = {}
    for device in ("cuda", "cpu"):
        how = {"batch_size": 4, "epochs": 2, "device": device, **QUIET}
        run = preferably.train(method, model=model, data=pairs_of(), output=tmp_path / device, **how)
        courses[device] = losses_of(run)
        assert json.loads((run.path / "environment.json").read_text())["packed"]
    assert len(courses["cuda"]) >= 12
    assert courses["cuda"] == pytest.approx(courses["cpu"], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("method", ["ppo", "grpo", "rloo"])
def test_the_online_loop_learns_what_is_paid_for(model, tmp_path, method):
    pays = "def b(prompts, completions):\n    return [t.count('b') / 12 for t in completions]\n"
    (tmp_path / "pays.py").write_text(pays)
    prompts = [Group((Message("text", f"q{i} "),)) for i in range(64)]
    how = {"batch_size": 8, "sample_tokens": 12, "epochs": 5, "device": DEVICE, "missing_eos_penalty": 0.0}
    run = preferably.train(
        method, model=model, data=prompts, output=tmp_path / "out", reward=f"{tmp_path / 'pays.py'}:b",
        **QUIET | how | {"learning_rate": 1e-2, "kl_coef": 0.0},
    )  # fmt: skip
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    scores = [line["objective/scores"] for line in lines if "objective/scores" in line]
    print([round(score, 3) for score in scores])
    assert sum(scores[-5:]) > 2 * sum(scores[:5]) + 0.1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_sampler_draws_what_the_processor_draws(model, tiny, dtype):
    drawn = {}
    for device in ("cuda", "cpu"):
        policy = load(model, device=device, dtype=dtype).policy
        greedy, warm = (
            Engine(policy, tiny.tokenizer(), Decoding(heat, max_tokens=12), samples=3, stop_ids={1})
            for heat in (0.0, 1.0)
        )
        asked = [list(range(3, 6 + row)) for row in range(6)]
        few = greedy.draw(range(6), asked, seed=3, version=0)
        drawn[device] = [one.tokens for rollout in few for one in rollout.samples]
        again = [warm.draw(range(6), asked, seed=3, version=0) for _ in range(2)]
        first, second = ([one.tokens for rollout in part for one in rollout.samples] for part in again)
        assert first == second and len({tuple(tokens) for tokens in first}) > 6  # a seed is a draw, also here
    if dtype == "float32":  # rounding of bfloat16 is another on each device, and picks other words
        assert drawn["cuda"] == drawn["cpu"]


def test_two_runs_end_at_the_same_weights(model, tmp_path):
    """Near each other is what is promised on a GPU: sums there have no fixed order."""
    ends = []
    for name in ("one", "other"):
        how = {"model": model, "data": pairs_of(), "batch_size": 4, "device": "cuda", **QUIET}
        run = preferably.train("dpo", output=tmp_path / name, epochs=2, **how)
        ends.append(load_file(run.path / "model" / "model.safetensors"))
    apart = max(float((ends[0][name] - ends[1][name]).abs().max()) for name in ends[0])
    print(f"largest difference of a weight between two runs: {apart:.3g}")
    assert apart < 1e-3


@pytest.mark.parametrize("kind", ["llama", "llama-mha", "qwen3", "gemma3"])
def test_in_half_precision_all_branches_are_attended_in_one_call(tiny, kind, monkeypatch):
    """It rounds as the calls branch by branch do: near float32, and its gradients near theirs."""
    model = tiny.build(kind).cuda()
    exact = Policy(model)(collate(tiny.groups(SHAPES))).detach()
    calls, real = [], attention._kernel()
    monkeypatch.setattr(attention, "_kernel", lambda: lambda *a, **k: calls.append(1) or real(*a, **k))
    off, slopes = {}, {}
    for strips in (True, False):
        policy = Policy(model, compute=torch.bfloat16)
        policy.strips = strips
        logps = policy(collate(tiny.groups(SHAPES)))
        policy.zero_grad()
        logps.sum().backward()
        off[strips] = float((logps.detach() - exact).abs().mean())
        slopes[strips] = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert len(calls) == model.config.num_hidden_layers
    assert 0 < off[True] <= 2 * off[False] + 1e-3
    assert float((slopes[True] - slopes[False]).norm()) <= 0.05 * float(slopes[False].norm())


def test_a_kernel_that_errs_is_not_used(tiny, monkeypatch):
    """A run looks before it trusts it: here queries see keys that come after them."""
    real = attention._kernel()
    monkeypatch.setattr(attention, "_kernel", lambda: lambda *a, **k: real(*a, **k | {"window_size": (-1, -1)}))
    policy = Policy(tiny.build("llama").cuda(), compute=torch.bfloat16)
    found = check_packing(policy, tiny.groups(SHAPES))
    assert found.packed and "one call is off by" in found.note and not policy.strips
    monkeypatch.undo()
    policy = Policy(tiny.build("llama").cuda(), compute=torch.bfloat16)
    found = check_packing(policy, tiny.groups(SHAPES))
    assert found.packed and found.note is None and policy.strips
