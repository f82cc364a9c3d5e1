"""Models and tokenizers: loaded from safetensors only, never running code that comes with them."""

import copy
import json
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file
from transformers.utils import logging as transformers_logging

from preferably.data.chat import end_of_turn, ensure_template
from preferably.errors import ModelError
from preferably.models.attention import NAME
from preferably.models.fitted import FittedReward, linear_in
from preferably.models.policy import Policy
from preferably.models.sampler import context_of
from preferably.models.scorer import Scorer

transformers_logging.disable_progress_bar()  # its bars would break ours

# Below this many parameters a model is so quick in float32 that casts cost more than they save.
SMALL = 20_000_000
REWARD = "reward.json"  # axes, weights and centering, beside the weights of a reward model
HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
NEAR = 8  # directories beside a mistyped one that a message names


@dataclass(slots=True)
class Loaded:
    """A policy with its tokenizer."""

    policy: Policy
    tokenizer: PreTrainedTokenizerBase
    name: str
    notes: list[str]  # what was chosen for the user and why: shown once and stored with the run

    @property
    def stop_ids(self) -> set[int]:
        """Token ids that end a completion: EOS, the template's end of turn, those of the generation settings."""
        ids = getattr(getattr(self.policy.inner, "generation_config", None), "eos_token_id", None)
        ids = [] if ids is None else ids if isinstance(ids, list) else [ids]
        return {i for i in [*ids, self.tokenizer.eos_token_id, end_of_turn(self.tokenizer)] if i is not None}

    @property
    def context(self) -> int | None:
        """How many tokens the model takes in, where its configuration says so."""
        return context_of(self.policy.inner)


def choose_device(device: str = "auto") -> torch.device:
    """`auto` is CUDA, else CPU; anything else is taken at its word, but MPS: it has no float64 to add log-probs in."""
    if device != "auto":
        try:
            chosen = torch.device(device)
        except RuntimeError as error:
            raise ModelError(f"There is no device {device!r}; expected auto, cpu, cuda or cuda:N.") from error
        if chosen.type == "mps":
            raise ModelError("Device 'mps' has no float64, in which log-probabilities are added up; use auto or cpu.")
        available = {"cpu": True, "cuda": torch.cuda.is_available()}
        if not available.get(chosen.type, False):
            raise ModelError(f"Device {device!r} was asked for, but this machine has none; use auto or cpu.")
        return chosen
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_compute(dtype: str, device: torch.device, parameters: int) -> torch.dtype:
    """`auto`: bfloat16 where the hardware multiplies it fast and the model is large enough to gain, else float32."""
    if dtype in ("float32", "bfloat16"):
        return torch.float32 if dtype == "float32" else torch.bfloat16
    if dtype != "auto":
        raise ModelError(f"dtype {dtype!r} is not one that is computed in; expected auto, float32 or bfloat16.")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() and parameters >= SMALL else torch.float32
    fast = device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if fast and parameters >= SMALL else torch.float32


def load(
    name: str | Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    axes: Mapping[str, float] | None = None,
    place: bool = True,
    weights: bool = True,
) -> Loaded:
    """Load a Hugging Face causal LM (a directory or a hub id) as a policy.

    Weights are float32 and dropout is off, for the policy as for the reference; matrix products run in `dtype`.
    `attention` is `auto` or `packed` (prefix-shared), or `padded` (plain forward). A tokenizer without a chat template
    gets the documented default, which is saved with the model. With `place` the weights go to `device`; without, they
    stay in main memory, to be shared out. Without `weights` the model is a `hollow` one.

    With `axes` (names and weights) the policy is a `Scorer` with a row of its head for each. A language model gets a
    new head, drawn from N(0, 1 / (h + 1)) as by Stiennon et al. 2020 (https://arxiv.org/abs/2009.01325).

    Raises: ModelError for anything that cannot be loaded.
    """
    where = choose_device(device)
    _refuse_mistyped(str(name))
    notes: list[str] = []
    tokenizer = _load_tokenizer(str(name))
    if ensure_template(tokenizer):
        notes.append("The tokenizer had no chat template; the plain default (User: / Assistant:) is used and saved.")
    model, packed = _load_model(str(name), attention, weights, axes)
    if not packed and attention != "padded":
        notes.append(f"{type(model).__name__} attends in a way of its own; the padded path is used.")
    compute = choose_compute(dtype, where, sum(p.numel() for p in model.parameters()))
    model = model.to(where) if place and weights else model
    policy = Policy(model, compute=compute, packed=packed)
    if axes is not None:
        policy = Scorer(model, axes=axes, compute=compute, packed=packed)
    return Loaded(policy, tokenizer, str(name), notes)


