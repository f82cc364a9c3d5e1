"""Settings as users write them: names of other tools, mistakes, numbers that make no sense."""

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from preferably.config import ALIASES, TrainSettings, read_yaml, settings
from preferably.errors import ConfigError

BARE = {"method": "dpo", "model": "m", "output": "o"}

# One value for every alias, and what it becomes. A new alias without a row here fails the test below.
SAID = {
    "model_name_or_path": "x", "base_model": "x", "dataset_name": "d.jsonl", "output_dir": "x", "eval_data": "d.jsonl",
    "test_size": 0.2, "lr": 1e-4, "num_train_epochs": 2.0, "num_epochs": 2.0, "per_device_train_batch_size": 8,
    "micro_batch_size": 8, "lr_scheduler_type": "linear", "warmup_ratio": 0.2, "warmup_steps": 20.0,
    "max_grad_norm": 0.5, "adam_epsilon": 1e-6, "max_seq_length": 99, "cutoff_len": 99, "sequence_len": 99,
    "truncation_mode": "keep_end", "eval_steps": 7, "save_steps": 7, "save_total_limit": 3, "use_peft": True,
    "lora_rank": 4, "lora_target_modules": "q_proj", "lora_target": "q_proj", "pref_beta": 0.3, "dpo_beta": 0.3,
    "rpo_alpha": 0.7, "pref_ftx": 0.7, "stage": "sft", "rl": "ipo", "loss_type": "hinge",
    "report_to": ("wandb", "trackio"), "reward_funcs": ("length",), "reward_model": ("rm",),
    "reward_model_path": ("rm",), "num_generations": 6, "rloo_k": 6, "response_length": 50,
    "max_completion_length": 50, "num_ppo_epochs": 3, "num_iterations": 3, "num_mini_batches": 2, "cliprange": 0.3,
    "epsilon": 0.3, "epsilon_high": 0.3, "cliprange_value": 0.3, "vf_coef": 0.5, "ref_model": "x",
    "model_ref": "x",
}  # fmt: skip
# What every method takes, or DPO; the other names are of methods that draw their completions.
ONLINE = {
    "reward", "samples_per_prompt", "sample_tokens", "update_epochs", "minibatches", "clip_range", "clip_high",
    "value_clip", "value_weight",
}  # fmt: skip
SHARED = set(TrainSettings.model_fields) - ONLINE


@pytest.mark.parametrize("alias", ALIASES)
def test_names_of_other_tools_are_read_as_ours(alias):
    ours = ALIASES[alias]
    bare = BARE if ours in SHARED else BARE | {"method": "ppo", "reward": "length"}
    bare = bare | ({"lora": True} if ours.startswith("lora_") else {})
    given = {key: value for key, value in bare.items() if key != ours} | {alias: SAID[alias]}
    value = getattr(settings(given), ours)
    assert value == ((SAID[alias],) if ours in ("data", "held_out_data") else SAID[alias])
    assert ours in TrainSettings.model_fields and alias not in TrainSettings.model_fields


@pytest.mark.parametrize(
    ("trl", "ours"), [("sigmoid", "dpo"), ("robust", "rdpo"), ("ipo", "ipo"), ("hinge", "hinge"), ("dpo", "dpo")]
)
def test_loss_types_of_trl_are_methods(trl, ours):
    assert settings({"model": "m", "output": "o", "loss_type": trl}).method == ours


def test_a_method_is_never_taken_for_a_loss_type_of_trl():
    with pytest.raises(ConfigError, match="no method 'sigmoid'"):
        settings(BARE | {"method": "sigmoid"})


@pytest.mark.parametrize("value", [["sigmoid"], ["sigmoid", "sft"], {"a": 1}, None, 3])
def test_loss_types_that_are_no_name_are_refused_in_words(value):
    """TRL 1.16 writes lists."""
    with pytest.raises(ConfigError):
        settings({"model": "m", "output": "o", "loss_type": value})


@pytest.mark.parametrize(
    ("key", "near"),
    [("learning_rat", "learning_rate"), ("bta", "beta"), ("batchsize", "batch_size"), ("modle", "model"),
     ("num_train_epoch", "num_train_epochs"), ("lora_alfa", "lora_alpha")],
)  # fmt: skip
def test_an_unknown_setting_is_an_error_with_a_suggestion(key, near):
    with pytest.raises(ConfigError, match=f"no setting '{key}'; did you mean '{near}'"):
        settings(BARE | {key: 1})


