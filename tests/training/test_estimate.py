"""Estimates before a run: arithmetic by hand, rehearsal against the real thing, refusals with what fits."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import preferably
from preferably.batches.group import collate
from preferably.batches.packing import packed_size, split_by_tokens
from preferably.config import settings
from preferably.data.order import batch_indices
from preferably.errors import ConfigError
from preferably.models.adapters import add_adapters
from preferably.models.loading import hollow, load, save
from preferably.models.policy import Policy
from preferably.training.estimate import Memory, estimate, memory_of
from preferably.training.offline import TrainData
from preferably.training.rehearsal import Ledger, Rehearsal, rehearse
from preferably.training.rough import PROCESS, rough_size
from preferably.training.run import train
from preferably.training.steps import group_losses
from preferably.training.workload import completion_tokens, count_work

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def made(**more):
    return settings({"method": "dpo", "model": "m", "output": "o", "batch_size": 4, "device": "cpu"} | more)


def work_of(groups, chosen, held_out=(), prompts=()):
    return count_work(chosen, TrainData(groups, list(held_out), list(prompts)), 128)


SHAPES = [(3, [4, 5]), (10, [6, 2]), (1, [1, 20]), (2, [2, 2]), (7, [3, 3]), (4, [9, 8])]  # 12 18 22 6 13 21 tokens


# What is counted


def test_a_run_is_counted_as_the_loop_goes(tiny):
    groups = tiny.groups(SHAPES)
    chosen = made(epochs=1.5, tokens_per_microbatch=40, eval_every=2, save_every=1, sample_tokens=5)
    work = work_of(groups, chosen, tiny.groups([(5, [5, 5]), (6, [1, 2])]), [[3, 4, 5], [6] * 120])
    rows = [i for step in range(3) for i in batch_indices(step, 4, 6, 0)][:9]  # 1.5 epochs of 6
    assert (work.steps, work.groups) == (3, 9)
    assert work.tokens == sum(packed_size(groups[i]) for i in rows)
    assert work.first_tokens == round(work.tokens * 6 / 9)
    cuts = [split_by_tokens([groups[i] for i in part], 40) for part in (rows[:4], rows[4:8], rows[8:])]
    assert work.microbatches == sum(map(len, cuts)) and work.accumulates
    micros = [micro for cut in cuts for micro in cut]
    assert work.largest_tokens == max(sum(map(packed_size, micro)) for micro in micros)
    assert max(map(completion_tokens, work.largest)) == max(map(completion_tokens, micros))
    assert (work.evaluations, work.checkpoints) == (3, 4)  # at 0, 2, 3 and at 0, 1, 2, 3
    assert work.held_out_tokens == 15 + 9
    assert (work.prompts, work.longest_prompt, work.sampled_tokens) == (2, 120, 3 + 5 + 120 + 5)


def test_a_long_run_is_counted_by_its_beginning(tiny, monkeypatch):
    from preferably.training import workload

    groups = tiny.groups([(5, [3, 4])] * 8)  # 12 tokens each
    monkeypatch.setattr(workload, "COUNTED", 10)
    work = work_of(groups, made(max_steps=1000, tokens_per_microbatch=24))
    assert (work.groups, work.tokens, work.microbatches) == (4000, 48000, 2000)


# What is held


def test_the_parts_by_hand():
    """1,000 weights of which 10 are trained; activations and the rest are given. 4 bytes each, 8 for two moments."""
    step = {"gradients": 40, "logits": 5, "activations": 7}
    found = Rehearsal(1000, 10, 4000, 40, step, small=12, evaluation=100, sampling=90, check=80)
    adapters = memory_of(made(lora=True), found, 0)
    assert adapters.phases == {
        "the self-check": 4080, "sampling": 4170, "an evaluation": 4180, "a training step": 4132,
        "saving the model": 8000,
    }  # fmt: skip
    assert (adapters.phase, adapters.parts, adapters.peak) == ("saving the model", {"weights": 8000}, 8000)
    step = {"gradients": 4000, "logits": 5, "activations": 7}
    found = Rehearsal(1000, 1000, 4000, 4000, step, small=1000, evaluation=100, sampling=90, check=80)
    full = memory_of(made(), found, 0)
    parts = {"weights": 4000, "reference": 4000, "moments": 8000, "gradients": 4000, "logits": 5, "activations": 7}
    assert (full.phase, full.parts, full.peak) == ("a training step", parts, 20012)
    assert memory_of(made(method="sft"), found, 0).parts == {k: v for k, v in parts.items() if k != "reference"}
    large = replace(found, step={"gradients": 4000, "logits": 10**9, "activations": 7}, small=10**9)
    on_the_processor = memory_of(made(), large, 10**9)
    assert on_the_processor.parts["the rest"] > 10**9 and on_the_processor.parts["holes in the heap"] == 350_000_000
    assert on_the_processor.peak == sum(on_the_processor.parts.values())
    assert isinstance(full, Memory) and "a training step" in str(full)


def test_weights_are_counted_without_being_there():
    """Llama by hand: embedding 32 x 8, q and o 8 x 8, k and v 8 x 4, MLP 3 x 8 x 16, norms 3 x 8, head 32 x 8."""
    config = LlamaConfig(
        vocab_size=32, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=False, max_position_embeddings=64,
    )  # fmt: skip
    count = 256 + 2 * 64 + 2 * 32 + 384 + 24 + 256
    assert sum(p.numel() for p in hollow(config).parameters()) == count
    config.tie_word_embeddings = True
    assert sum(p.numel() for p in hollow(config).parameters()) == count - 256


@pytest.mark.parametrize("lora", [False, True])
def test_a_rehearsal_counts_what_is_trained(tiny, lora):
    """Adapters of rank 4 by hand: on each of a layer's matrices [n, m] 4 (n + m) weights."""
    groups = tiny.groups(SHAPES)
    chosen = made(lora=lora, **({"lora_r": 4} if lora else {}))
    found = rehearse(tiny.build("llama").config, chosen, work_of(groups, chosen), compute=torch.float32, packed=True)
    layer = [(32, 32), (32, 16), (32, 16), (32, 32), (32, 48), (32, 48), (48, 32)]
    base = 2 * (sum(n * m for n, m in layer) + 64) + 32 + 2 * 103 * 32
    adapters = 2 * sum(4 * (n + m) for n, m in layer)
    assert found.parameters == base + (adapters if lora else 0)
    assert found.trained == (adapters if lora else base)
    assert (found.weights, found.gradients) == (4 * found.parameters, 4 * found.trained)


