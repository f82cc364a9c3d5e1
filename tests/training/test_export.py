"""Exports: plain libraries load them, they are what was trained, and what cannot be exported leaves nothing."""

import hashlib
import json
import resource
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import preferably
from preferably.errors import CheckpointError, ConfigError, DataError, ModelError
from preferably.models.loading import load
from preferably.models.sampler import Decoding, sample
from preferably.training import export as exporting
from preferably.training.export import distance

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

ROWS = [
    {"prompt": f"{letter} {number}? ", "chosen": letter * 3, "rejected": "no no"[: 2 + number]}
    for letter in "abcdefghijkl"
    for number in range(3)
]
FEW = {
    "batch_size": 4, "max_steps": 4, "eval_every": 1, "learning_rate": 1e-2, "sample_prompts": 0, "device": "cpu",
    "held_out": 6, "keep": 9,
}  # fmt: skip
# <end> (2) is the template's end of turn, </s> (1) the tokenizer's EOS, and 40 one of the generation settings.
TEMPLATE, STOPS = "{% for m in messages %}{{ m['content'] }}<end>{% endfor %}", [1, 2, 40]


@pytest.fixture(scope="module")
def runs(tiny, tmp_path_factory):
    """Finished runs on a Llama, on a GPT-2 (tied embeddings) and of adapters."""
    place = tmp_path_factory.mktemp("runs")
    data = place / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    made = {}
    for name, kind, more in (("llama", "llama", {}), ("gpt2", "gpt2", {}), ("lora", "llama", {"lora": True})):
        model = tiny.write_model(place / f"{name}-start", kind=kind)
        tokenizer = AutoTokenizer.from_pretrained(model)
        tokenizer.chat_template = TEMPLATE
        tokenizer.save_pretrained(model)
        # Sampling settings without sampling: transformers would refuse to save these once changed.
        odd = {"eos_token_id": [40], "temperature": 0.6, "do_sample": False}
        (model / "generation_config.json").write_text(json.dumps(odd))
        made[name] = preferably.train("dpo", model=model, data=data, output=place / name, **FEW | more)
    return made


@pytest.fixture(scope="module")
def exports(runs, tmp_path_factory):
    """What is exported of them, by name: directory and facts."""
    place = tmp_path_factory.mktemp("exports")
    asked = {
        "llama": ("llama", {}), "gpt2": ("gpt2", {}), "merged": ("lora", {}), "adapter": ("lora", {"adapter": True}),
        "bfloat16": ("lora", {"dtype": "bfloat16"}),
    }  # fmt: skip
    return {name: preferably.export(runs[run].path, place / name, **more) for name, (run, more) in asked.items()}


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def plain_logits(model):
    return model(input_ids=torch.tensor([[3, *range(10, 40)]])).logits.float()


@pytest.mark.parametrize("name", ["llama", "gpt2", "merged", "adapter", "bfloat16"])
def test_it_says_what_it_holds_and_what_was_proved(runs, exports, name):
    done = exports[name]
    facts = json.loads((done.path / "export.json").read_text())
    assert facts == {"schema": 1} | json.loads(json.dumps(done.facts))
    lora = name not in ("llama", "gpt2")
    run = runs["lora" if lora else name]
    assert facts["form"] == {"adapter": "adapter"}.get(name, "merged" if lora else "full")
    assert facts["step"] == 4 and facts["stop_ids"] == STOPS
    assert facts["dtype"] == ("bfloat16" if name == "bfloat16" else "float32")
    assert facts["run_id"] == (run.path / "run-id").read_text().strip()
    proof = facts["proof"]
    assert proof["max_difference"] == 0.0 and proof["source"] == "held_out.jsonl"
    held_out = [json.loads(line) for line in (run.path / "held_out.jsonl").read_text().splitlines()]
    assert [row["text"] for row in proof["prompts"]] == [f"{row['prompt']}{row['chosen']}</s>" for row in held_out[:4]]
    # Rounding: some, but little; and none where nothing was merged or cast.
    assert (facts["merging"] is None) == (name in ("llama", "gpt2", "adapter"))
    assert (facts["casting"] is None) == (name != "bfloat16")
    if facts["merging"]:
        assert 0 < facts["merging"]["log_prob"] < 1e-4 and facts["merging"]["tolerance"] == 1e-3
    if facts["casting"]:
        assert 1e-4 < facts["casting"]["log_prob"] < 0.5
    # The files are those that are named, their digests are theirs, and none is a pickle.
    there = files(done.path)
    weights = "adapter_model.safetensors" if name == "adapter" else "model.safetensors"
    assert there == {*facts["files"], "export.json"}
    assert {"README.md", "generation_config.json", "tokenizer.json", weights} <= there
    assert not [file for file in there if file.endswith((".bin", ".pt", ".pth", ".pkl"))]
    for file, entry in facts["files"].items():
        content = (done.path / file).read_bytes()
        assert entry == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    card = (done.path / "README.md").read_text()
    assert f"library_name: {'peft' if name == 'adapter' else 'transformers'}" in card
    assert "preferably" not in (done.path / "generation_config.json").read_text()