def test_an_unknown_setting_like_nothing_known_is_an_error_without_one():
    with pytest.raises(ConfigError) as caught:
        settings(BARE | {"xyzzy": 1})
    assert "did you mean" not in str(caught.value) and "--help" in str(caught.value)


@pytest.mark.parametrize(
    ("one", "two"), [("learning_rate", "lr"), ("warmup_ratio", "warmup_steps"), ("model", "base_model")]
)
def test_the_same_thing_under_two_names_is_refused(one, two):
    with pytest.raises(ConfigError, match=f"given twice .the second time as '{two}'"):
        settings({"method": "dpo", "output": "o", one: SAID.get(one, "0.1"), two: SAID[two]})


@pytest.mark.parametrize("missing", ["method", "model", "output"])
def test_what_has_no_default_must_be_given(missing):
    with pytest.raises(ConfigError, match=f"{missing}: Field required"):
        settings({key: value for key, value in BARE.items() if key != missing})


BAD = [
    ("batch_size", 0), ("batch_size", -1), ("batch_size", 1.5), ("batch_size", "many"), ("epochs", 0), ("epochs", -1),
    ("learning_rate", 0), ("learning_rate", -1e-5), ("learning_rate", "fast"), ("held_out", -1), ("max_rejected", 1.1),
    ("max_length", 1), ("truncation", "middle"), ("schedule", "step"), ("warmup", -1), ("weight_decay", -0.1),
    ("eps", 0), ("clip", 0), ("reference", "none"), ("lora_r", 0), ("lora_alpha", 0), ("dtype", "float16"),
    ("attention", "flash"), ("threads", 0), ("seed", -1), ("eval_every", 0), ("save_every", 0), ("keep", 0),
    ("patience", 0), ("final", "first"), ("sample_prompts", -1), ("sample_tokens", 0), ("tokens_per_microbatch", 0),
    ("max_steps", 0), ("track", 3), ("data", 3), ("model", None), ("betas", (0.9,)), ("betas", "0.9"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value"), BAD)
def test_values_that_cannot_be_used_are_refused_with_the_name_and_what_was_got(key, value):
    with pytest.raises(ConfigError) as caught:
        settings(BARE | {key: value})
    assert f"{key}" in str(caught.value) and f"got {value!r}" in str(caught.value)


@pytest.mark.parametrize(
    "key", ["learning_rate", "epochs", "clip", "eps", "warmup", "held_out", "weight_decay", "beta"]
)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_not_finite_are_refused(key, value):
    """YAML has words for them: .nan and .inf."""
    with pytest.raises(ConfigError):
        settings(BARE | {key: value})


@pytest.mark.parametrize("betas", [(1.0, 0.999), (0.9, 1.5), (-0.1, 0.999)])
def test_betas_that_adam_cannot_use_are_refused_here_and_not_in_torch(betas):
    with pytest.raises(ConfigError):
        settings(BARE | {"betas": betas})


def test_several_problems_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        settings(BARE | {"batch_size": 0, "clip": -1, "seed": "x"})
    assert all(name in str(caught.value) for name in ("batch_size", "clip", "seed"))


# Hyperparameters belong to methods


@pytest.mark.parametrize(
    ("method", "key"),
    [("sft", "beta"), ("sft", "label_smoothing"), ("sft", "nll_weight"), ("ipo", "label_smoothing"),
     ("ipo-sum", "label_smoothing"), ("hinge", "label_smoothing")],
)  # fmt: skip
def test_a_hyperparameter_that_the_method_does_not_take_is_refused(method, key):
    with pytest.raises(ConfigError, match=f"{method} does not take '{key}'"):
        settings(BARE | {"method": method, key: 0.1})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beta", 0.0),
        ("beta", -0.1),
        ("beta", 101),
        ("label_smoothing", 0.5),
        ("label_smoothing", -0.01),
        ("nll_weight", -1),
    ],
)
def test_hyperparameters_out_of_range_are_refused_with_the_range(key, value):
    with pytest.raises(ConfigError, match=f"{key} = {value}.* out of range for dpo: expected .* to "):
        settings(BARE | {key: value})