def test_a_ledger_by_hand():
    """x [10, 10] was there. relu makes 400 bytes, a view none; exp makes 400 more while both are alive."""
    x = torch.ones(10, 10)
    with Ledger(words=7) as ledger:
        ledger.known(x)
        x.t()
        y = x.relu()
        assert ledger.alive == {"gradients": 0, "logits": 0, "activations": 400}
        y = y.exp()
        assert ledger.alive["activations"] == 400 and ledger.most["activations"] == 800
        del y
        wide = torch.zeros(100, 7)
        assert ledger.alive == {"gradients": 0, "logits": 2800, "activations": 0} == ledger.most
        assert wide.numel() == 700 and ledger.small == ledger.most_small == 2800
        large = torch.zeros(32 << 18)
        assert ledger.small == 2800 and sum(ledger.alive.values()) == 2800 + large.nbytes


CASES = [
    ("llama", "kto", False, "float32"), ("llama", "dpo", False, "float32"), ("llama", "dpo", False, "bfloat16"),
    ("llama", "sft", True, "float32"), ("gpt2", "dpo", False, "float32"), ("gemma3", "ipo", True, "bfloat16"),
    ("qwen3", "dpo", True, "float32"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "method", "lora", "dtype"), CASES)
@pytest.mark.parametrize("accumulates", [False, True])
def test_what_is_rehearsed_is_what_happens(tiny, kind, method, lora, dtype, accumulates):
    """The same ledger on real tensors, in a real step of the real model, counts the same bytes."""
    pairs = method not in ("sft", "kto")
    groups = tiny.groups(SHAPES if pairs else [(p, c[:1]) for p, c in SHAPES])
    if method == "kto":
        groups = [replace(group, label=number % 2 == 0) for number, group in enumerate(groups)]
    chosen = made(method=method, lora=lora, tokens_per_microbatch=40 if accumulates else 1000, batch_size=6)
    work = work_of(groups, chosen)
    assert work.accumulates == accumulates
    compute = getattr(torch, dtype)
    config = tiny.build(kind).config
    found = rehearse(config, chosen, work, compute=compute, packed=True)
    policy = Policy(tiny.build(kind), compute=compute)
    if lora:
        add_adapters(policy, r=16, alpha=32.0, targets="all-linear")
    trained = [p for p in policy.parameters() if p.requires_grad]
    seen = []
    for micro in work.largest:
        batch = collate(micro)
        with Ledger(config.get_text_config().vocab_size) as ledger:
            for tensor in (*policy.parameters(), *policy.buffers()):
                ledger.known(tensor)
            if accumulates:
                for parameter in trained:
                    parameter.grad = torch.zeros_like(parameter)
            known = torch.zeros(batch.completions)
            baseline = 0.0 if method == "kto" else None
            losses, _ = group_losses(policy, batch, known, chosen.row, chosen.hyperparameters, baseline)
            losses.sum().backward()
            seen.append(sum(ledger.most.values()))
        policy.zero_grad()
    assert sum(found.step.values()) == pytest.approx(max(seen), rel=0.01)
    if accumulates:
        assert found.step["gradients"] >= found.gradients