def _refuse_mistyped(name: str) -> None:
    """A path that leads nowhere is no id of a hub, which would be asked for it again and again."""
    owner, slash, _ = name.partition("/")
    if not Path(name).exists() and (not HUB_ID.fullmatch(name) or (slash and Path(owner).is_dir())):
        near = Path(name).parent
        there = sorted(path.name for path in near.iterdir() if path.is_dir())[:NEAR] if near.is_dir() else []
        hint = f" {near} holds {', '.join(there)}." if there else ""
        raise ModelError(
            f"Cannot load a model from {name!r}: there is no such directory.{hint} Expected a directory with "
            "config.json, model.safetensors and tokenizer files, a run directory, or the id of a model on a hub."
        )


def _load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        raise ModelError(_why(name, "tokenizer", error)) from error
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"The tokenizer of {name} has no end-of-sequence token, so a model could never learn to stop; "
            "set eos_token in its tokenizer_config.json."
        )
    return tokenizer


def model_directory(name: str | Path) -> str:
    """The model of a run directory, if `name` is one; else `name`."""
    inside = Path(name) / "model"
    return str(inside if (inside / "config.json").exists() else name)


def load_reward(name: str | Path, **how: Any) -> Loaded:
    """A reward model: a run directory's, with its axes, weights and centering; or any of transformers with one score.

    `how` is for `load`. Raises: ModelError for what is no reward model.
    """
    name = model_directory(name)
    config, kinds = _kinds(name)
    linear = None if any(map(_scores, kinds)) else linear_in(name)
    if linear is None and not any(map(_scores, kinds)):
        raise ModelError(
            f"{name} is no reward model but a {', '.join(kinds) or config.model_type}; make one with "
            "`preferably train reward` or `reward fit`, or give a sequence classification model with one score."
        )
    missing = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    path = cached_file(name, REWARD, **missing)
    known: dict[str, Any] = {"axes": {"reward": 1.0}}
    if path is not None:
        known = json.loads(Path(path).read_text(encoding="utf-8"))
    if linear is None and len(known["axes"]) != config.num_labels:
        raise ModelError(f"{name} gives {config.num_labels} scores; expected {', '.join(known['axes'])}.")
    loaded = load(name, axes=known["axes"] if linear is None else None, **how)
    if linear is not None:
        loaded.policy = FittedReward.of(loaded.policy, linear)
    assert isinstance(loaded.policy, Scorer)
    if path is None:
        loaded.notes.append(f"The reward model {name} has no {REWARD}: its scores are taken as they are, not centered.")
    loaded.policy.mean = tuple(known.get("mean", loaded.policy.mean))
    loaded.policy.spread = known.get("spread", 1.0)
    if not 0 < loaded.policy.spread < math.inf:
        raise ModelError(f"The {REWARD} of {name} has the spread {loaded.policy.spread}; expected a number above 0.")
    return loaded


def is_reward_model(name: str | Path) -> bool:
    """Whether a run directory, a directory or a hub id holds a model that scores. Raises ModelError for no model."""
    name = model_directory(name)
    return any(map(_scores, _kinds(name)[1])) or linear_in(name) is not None


def _kinds(name: str) -> tuple[Any, list[str]]:
    """The configuration of a model, and its architectures."""
    _refuse_mistyped(name)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        raise ModelError(_why(name, "model", error)) from error
    return config, config.architectures or []


def _scores(kind: str) -> bool:
    return kind.endswith("ForSequenceClassification")


def hollow(config: Any, axes: Mapping[str, float] | None = None) -> Any:
    """A causal LM of this configuration in float32, whose weights have a shape and no memory (torch's fake tensors);
    with `axes` a model that scores."""
    kind = AutoModelForCausalLM if axes is None else AutoModelForSequenceClassification
    if axes is not None:
        config.num_labels = len(axes)
    with FakeTensorMode(allow_non_fake_inputs=True):
        return kind.from_config(config, dtype=torch.float32, trust_remote_code=False).eval()


def _load_model(name: str, attention: str, weights: bool, axes: Mapping[str, float] | None) -> tuple[nn.Module, bool]:
    """The model in float32, and whether it takes our attention."""
    arguments: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": False}
    quiet = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        if not weights:
            model = hollow(AutoConfig.from_pretrained(name, trust_remote_code=False), axes)
        elif axes is None:
            model = AutoModelForCausalLM.from_pretrained(name, **arguments).eval()
        else:
            model = _with_head(name, axes, arguments)
        # Models with attention code of their own must keep it: they would take our name, and our mask, for theirs.
        # Where their own is not the common one (sinks, capped scores), ours would be another model without a word.
        packed = attention != "padded" and model._can_set_attn_implementation()
        packed = packed and model.config.get_text_config()._attn_implementation == "sdpa"
        if packed:
            model.set_attn_implementation(NAME)
        return model, packed
    except Exception as error:
        raise ModelError(_why(name, "model", error)) from error
    finally:
        transformers_logging.set_verbosity(quiet)