def test_hyperparameters_are_the_defaults_with_the_settings_on_top():
    assert settings(BARE).hyperparameters == {"beta": 0.1, "label_smoothing": 0.0, "nll_weight": 0.0}
    made = settings(BARE | {"method": "rdpo", "beta": 0.5})
    assert made.hyperparameters == {"beta": 0.5, "label_smoothing": 0.1, "nll_weight": 0.0}
    assert settings(BARE | {"label_smoothing": 0.0}).hyperparameters["label_smoothing"] == 0.0
    assert settings(BARE | {"method": "sft"}).hyperparameters == {}


@pytest.mark.parametrize(
    ("changes", "rate"),
    [({"method": "sft"}, 2e-5), ({}, 1e-6), ({"method": "sft", "lora": True}, 2e-4), ({"lora": True}, 1e-5),
     ({"learning_rate": 3e-4}, 3e-4), ({"learning_rate": 3e-4, "lora": True}, 3e-4)],
)  # fmt: skip
def test_the_learning_rate_has_a_default_for_the_method(changes, rate):
    assert settings(BARE | changes).peak_learning_rate == pytest.approx(rate)


def test_what_a_run_of_a_sum_wrote_is_read_again():
    """Its config.yaml has the weight of the SFT term that the sum names."""
    made = settings(BARE | {"method": "dpo+0.1*nll"})
    assert settings(BARE | {"method": "dpo+0.1*nll", "nll_weight": 0.1}).hyperparameters == made.hyperparameters
    with pytest.raises(ConfigError, match="has its SFT term already"):
        settings(BARE | {"method": "dpo+0.1*nll", "nll_weight": 0.2})


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        settings(BARE).seed = 3


@pytest.mark.parametrize("data", ["a.jsonl", Path("a.jsonl"), ["a.jsonl"], ("a.jsonl",), [Path("a.jsonl")]])
def test_data_may_be_one_file_or_several_as_text_or_path(data):
    assert settings(BARE | {"data": data}).data == ("a.jsonl",)


@pytest.mark.parametrize(
    ("said", "meant"),
    [("tensorboard,wandb", ("tensorboard", "wandb")), (["trackio"], ("trackio",)), ("none", ()), (["none"], ()),
     (None, ()), ((), ()), (" tensorboard , trackio ", ("tensorboard", "trackio"))],
)  # fmt: skip
def test_trackers_are_names_or_none(said, meant):
    assert settings(BARE | {"track": said}).track == meant == settings(BARE | {"report_to": said}).track


@pytest.mark.parametrize("said", ["mlflow", "wandb,none", "all", ["wandb", 3], ""])
def test_trackers_that_are_not_there_are_refused_with_those_that_are(said):
    with pytest.raises(ConfigError, match="track.*'tensorboard', 'wandb' or 'trackio'"):
        settings(BARE | {"report_to": said})


def test_paths_become_text():
    made = settings({"method": "dpo", "model": Path("m/x"), "output": Path("o/x")})
    assert (made.model, made.output) == (str(Path("m/x")), str(Path("o/x")))


# Files


def test_a_yaml_file_is_a_mapping(tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text("method: dpo\nmodel: m\noutput: o\nlr: 1.0e-5\ndata: [a.jsonl, b.jsonl]\nbetas: [0.9, 0.95]\n")
    made = settings(read_yaml(file))
    assert made.learning_rate == 1e-5 and made.data == ("a.jsonl", "b.jsonl") and made.betas == (0.9, 0.95)


def test_a_rate_written_the_way_yaml_takes_for_text_is_still_a_number(tmp_path):
    """YAML 1.1 reads 1e-5 as text: the best known trap of these files."""
    file = tmp_path / "job.yaml"
    file.write_text("method: dpo\nmodel: m\noutput: o\nlearning_rate: 1e-5\n")
    assert settings(read_yaml(file)).learning_rate == 1e-5


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "nothing"), (b"- a\n- b\n", "list"), (b"just text", "str"), (b"a: [1", "not YAML"),
     (b"a: \xff", "Cannot read"),
     (b"!!python/object/apply:os.system ['true']", "not YAML")],
)  # fmt: skip
def test_a_file_that_is_no_mapping_is_refused_on_one_line(tmp_path, content, said):
    file = tmp_path / "job.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as caught:
        read_yaml(file)
    assert "\n" not in str(caught.value) and "job.yaml" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="Cannot read the settings file .*absent.yaml"):
        read_yaml(tmp_path / "absent.yaml")