def test_activations_grow_with_the_tokens_and_logits_with_the_words(tiny):
    one, four = tiny.groups([(20, [30, 30])]), tiny.groups([(20, [30, 30])] * 4)
    found = [
        rehearse(tiny.build("llama").config, chosen, work_of(groups, chosen), compute=torch.float32, packed=True)
        for groups, chosen in ((one, made(batch_size=1)), (four, made(batch_size=4)))
    ]
    assert found[1].step["activations"] == pytest.approx(4 * found[0].step["activations"], rel=0.1)
    # The softmax that is kept for the backward pass: 60 completion tokens x 103 words x 4 bytes, and what makes it.
    kept = 60 * 103 * 4
    assert kept <= found[0].step["logits"] <= 4 * kept


# What is refused


@pytest.fixture
def given(tiny, tmp_path):
    rows = [
        {"prompt": f"q{i:02d}", "chosen": "abcdefghijkl"[i % 9 :], "rejected": "?" * (1 + i % 3)} for i in range(40)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "model": str(tiny.write_model(tmp_path / "model")), "data": str(tmp_path / "pairs.jsonl"),
        "output": str(tmp_path / "run"), "held_out": 6, "batch_size": 32, "sample_prompts": 3, "sample_tokens": 4,
        "device": "cpu",
    }  # fmt: skip


def files(folder):
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_run_that_would_not_fit_is_refused_before_it_begins(given, tmp_path):
    with pytest.raises(ConfigError, match="estimated to hold .* and it may hold 0.01 GB") as caught:
        preferably.train("dpo", memory_limit=0.01, **given)
    assert "give it more" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "metrics.jsonl").exists() and not (tmp_path / "run" / "checkpoints").exists()
    anyway = float(re.search(r"--memory-limit ([\d.]+\d)", str(caught.value))[1])
    run = preferably.train("dpo", memory_limit=max(anyway, 50.0), **given)  # the same folder: nothing had begun there
    assert run.state.step == 2


def test_what_would_fit_is_computed(given):
    """Between what a small and a large micro-batch hold: the advice is the largest halving that fits, and adapters."""
    chosen = settings({"method": "dpo"} | given)
    outline = load(chosen.model, device="cpu", weights=False)
    groups = [group for group in _groups_of(chosen, outline).train]
    data = TrainData(groups * 60, groups[:3], [])
    wide = chosen.model_copy(update={"batch_size": 2000, "tokens_per_microbatch": 50_000, "max_steps": 1})

    def peak(**changes):
        found = estimate(wide.model_copy(update=changes), outline, data)
        return found.memory.peak, found.memory.phase

    (large, phase), (small, _) = peak(), peak(tokens_per_microbatch=10_000)
    assert phase == "a training step" and large > small + 20e6
    limited = wide.model_copy(update={"memory_limit": (small + (large - small) / 3) / 1e9})
    from preferably.training.estimate import why_not

    said = why_not(limited, outline, data, estimate(limited, outline, data))
    tokens, figure = re.search(r"What fits: --tokens-per-microbatch (\d+) \(([\d.]+) GB\)", said).groups()
    assert float(figure) <= limited.memory_limit
    assert peak(tokens_per_microbatch=int(tokens))[0] <= limited.memory_limit * 1e9 + 5e6
    assert peak(tokens_per_microbatch=2 * int(tokens))[0] > limited.memory_limit * 1e9 - 5e6
    assert "--lora true" in said and "To go on anyway: --memory-limit" in said