def _with_head(name: str, axes: Mapping[str, float], arguments: dict[str, Any]) -> Any:
    """The body of `name` with its own head where that has as many rows, else with a new one."""
    kind = AutoModelForSequenceClassification
    model, found = kind.from_pretrained(
        name, num_labels=len(axes), output_loading_info=True, ignore_mismatched_sizes=True, **arguments
    )
    if not isinstance(getattr(model, "score", None), nn.Linear):
        raise ValueError(
            f"{type(model).__name__} has no linear head `score` that is read at a text's last token, as a language "
            "model with a head has it; encoders have none."
        )
    new = {*found["missing_keys"], *(entry[0] for entry in found["mismatched_keys"])}
    if lost := new - {"score.weight"}:
        raise ValueError(f"{type(model).__name__} finds no weights there for {', '.join(sorted(lost)[:4])}.")
    if new:
        nn.init.normal_(model.score.weight, std=(model.score.in_features + 1) ** -0.5)
    return model.eval()


def _why(name: str, part: str, error: Exception) -> str:
    first = " ".join(str(error).split())[:300]
    where = "" if Path(name).exists() else "there is no such directory here, and as the id of a hub: "
    return (
        f"Cannot load a {part} from {name!r}: {where}{first} Expected a directory with config.json, "
        "model.safetensors and tokenizer files, or the id of such a model on a hub that can be reached."
    )


def save(loaded: Loaded, directory: Path) -> None:
    """Write the model, merged with its adapters if there are any, so that plain `from_pretrained` loads it."""
    model = loaded.policy.model
    if hasattr(model, "merge_and_unload"):
        model = copy.deepcopy(model).merge_and_unload()
    write_model(model, loaded, directory)


def write_model(model: Any, loaded: Loaded, directory: Path) -> None:
    """Write `model` in its own dtype with the tokenizer of `loaded` and the tokens that end its completions.

    A model with adapters is written as the adapters alone, in peft's form. Weights are safetensors.
    """
    policy = loaded.policy
    if isinstance(policy, Scorer):
        _write_meaning(policy, directory)
    if isinstance(policy, FittedReward):
        policy.write(directory)
    elif isinstance(policy, Scorer):
        _write_scorer(model, loaded, policy, directory)
        return
    stop_ids, generation = sorted(loaded.stop_ids), directory / "generation_config.json"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a generation setting that transformers finds odd is no loss
        if isinstance(model, PeftModel):
            # Base embeddings are no part of an adapter; peft would ask a hub whether they were changed.
            model.save_pretrained(str(directory), save_embedding_layers=False)
            loaded.policy.inner.generation_config.save_pretrained(directory)
        else:
            model.save_pretrained(directory)
    # In the file, as transformers refuses to save odd settings that it loaded once one of them was changed.
    values = json.loads(generation.read_text(encoding="utf-8"))
    values.pop("_from_model_config", None)
    values["eos_token_id"] = stop_ids if len(stop_ids) > 1 else stop_ids[0]
    if values.get("pad_token_id") is None:
        pad = loaded.tokenizer.pad_token_id
        values["pad_token_id"] = loaded.tokenizer.eos_token_id if pad is None else pad
    generation.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    loaded.tokenizer.save_pretrained(directory)


def padding_of(loaded: Loaded) -> int | None:
    """The token that a scorer is padded with: one that ends no text, where there is one."""
    tokenizer = loaded.tokenizer
    usable = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id)
    return next((token for token in usable if token is not None and token not in loaded.stop_ids), None)


def _write_scorer(model: Any, loaded: Loaded, scorer: Scorer, directory: Path) -> None:
    """What plain `AutoModelForSequenceClassification` loads, and beside it what the scores mean.

    transformers reads the score at the last token that is not padding, so that must not be the one that ends a text.
    Where the tokenizer has no other, none is written, and transformers then takes one text at a time.
    """
    tokenizer, pad = copy.deepcopy(loaded.tokenizer), padding_of(loaded)
    if pad is not None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad)
    model.config.pad_token_id = pad
    model.config.id2label = dict(enumerate(scorer.axes))
    model.config.label2id = {axis: row for row, axis in enumerate(scorer.axes)}
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _write_meaning(scorer: Scorer, directory: Path) -> None:
    said = {"schema": 1, "axes": dict(zip(scorer.axes, scorer.weights, strict=True)), "mean": scorer.mean}
    text = json.dumps(said | {"spread": scorer.spread}, indent=2) + "\n"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / REWARD).write_text(text, encoding="utf-8")
