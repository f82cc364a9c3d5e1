"""LoRA adapters (Hu et al. 2021, https://arxiv.org/abs/2106.09685) through peft."""

import warnings

from peft import LoraConfig, get_peft_model

from preferably.errors import ConfigError
from preferably.models.policy import Policy
from preferably.models.scorer import Scorer


def add_adapters(policy: Policy, *, r: int, alpha: float, targets: str) -> None:
    """Freeze the policy's weights and put trainable adapters of rank `r`, scaled by alpha / r, on `targets`.

    They start at zero, so that the policy is the reference. `targets`: `all-linear` or module names with commas.
    Raises `ConfigError` where no module has such a name.
    """
    names = targets if targets == "all-linear" else [name.strip() for name in targets.split(",")]
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,  # type: ignore[arg-type]
        lora_dropout=0.0,
        target_modules=names,
        task_type="SEQ_CLS" if isinstance(policy, Scorer) else "CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft's own calls of what transformers has deprecated
            policy.model = get_peft_model(policy.model, config).eval()
    except ValueError as error:
        modules = policy.inner.named_modules()
        linear = {name.rpartition(".")[2] for name, module in modules if type(module).__name__ in ("Linear", "Conv1D")}
        raise ConfigError(
            f"lora_targets {targets!r} fits no module ({str(error).splitlines()[0][:120]}); "
            f"this model has: {', '.join(sorted(linear))}; or use all-linear."
        ) from None