@pytest.mark.parametrize("name", ["llama", "gpt2", "merged"])
def test_training_itself_saves_the_same(runs, exports, name):
    run, done = runs["lora" if name == "merged" else name], exports[name]
    for file in files(run.model) - {"README.md"}:
        assert (done.path / file).read_bytes() == (run.model / file).read_bytes(), file
    if name == "gpt2":
        model = AutoModelForCausalLM.from_pretrained(done.path)
        assert model.lm_head.weight is model.transformer.wte.weight
        assert "lm_head.weight" not in load_file(done.path / "model.safetensors")


@torch.no_grad()
def test_adapter_and_merged_weights_are_the_trained_model(runs, exports):
    run = runs["lora"]
    expected = plain_logits(run.loaded.policy.model)
    config = json.loads((exports["adapter"].path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == exports["adapter"].facts["base"]
    base = AutoModelForCausalLM.from_pretrained(config["base_model_name_or_path"])
    start = plain_logits(base)
    adapted = plain_logits(PeftModel.from_pretrained(base, exports["adapter"].path))
    merged = plain_logits(AutoModelForCausalLM.from_pretrained(exports["merged"].path))
    assert (start - expected).abs().max() > 0.01  # training has moved it
    assert (adapted - expected).abs().max() < 1e-5 and (merged - expected).abs().max() < 1e-4
    assert set(load_file(exports["adapter"].path / "adapter_model.safetensors")) == {
        key for key in load_file(exports["adapter"].path / "adapter_model.safetensors") if "lora_" in key
    }
    small = AutoModelForCausalLM.from_pretrained(exports["bfloat16"].path)
    assert {p.dtype for p in small.parameters()} == {torch.bfloat16}
    assert 0 < (plain_logits(small) - expected).abs().max() < 1


@pytest.mark.parametrize("name", ["llama", "gpt2", "merged"])
def test_generation_stops_where_our_sampler_does(runs, exports, name):
    loaded = runs["lora" if name == "merged" else name].loaded
    assert sorted(loaded.stop_ids) == STOPS
    model = AutoModelForCausalLM.from_pretrained(exports[name].path)
    assert AutoTokenizer.from_pretrained(exports[name].path).chat_template == TEMPLATE
    assert model.generation_config.eos_token_id == STOPS
    ends = set()
    for first in range(3, 63):
        prompt = [first, (first * 7) % 100, 5]
        (ours,) = sample(loaded.policy, loaded.tokenizer, [prompt], Decoding(0, max_tokens=16), stop_ids=set(STOPS))[0]
        ids = torch.tensor([prompt])
        theirs = model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, temperature=1.0, max_new_tokens=16
        )
        assert ours.tokens == theirs[0, 3:].tolist()
        ends.add(ours.tokens[-1] if ours.finished else None)
    assert ends & set(STOPS) and None in ends  # some ended, some did not


def test_any_checkpoint_can_be_exported_while_the_run_goes_on(runs, tmp_path):
    """A run that was killed: no model yet, and a half-written line at the end."""
    run = tmp_path / "run"
    shutil.copytree(runs["llama"].path, run)
    shutil.rmtree(run / "model")
    for step in (3, 4):
        shutil.rmtree(run / "checkpoints" / f"step-{step:08d}")
    (run / "metrics.jsonl").write_text((run / "metrics.jsonl").read_text() + '{"step": 3, "lo')
    before = files(run)
    done = preferably.export(run, tmp_path / "last")
    assert done.facts["step"] == 2 and done.facts["form"] == "full"
    first = preferably.export(run, tmp_path / "first", checkpoint=1)
    for one, step in ((done, 2), (first, 1)):
        kept = load_file(run / "checkpoints" / f"step-{step:08d}" / "weights.safetensors")
        for name, value in load_file(one.path / "model.safetensors").items():
            assert kept[f"model.{name}"].equal(value)
    assert files(run) == before


@pytest.mark.parametrize(
    ("asked", "final", "step"), [("best", "last", 2), (None, "best", 2), (None, "last", 4), ("last", "best", 4)]
)
def test_the_checkpoint_is_the_one_asked_for_or_the_one_the_run_would_take(runs, tmp_path, asked, final, step):
    run = tmp_path / "run"
    shutil.copytree(runs["llama"].path, run)
    made, run_id = exporting._run(run)
    newest = run / "checkpoints" / "step-00000004"
    path, manifest = exporting._checkpoint(run / "checkpoints", run_id, made.model_copy(update={"final": final}), asked)
    best = json.loads((newest / "state.json").read_text())["best_step"]
    assert manifest.step == {2: best, 4: 4}[step] and path.name == f"step-{manifest.step:08d}"


def refused(kind, match, run, tmp_path, **more):
    before = files(tmp_path)
    with pytest.raises(kind, match=match) as caught:
        preferably.export(run, tmp_path / "out", **more)
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == before and not list(tmp_path.glob("out*"))


def test_what_cannot_be_asked_for_is_refused(runs, tmp_path):
    run = runs["llama"].path
    refused(DataError, "not a run directory", tmp_path, tmp_path)
    (tmp_path / "other" / "evaluation").mkdir(parents=True)  # of an evaluation alone
    refused(ConfigError, "no run-id", tmp_path / "other", tmp_path)
    refused(ConfigError, "no adapter", run, tmp_path, adapter=True)
    refused(ConfigError, "float16.*expected same, float32, bfloat16", run, tmp_path, dtype="float16")
    refused(ConfigError, "step-00000009; there are: step-00000000, ", run, tmp_path, checkpoint=9)
    refused(ConfigError, "best, last or a step", run, tmp_path, checkpoint="newest")
    refused(ConfigError, "float32", runs["lora"].path, tmp_path, adapter=True, dtype="bfloat16")


def test_nothing_is_overwritten(runs, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="there already"):
        preferably.export(runs["llama"].path, tmp_path / "out")
    assert files(tmp_path) == {"out/mine.txt"}


def test_a_damaged_checkpoint_is_not_passed_over(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["llama"].path, run)
    weights = run / "checkpoints" / "step-00000004" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused(CheckpointError, "newest checkpoint cannot be used.*step-00000004", run, tmp_path)
    refused(CheckpointError, "content is not what was written", run, tmp_path, checkpoint=4)


def test_another_base_under_the_same_name_is_refused(runs, tiny, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["lora"].path, run)
    other = tiny.write_model(tmp_path / "other", seed=5)
    config = (run / "config.yaml").read_text().replace(runs["lora"].loaded.name, str(other))
    (run / "config.yaml").write_text(config)
    refused(CheckpointError, "its weights have changed", run, tmp_path)


def test_a_file_that_is_not_the_model_is_not_exported(runs, tmp_path, monkeypatch):
    """The proof can fail: one bit of one weight, and rounding that is told to be none."""
    write = exporting.write_model

    def other(model, loaded, folder):
        write(model, loaded, folder)
        weights = load_file(folder / "model.safetensors")
        weights["model.norm.weight"].view(torch.int32)[0] ^= 1
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(exporting, "write_model", other)
    refused(ModelError, "differ by up to .* nothing was exported", runs["llama"].path, tmp_path)
    monkeypatch.setattr(exporting, "MERGING", 0.0)
    refused(ModelError, "Adapters merged and adapters on differ", runs["lora"].path, tmp_path)


def test_a_file_that_plain_transformers_cannot_load_is_not_exported(runs, tmp_path, monkeypatch):
    write = exporting.write_model

    def broken(model, loaded, folder):
        write(model, loaded, folder)
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(exporting, "write_model", broken)
    refused(ModelError, "Plain transformers could not run", runs["llama"].path, tmp_path)


def test_a_full_disk_leaves_nothing(runs, tmp_path):
    """The system itself refuses to write more than 20 kB to a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        refused(CheckpointError, "was not written.* Nothing of it is left", runs["llama"].path, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_without_held_out_rows_the_proof_says_what_it_used(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["llama"].path, run)
    (run / "held_out.jsonl").write_text("")
    proof = preferably.export(run, tmp_path / "out").facts["proof"]
    assert proof["source"].startswith("token ids") and [row["tokens"] for row in proof["prompts"]] == [32] * 4


def test_a_distance_by_hand():
    """p = (1/4, 3/4) and q = (1/2, 1/2): KL = 1/4 ln 1/2 + 3/4 ln 3/2 = 0.1308; the second row does not differ."""
    same = torch.tensor([[2.0, 2.0]])
    found = distance([torch.tensor([[0.0, 1.0986123]]), same], [torch.tensor([[0.0, 0.0]]), same])
    assert found["logit"] == pytest.approx(1.0986, abs=1e-4)
    assert found["log_prob"] == pytest.approx(0.6931, abs=1e-4)
    assert found["kl"] == pytest.approx(0.1308 / 2, abs=1e-4)


def test_the_policy_goes_on_as_it_was_after_training_saved_it(runs):
    """Training saves a merged copy: adapters stay separate in memory, and the directory loads as our own too."""
    assert hasattr(runs["lora"].loaded.policy.model, "merge_and_unload")
    assert sorted(load(runs["lora"].model, device="cpu").stop_ids) == STOPS