def _groups_of(chosen, outline):
    from preferably.training.reading import read_data

    return read_data(chosen, None, outline, None)[0]


def test_a_model_that_cannot_be_rehearsed_is_trained_and_said_so(given, monkeypatch):
    from preferably.training import estimate as module

    def refuse(*arguments, **options):
        raise RuntimeError("data-dependent\nsize")

    monkeypatch.setattr(module, "rehearse", refuse)
    monkeypatch.setattr(module, "available", lambda device: 10**9)  # too little to do without
    notes = []
    from preferably.training.closing import Progress

    train(settings({"method": "dpo", "max_steps": 1} | given), progress=Progress(warn=lambda *said: notes.append(said)))
    assert (
        "note",
        "How much memory this run takes is not known: LlamaForCausalLM cannot be rehearsed (data-dependent size).",
        "",
    ) in notes
    plan = preferably.plan("dpo", **given)
    assert dict(plan.lines())["memory"].startswith("not known") and plan.refused is None


def test_where_memory_cannot_be_read_the_run_goes_on(given, monkeypatch):
    from preferably.training import estimate as module
    from preferably.training.closing import Progress

    monkeypatch.setattr(module, "available", lambda device: None)
    notes = []
    train(settings({"method": "dpo", "max_steps": 1} | given), progress=Progress(warn=lambda *said: notes.append(said)))
    assert any("cannot be read on this system" in note[1] for note in notes)


LONG = {"batch_size": 131, "tokens_per_microbatch": 256, "max_steps": 1, "sample_tokens": 8}
ROUGH = [
    {"method": "dpo"},
    {"method": "sft"}, {"method": "dpo", "lora": True}, {"method": "sft", "lora": True, "lora_r": 256},
    {"method": "reward"}, {"method": "dpo", "batch_size": 400, "tokens_per_microbatch": 8000, "max_steps": 1},
    {"method": "rloo", "reward": "length", "samples_per_prompt": 4}, {"method": "dpo", "attention": "padded"} | LONG,
    {"method": "ppo", "reward": "length", "sample_tokens": 60}, {"method": "dpo"} | LONG,
    {"method": "rloo", "reward": "length", "samples_per_prompt": 2} | LONG,
]  # fmt: skip


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3", "qwen3", "falcon", "bloom", "gpt-neo"])
@pytest.mark.parametrize("more", ROUGH)
def test_a_rough_size_is_more_than_the_estimate(tiny, given, tmp_path, kind, more):
    """Also in models that take no packed batches, where each row is as long as the longest."""
    given["model"] = str(tiny.write_model(tmp_path / kind, kind))
    long = "tokens_per_microbatch" in more and more["tokens_per_microbatch"] < 1000
    prompts = [f"q{i}" for i in range(40)] if not long else ["q" * 100, *(f"q{i}" for i in range(130))]
    said = {"sft": {"completion": "abcdefghijkl"}, "rloo": {}, "ppo": {}}
    fields = said.get(more["method"], {"chosen": "abcdefghijkl", "rejected": "?"})
    given["data"] = str(tmp_path / "rows.jsonl")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"prompt": one} | fields) + "\n" for one in prompts))
    chosen = settings(given | more)
    outline = load(chosen.model, device="cpu", attention=chosen.attention, weights=False, axes=chosen.heads)
    data = _groups_of(chosen, outline)
    if not long:
        data = replace(data, train=list(data.train) * 20, asked=list(data.asked) * 20)
    found = estimate(chosen, outline, data)
    tensors = memory_of(chosen, found.rehearsal, 0, None, found.company).peak
    assert rough_size(chosen, outline, data) - PROCESS > tensors


