"""Every setting of a training run: frozen, complete, and an error with a suggestion for a key that does not exist."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from preferably.errors import ConfigError
from preferably.methods import Method, method_named, resolve_hyperparameters

# Names that users of other tools already know; read as ours.
ALIASES = {
    "model_name_or_path": "model", "base_model": "model", "dataset_name": "data", "output_dir": "output",
    "eval_data": "held_out_data", "test_size": "held_out", "lr": "learning_rate", "num_train_epochs": "epochs",
    "num_epochs": "epochs", "per_device_train_batch_size": "batch_size", "micro_batch_size": "batch_size",
    "lr_scheduler_type": "schedule", "warmup_ratio": "warmup", "warmup_steps": "warmup", "max_grad_norm": "clip",
    "adam_epsilon": "eps", "max_seq_length": "max_length", "cutoff_len": "max_length", "sequence_len": "max_length",
    "truncation_mode": "truncation", "eval_steps": "eval_every", "save_steps": "save_every",
    "save_total_limit": "keep", "use_peft": "lora", "lora_rank": "lora_r", "lora_target_modules": "lora_targets",
    "lora_target": "lora_targets", "pref_beta": "beta", "dpo_beta": "beta", "rpo_alpha": "nll_weight",
    "pref_ftx": "nll_weight", "loss_type": "method", "report_to": "track", "ref_model": "reference_model",
    "model_ref": "reference_model", "reward_funcs": "reward", "reward_model": "reward", "reward_model_path": "reward",
    "num_generations": "samples_per_prompt", "rloo_k": "samples_per_prompt", "response_length": "sample_tokens",
    "max_completion_length": "sample_tokens", "num_ppo_epochs": "update_epochs", "num_iterations": "update_epochs",
    "num_mini_batches": "minibatches", "cliprange": "clip_range", "epsilon": "clip_range",
    "epsilon_high": "clip_high", "cliprange_value": "value_clip", "vf_coef": "value_weight",
}  # fmt: skip
HYPERPARAMETERS = (
    "beta", "label_smoothing", "nll_weight", "desirable_weight", "undesirable_weight", "margin",
    "kl_coef", "clip_range", "value_clip", "value_weight", "gamma", "lam", "missing_eos_penalty", "ptx_weight",
)  # fmt: skip
# Where a method was published with another setting than the default. A warm-up begins at 0: of what is drawn and scored
# first nothing would be learnt.
METHOD_DEFAULTS: dict[str, dict[str, Any]] = {
    "ppo": {"update_epochs": 4, "whiten_advantages": True, "eps": 1e-5, "schedule": "linear", "warmup": 0.0},
    "grpo": {"loss_norm": "sequences", "warmup": 0.0},
    "rloo": {"warmup": 0.0}, "online-dpo": {"warmup": 0.0}, "raft": {"warmup": 0.0},
}  # fmt: skip
# Settings that not every method reads, and which do: by what `_check_online` tells methods apart.
READ_BY = {
    "online": (
        ("reward", "guard", "ptx_data", "stop_kl", "stop_kl_per_token", "temperature", "update_epochs", "minibatches",
         "samples_per_prompt"),
        "methods that draw their completions",
    ),
    "tokens": (
        ("kl_target", "kl_horizon", "kl_in", "kl_estimator", "clip_high", "whiten_advantages", "loss_norm"),
        "ppo, rloo and grpo",
    ),
    "gae": (("critic", "critic_learning_rate", "whiten_rewards"), "ppo"),
    "group": (("scale_advantages",), "grpo"),
    "scores": (("axes",), "reward"),
    "lora": (("lora_r", "lora_alpha", "lora_targets"), "adapters (lora: true)"),
    "soft": (("aggregate",), "dpo, ipo, hinge and reward, without label_smoothing and axes"),
}  # fmt: skip
LOSS_TYPES = {"sigmoid": "dpo", "robust": "rdpo"}  # values of TRL's loss_type that are methods of another name here


def _names(value: Any) -> Any:
    """`tensorboard,wandb` and lists of names; `none`, alone, is no tracker."""
    if isinstance(value, str):
        value = tuple(name.strip() for name in value.split(","))
    return () if value is None or value == ("none",) else value


def _weights(value: Any) -> Any:
    """`helpful=0.7,honest=0.3`, and names alone, which count 1 each."""
    if isinstance(value, str):
        value = value.split(",")
    if isinstance(value, list | tuple):
        parts = [str(one).partition("=") for one in value]
        value = {name.strip(): weight if equals else 1.0 for name, equals, weight in parts}
    return value


Half = Literal["a", "b"]  # of the prompts
Decay = Annotated[float, Field(ge=0, lt=1)]
Tracks = Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...], BeforeValidator(_names)]

Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
Axes = Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(_weights)]


class TrainSettings(BaseModel):
    """The settings of `preferably train`. Counts are of groups (a prompt with its completions) unless said."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: str = Field(description="which method (see `preferably methods`)")
    model: str = Field(description="a directory or hub id of a causal LM; the run starts from it and is held to it")
    data: tuple[str, ...] = Field(default=(), description="feedback: files, directories, or owner/name of the hub")
    output: str = Field(description="the run directory to write")

    held_out_data: tuple[str, ...] = Field(default=(), description="files to hold out, instead of a part of `data`")
    held_out: float = Field(0.1, ge=0, description="share of prompts to hold out, or a count of groups from 1 on")
    half: Half | None = Field(None, description="learn from one half of the prompts; a and b share none")
    max_rejected: float = Field(0.01, ge=0, le=1, description="stop when more than this share of rows is rejected")
    aggregate: Literal["majority", "posterior"] = Field("majority", description="how several labelers' verdicts count")
    max_length: int | None = Field(None, ge=2, description="tokens of prompt and completion; default: context, <= 2048")
    truncation: Literal["reject", "keep_start", "keep_end"] = Field("reject", description="what to do with longer ones")

    epochs: float = Field(1.0, gt=0, description="passes over the training data")
    max_steps: int | None = Field(None, ge=1, description="optimizer steps, instead of epochs")
    batch_size: int = Field(32, ge=1, description="groups per optimizer step, however they fall into micro-batches")
    tokens_per_microbatch: int = Field(8192, ge=1, description="tokens in one forward pass")
    learning_rate: float | None = Field(None, gt=0, description="peak; default: the method's; x10 with LoRA")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="after the warm-up")
    warmup: float = Field(0.1, ge=0, description="share of steps, or a count from 1 on; 0 where completions are drawn")
    weight_decay: float = Field(0.0, ge=0, description="on matrices; norms and biases are exempt")
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="AdamW's decay of its two moments")
    eps: float = Field(1e-8, gt=0, description="AdamW's")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient of a step")

    beta: float | None = Field(None, description="strength of the anchor to the reference")
    label_smoothing: float | None = Field(None, description="share of labels believed to be flipped")
    nll_weight: float | None = Field(None, description="weight of an SFT term on the chosen completion")
    desirable_weight: float | None = Field(None, description="weight of desirable completions (kto)")
    undesirable_weight: float | None = Field(None, description="weight of undesirable completions (kto)")
    margin: float | None = Field(None, description="how far apart scores are to be, times the strength of the pair")
    axes: Axes = Field({}, description="rated axes to score, with weights: helpful=0.7,honest=0.3 (reward)")
    reward: Names = Field((), description="its parts, [weight*]name: a reward model, [judge:]module:function, length")
    samples_per_prompt: int | None = Field(None, ge=1, description="completions drawn for a prompt, if not as usual")
    temperature: float = Field(1.0, gt=0, description="that completions to learn from are drawn at")
    update_epochs: int = Field(1, ge=1, description="passes over an iteration's completions; 4 for ppo")
    minibatches: int = Field(1, ge=1, description="updates in one pass")
    kl_coef: float | None = Field(None, description="what a nat of KL costs, in units of the reward")
    kl_in: Literal["reward", "loss"] = Field("reward", description="where the KL from the reference is paid")
    kl_estimator: Literal["k1", "k2", "k3"] | None = Field(None, description="default: k1, and k2 in the loss")
    kl_target: float | None = Field(None, gt=0, description="nats per completion that kl_coef is adapted to reach")
    kl_horizon: float = Field(10000, gt=0, description="completions in which kl_coef can change by a fifth")
    stop_kl: float | None = Field(None, gt=0, description="end the run at so many nats a completion from the reference")
    stop_kl_per_token: float | None = Field(None, gt=0, description="the same, nats per token")
    clip_range: float | None = Field(None, description="largest change of a token's probability that is learnt from")
    clip_high: float | None = Field(None, gt=0, description="the same upwards; default: clip_range")
    gamma: float | None = Field(None, description="discount of later rewards (ppo)")
    lam: float | None = Field(None, description="lambda of the advantages (ppo)")
    value_clip: float | None = Field(None, description="largest change of a value that is learnt from (ppo)")
    value_weight: float | None = Field(None, description="weight of the critic's loss (ppo)")
    critic: str | None = Field(None, description="a model, or `shared`, a head on the policy; default: the reward")
    critic_learning_rate: float | None = Field(None, gt=0, description="default: the policy's, without its x10")
    missing_eos_penalty: float | None = Field(None, description="taken off the reward of a completion without an end")
    whiten_rewards: bool = Field(False, description="rewards at variance 1 over the iteration (ppo)")
    whiten_advantages: bool = Field(False, description="advantages at mean 0 and variance 1; true for ppo")
    scale_advantages: bool = Field(True, description="divide by the spread within a prompt (grpo)")
    loss_norm: Literal["tokens", "sequences", "fixed"] = Field(
        "tokens", description="what counts alike: tokens, completions (so for grpo), or tokens over a fixed count"
    )
    guard: str | None = Field(None, description="another reward, which watches and is not trained against")
    ptx_data: tuple[str, ...] = Field(default=(), description="demonstrations whose loss is mixed in")
    ptx_weight: float | None = Field(None, description="weight of their loss")

    objective: dict[str, float] = Field(default={}, description="hyperparameters of an objective of your own")
    reference_model: str | None = Field(
        None, description="a model with the same vocabulary to be held to; default: the one that the run starts from"
    )
    reference: Literal["cache", "live"] = Field("cache", description="keep reference log-probs once computed, or not")

    lora: bool = Field(False, description="train adapters; the model without them is the reference")
    lora_r: int = Field(16, ge=1, description="rank")
    lora_alpha: float = Field(32.0, gt=0, description="scale is alpha / r")
    lora_targets: str = Field("all-linear", description="modules to adapt, comma-separated")

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    dtype: Literal["auto", "float32", "bfloat16"] = Field("auto", description="what matrix products are computed in")
    attention: Literal["auto", "packed", "padded"] = Field("auto", description="prefix-shared, or the plain forward")
    processes: int = Field(1, ge=1, description="share the work among so many processes; on GPUs, one for each")
    threads: int | None = Field(None, ge=1, description="CPU threads; default: the machine's")
    memory_limit: float | None = Field(
        None, gt=0, description="GB that the run may hold; default: what is free; a larger figure goes on anyway"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of the split, the order of data and all sampling")

    eval_every: int | None = Field(None, ge=1, description="steps between evaluations; default: five a run")
    save_every: int | None = Field(None, ge=1, description="steps between checkpoints; default: with evaluations")
    keep: int = Field(2, ge=1, description="checkpoints kept, beside the best")
    patience: int | None = Field(None, ge=1, description="stop after so many evaluations with no better held-out loss")
    final: Literal["last", "best"] = Field("last", description="which weights become the model; best with patience")
    sample_prompts: int = Field(64, ge=0, description="held-out prompts sampled at each evaluation for KL and alarms")
    sample_tokens: int = Field(128, ge=1, description="longest sample, tokens")
    track: Tracks = Field((), description="write metrics also to tensorboard, wandb, trackio; comma-separated")

    @property
    def row(self) -> Method:
        """The method's row of facts."""
        return method_named(self.method)

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The method's hyperparameters: its defaults with the settings on top."""
        given = {name: getattr(self, name) for name in HYPERPARAMETERS}
        set_ = {name: value for name, value in given.items() if value is not None} | self.objective
        return resolve_hyperparameters(self.row, set_)

    @property
    def samples(self) -> int:
        """Completions that are drawn for a prompt to learn from."""
        return self.samples_per_prompt or self.row.samples

    @property
    def heads(self) -> dict[str, float] | None:
        """The axes that the model scores with their weights; None for a model of words."""
        return (self.axes or {"reward": 1.0}) if self.row.scores else None

    @property
    def chooses_best(self) -> bool:
        """Whether the weights with the best held-out loss become the model."""
        return self.final == "best" or self.patience is not None

    @property
    def estimator(self) -> str:
        """How the KL is estimated: k1 has the right mean, but no gradient on average, so in the loss it is k2."""
        return self.kl_estimator or ("k2" if self.kl_in == "loss" else "k1")

    @property
    def critic_rate(self) -> float:
        """The peak learning rate of the critic, all of whose weights are trained, also beside adapters."""
        return self.critic_learning_rate or self.learning_rate or self.row.learning_rate

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate, or the default of the method."""
        if self.learning_rate is not None:
            return self.learning_rate
        return self.row.learning_rate * (10 if self.lora else 1)


def settings(values: dict[str, Any]) -> TrainSettings:
    """Settings from names as users write them (ours or their aliases); a `ConfigError` that says what to change."""
    known = TrainSettings.model_fields
    if values.get("method") == "dpo" and isinstance(values.get("loss_type"), str):
        # As TRL has it: the trainer is DPO's, the loss any of its family.
        values = {key: value for key, value in values.items() if key != "method"}
    resolved: dict[str, Any] = {}
    for key, value in values.items():
        name = ALIASES.get(key, key)
        if name.startswith("objective."):
            resolved["objective"] = resolved.get("objective", {}) | {name.removeprefix("objective."): value}
            continue
        if name not in known:
            near = get_close_matches(key, [*known, *ALIASES], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ConfigError(f"There is no setting {key!r}{hint} `preferably train --help` lists them all.")
        if name in resolved:
            raise ConfigError(f"{name!r} was given twice (the second time as {key!r}); give it once.")
        if key == "loss_type" and isinstance(value, str):
            value = LOSS_TYPES.get(value, value)
        if name in ("data", "held_out_data") and isinstance(value, str | Path):
            value = (str(value),)
        if isinstance(value, list | tuple):
            value = tuple(str(item) if isinstance(item, Path) else item for item in value)
        resolved[name] = str(value) if isinstance(value, Path) else value
    for name, value in METHOD_DEFAULTS.get(str(resolved.get("method")), {}).items():
        resolved.setdefault(name, value)
    try:
        made = TrainSettings(**resolved)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']} (got {e.get('input')!r})" for e in error.errors()
        )
        raise ConfigError(f"Settings that cannot be used: {problems}.") from None
    own = made.row.hyperparameters["nll_weight"].default if made.row.terms else 0
    if own and made.nll_weight not in (None, own):
        raise ConfigError(f"{made.method} has its SFT term already; leave out nll_weight, or change the sum.")
    taken = made.hyperparameters  # raises for a hyperparameter that the method does not take
    if made.axes and taken.get("margin"):
        raise ConfigError(
            f"margin {taken['margin']:g} is asked for in proportion to the strength of a pair, and ratings on axes "
            "have none; leave out margin, or axes."
        )
    if made.reference_model and not made.row.reference:
        raise ConfigError(f"{made.method} has no reference; leave out reference_model {made.reference_model!r}.")
    if made.row.baseline and made.batch_size < 2:
        raise ConfigError(f"{made.method} compares the completions of a step; batch_size must be at least 2.")
    _check_online(made)
    return made


def _check_online(made: TrainSettings) -> None:
    """What an online run needs, and what only some of the methods read."""
    row = made.row
    kinds = {
        "online": row.online, "tokens": row.online and row.learns == "tokens", "gae": row.advantage == "gae",
        "group": row.advantage == "group", "scores": row.scores, "lora": made.lora,
        "soft": row.soft and not made.label_smoothing and not made.axes,
    }  # fmt: skip
    for kind, (names, methods) in READ_BY.items():
        for name in names if not kinds[kind] else ():
            if getattr(made, name) != TrainSettings.model_fields[name].default:
                raise ConfigError(f"{made.method} does not read {name!r}, which is for {methods}; leave it out.")
    if not row.online:
        return
    if not made.reward:
        raise ConfigError(f"{made.method} needs a reward: --reward with a reward model, or module:function.")
    if made.samples < 2 and row.advantage != "gae":
        raise ConfigError(f"{made.method} compares completions of a prompt; samples_per_prompt must be at least 2.")
    if made.processes > 1:
        raise ConfigError(f"{made.method} runs in one process so far; leave out processes {made.processes}.")
    if made.row.hyperparameters.get("ptx_weight") and bool(made.ptx_weight) != bool(made.ptx_data):
        raise ConfigError("ptx_data and ptx_weight belong together; give both, or neither.")
    if made.chooses_best:
        raise ConfigError(f"{made.method} has no held-out loss to choose by; leave out patience and final.")
    if made.kl_in == "loss" and made.kl_estimator == "k1":
        raise ConfigError("k1 has no gradient on average, so in the loss it holds nothing back; take k2 or k3.")
    if made.kl_target is None and made.kl_horizon != TrainSettings.model_fields["kl_horizon"].default:
        raise ConfigError("kl_horizon is how fast kl_target is reached, and there is none; give both, or neither.")
    if made.kl_target and made.kl_horizon < (drawn := made.batch_size * made.samples):
        raise ConfigError(
            f"kl_horizon {made.kl_horizon:g} is less than the {drawn} completions of an iteration, in which kl_coef "
            f"could then change by more than a fifth, or turn negative; let it be {drawn} or more."
        )
    if made.kl_target and made.kl_coef == 0:
        raise ConfigError("kl_target adapts kl_coef by factors, and 0 stays 0; start from more.")
    blind = not made.sample_prompts or not (made.held_out or made.held_out_data)
    if blind and (made.guard or (row.learns != "tokens" and (made.stop_kl or made.stop_kl_per_token))):
        raise ConfigError(
            "A guard and stop_kl look at own samples on held-out prompts, and there are none; let held_out and "
            "sample_prompts be more than 0."
        )


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings in a YAML file; a `ConfigError` where it is not a mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read the settings file {path}: {error}.") from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__ if values else 'nothing'}; expected lines `beta: 0.1`.")
    return {str(key): value for key, value in values.items()}
