"""Loading and saving: safetensors only, no code of strangers, and what is saved is what was trained."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from preferably.batches.group import collate
from preferably.errors import ModelError
from preferably.models.loading import choose_compute, choose_device, load, save
from preferably.models.policy import Policy, frozen_copy

SHAPES = [(5, [4, 7]), (1, [1, 3])]


@pytest.fixture
def directory(tiny, tmp_path):
    return tiny.write_model(tmp_path / "model")


@torch.no_grad()
def test_what_is_saved_loads_with_plain_transformers_and_says_the_same(tiny, directory, tmp_path):
    loaded = load(directory, device="cpu")
    for parameter in loaded.policy.parameters():
        parameter.add_(0.01)
    save(loaded, tmp_path / "saved")
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "saved", attn_implementation="eager")
    groups = tiny.groups(SHAPES)
    expected = torch.cat([tiny.plain_logps(plain, group) for group in groups])
    assert (loaded.policy(collate(groups)) - expected).abs().max() < 1e-5
    assert all(a.equal(b) for a, b in zip(loaded.policy.parameters(), plain.parameters(), strict=True))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert tokenizer("abc")["input_ids"] == tiny.tokenizer()("abc")["input_ids"]
    assert tokenizer.chat_template  # the default one, said and kept
    assert "chat template" in " ".join(loaded.notes)
    # nothing in it asks for our package
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert "preferably" not in json.dumps(config)
    default = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert default.config._attn_implementation in ("sdpa", "eager")


def test_weights_are_float32_and_dropout_is_off(directory):
    loaded = load(directory, device="cpu", dtype="bfloat16")
    assert {p.dtype for p in loaded.policy.parameters()} == {torch.float32}
    assert loaded.policy.compute == torch.bfloat16 and not loaded.policy.model.training
    assert load(directory, device="cpu").policy.compute == torch.float32  # small: casts cost more than they save


def test_padded_by_wish_uses_transformers_own_attention_without_a_note(directory):
    loaded = load(directory, device="cpu", attention="padded")
    assert not loaded.policy.packed and loaded.policy.model.config._attn_implementation != "preferably"
    assert not [note for note in loaded.notes if "padded" in note]


def test_stop_ids_and_context_come_from_model_and_tokenizer(directory):
    loaded = load(directory, device="cpu")
    assert loaded.stop_ids == {1} and loaded.context == 128
    loaded.policy.inner.generation_config.eos_token_id = [5, 7]
    assert loaded.stop_ids == {1, 5, 7}
    loaded.policy.inner.generation_config.eos_token_id = None
    assert loaded.stop_ids == {1}


def test_a_frozen_copy_is_a_copy(tiny):
    policy = Policy(tiny.build("llama"))
    twin = frozen_copy(policy)
    with torch.no_grad():
        next(policy.parameters()).add_(1)
    assert not next(twin.parameters()).equal(next(policy.parameters()))
    assert not any(p.requires_grad for p in twin.parameters()) and all(p.requires_grad for p in policy.parameters())


def test_pickled_weights_are_refused(directory):
    weights = directory / "model.safetensors"
    torch.save({"a": torch.zeros(1)}, directory / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ModelError, match="Cannot load a model from .*model.safetensors"):
        load(directory, device="cpu")


@pytest.mark.parametrize("name", ["absent", "no/such-model"])
def test_a_model_that_is_not_there_is_refused_on_one_line(tmp_path, name):
    with pytest.raises(ModelError) as caught:
        load(tmp_path / name, device="cpu")
    assert "\n" not in str(caught.value) and "Expected a directory" in str(caught.value)


@pytest.mark.parametrize("name", ["./desc", "runs/2", "a/b/c", "~x/y"])
def test_a_mistyped_path_is_not_looked_up_on_a_hub(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "1").mkdir(parents=True)
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: pytest.fail("looked up"))
    with pytest.raises(ModelError, match="there is no such directory") as caught:
        load(name, device="cpu")
    if name.startswith("runs"):
        assert "runs holds 1." in str(caught.value)


def test_a_model_that_brings_code_is_refused_and_the_code_not_run(directory, tmp_path):
    mark = tmp_path / "ran"
    (directory / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((directory / "config.json").read_text())
    config |= {"auto_map": {"AutoModelForCausalLM": "evil.Evil", "AutoConfig": "evil.Evil"}, "model_type": "evil"}
    (directory / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        load(directory, device="cpu")
    assert not mark.exists()


def test_a_tokenizer_without_an_end_is_refused(directory):
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        file = directory / name
        if file.exists():
            values = json.loads(file.read_text())
            values.pop("eos_token", None)
            file.write_text(json.dumps(values))
    with pytest.raises(ModelError, match="no end-of-sequence token"):
        load(directory, device="cpu")


def test_devices():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ModelError, match="no device 'gpu'"):
        choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="this machine has none"):
            choose_device("cuda:1")


@pytest.mark.parametrize(
    ("dtype", "fast", "parameters", "expected"),
    [
        ("float32", True, 10**9, torch.float32),
        ("bfloat16", False, 1, torch.bfloat16),
        ("auto", True, 10**6, torch.float32),
        ("auto", True, 10**8, torch.bfloat16),
        ("auto", False, 10**8, torch.float32),
    ],
)
def test_what_is_computed_in(monkeypatch, dtype, fast, parameters, expected):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: fast)
    assert choose_compute(dtype, torch.device("cpu"), parameters) == expected


def test_a_dtype_that_is_not_computed_in_is_refused():
    with pytest.raises(ModelError, match="float16"):
        choose_compute("float16", torch.device("cpu"), 1)