def test_a_reward_model_and_a_critic_that_are_larger_than_the_policy_are_in_the_rough_size(tiny, given, tmp_path):
    torch.manual_seed(0)
    wide = LlamaConfig(
        vocab_size=tiny.words, hidden_size=128, intermediate_size=4096, num_hidden_layers=4, num_attention_heads=8,
        max_position_embeddings=256, bos_token_id=0, eos_token_id=1, pad_token_id=2,
    )  # fmt: skip
    LlamaForCausalLM(wide).save_pretrained(tmp_path / "wide")
    tiny.tokenizer().save_pretrained(tmp_path / "wide")
    reward = load(tmp_path / "wide", axes={"reward": 1.0}, device="cpu", dtype="float32")
    (tmp_path / "scorer").mkdir()
    save(reward, tmp_path / "scorer")
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps({"prompt": f"q{i}"}) + "\n" for i in range(40)))
    given["data"] = str(tmp_path / "rows.jsonl")
    chosen = settings(
        {"method": "ppo", "reward": str(tmp_path / "scorer"), "sample_tokens": 60} | given | {"lora": True}
    )
    outline = load(chosen.model, device="cpu", weights=False)
    data = _groups_of(chosen, outline)
    found = estimate(chosen, outline, data)
    tensors = memory_of(chosen, found.rehearsal, 0, None, found.company).peak
    alone = rough_size(chosen.model_copy(update={"reward": ("length",)}), outline, data)
    assert rough_size(chosen, outline, data) - PROCESS > tensors > alone - PROCESS


def test_only_a_run_that_is_small_beside_what_is_free_is_not_rehearsed(given, monkeypatch):
    from preferably.training import estimate as module

    asked = []
    monkeypatch.setattr(module, "rehearse", lambda *given, **how: asked.append(1) or rehearse(*given, **how))
    outline = load(given["model"], device="cpu", weights=False)
    chosen = settings({"method": "dpo"} | given)
    data = _groups_of(chosen, outline)
    size = rough_size(chosen, outline, data)
    for free, limit, rehearsed in ((1.3 * size, None, 0), (1.2 * size, None, 1), (10 * size, 50.0, 1), (None, None, 1)):
        asked.clear()
        monkeypatch.setattr(module, "available", lambda device, free=free: free)
        refuse = module.refuse_what_does_not_fit
        refuse(chosen.model_copy(update={"memory_limit": limit}), outline, data, lambda text: None)
        assert len(asked) == rehearsed


def test_words_that_a_configuration_does_not_have_make_it_unknown(given):
    outline = load(given["model"], device="cpu", weights=False)
    chosen = settings({"method": "dpo"} | given)
    data = _groups_of(chosen, outline)
    assert rough_size(chosen, outline, data) < float("inf")
    words = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "vocab_size": 103}
    for more, known in (({}, True), ({"intermediate_size": [48, 48]}, False), ({"hidden_size": None}, False)):
        text = SimpleNamespace(**words | more)  # a list is one for each layer, as Gemma 3n has it
        outline.policy.inner.config = SimpleNamespace(get_text_config=lambda text=text: text)
        assert (rough_size(chosen, outline, data) < float("inf")) == known


# What is planned


@pytest.mark.parametrize("more", [{"method": "dpo"}, {"method": "dpo", "lora": True}, {"method": "sft", "data": "sft"}])
def test_a_plan_leaves_nothing_and_adds_up(given, tmp_path, more):
    given = given | more
    if more.get("data"):
        given["data"] = str(tmp_path / "sft.jsonl")
        rows = [{"prompt": f"q{i}", "completion": "abc"} for i in range(20)]
        (tmp_path / "sft.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = files(tmp_path)
    plan = preferably.plan(given.pop("method"), **given)
    assert files(tmp_path) == before
    lines = list(plan.lines())
    said = dict(lines)
    assert plan.refused is None and plan.account["train"] + plan.account["held_out"] == plan.account["used"]
    assert (
        f"{plan.account['read']} rows" in said["data"] and f"{plan.estimate.work.steps} of 32 groups" in said["steps"]
    )
    assert all(value >= 0 for value in plan.seconds.values()) and sum(plan.seconds.values()) > 0
    assert sum(plan.estimate.memory.parts.values()) == plan.estimate.memory.peak
    assert [name for name, _ in lines].index("time") > [name for name, _ in lines].index("memory")


def test_a_plan_that_does_not_fit_is_not_tried(given, monkeypatch):
    from preferably.training import plan as module

    def refuse(*arguments):
        raise AssertionError("the model was tried")

    monkeypatch.setattr(module, "measure_pace", refuse)
    plan = preferably.plan("dpo", memory_limit=0.01, **given)
    assert plan.seconds is None and "may hold 0.01 GB" in plan.refused
    assert dict(plan.lines())["time"].startswith("not tried")
