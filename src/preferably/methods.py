"""The table of methods: facts only, no torch. Losses are named here and written in `objectives/`.

The table feeds `preferably methods`, `--help`, the validation of settings and the parity tests.
"""

from dataclasses import dataclass, field
from typing import Literal

from preferably.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A number that a method takes: its default, and the closed range in which it makes sense."""

    default: float
    low: float
    high: float
    about: str


@dataclass(frozen=True, slots=True)
class Method:
    """One row: what a method needs and what it is."""

    name: str
    feedback: Literal["demonstrations", "pairs"]
    loss: str  # the name of a function in preferably.objectives
    reference: bool  # whether log-probs under the frozen starting model are part of the loss
    length: Literal["sum", "mean"]  # how a completion's token log-probs become one number
    count: Literal["tokens", "groups"]  # what the summed loss is divided by, over the whole step
    loss_at_start: float | None  # the loss while policy = reference and hyperparameters are the defaults
    about: str
    paper: str
    hyperparameters: dict[str, Hyperparameter] = field(default_factory=dict)


BETA = Hyperparameter(0.1, 1e-4, 100.0, "how strongly the reference holds the policy back; smaller moves further")
NLL_WEIGHT = Hyperparameter(0.0, 0.0, 100.0, "weight of an SFT term (mean NLL per token) on the chosen completion")
SMOOTHING = Hyperparameter(0.1, 0.0, 0.499, "the share of labels believed to be flipped")
NO_SMOOTHING = Hyperparameter(0.0, 0.0, 0.499, SMOOTHING.about)
LN2 = 0.6931471805599453

METHODS: dict[str, Method] = {
    row.name: row
    for row in (
        Method(
            "sft", "demonstrations", "nll", False, "sum", "tokens", None,
            "Supervised fine-tuning: imitate demonstrations.", "https://arxiv.org/abs/2203.02155",
        ),
        Method(
            "dpo", "pairs", "dpo", True, "sum", "groups", LN2,
            "Direct preference optimization.", "https://arxiv.org/abs/2305.18290",
            {"beta": BETA, "label_smoothing": NO_SMOOTHING, "nll_weight": NLL_WEIGHT},
        ),
        Method(
            "cdpo", "pairs", "dpo", True, "sum", "groups", LN2,
            "Conservative DPO: DPO that believes some labels are flipped.", "https://ericmitchell.ai/cdpo.pdf",
            {"beta": BETA, "label_smoothing": SMOOTHING, "nll_weight": NLL_WEIGHT},
        ),
        Method(
            "rdpo", "pairs", "robust_dpo", True, "sum", "groups", LN2,
            "Robust DPO: an unbiased estimate of the loss under flipped labels.", "https://arxiv.org/abs/2403.00409",
            {"beta": BETA, "label_smoothing": SMOOTHING, "nll_weight": NLL_WEIGHT},
        ),
        Method(
            "ipo", "pairs", "ipo", True, "mean", "groups", 25.0,
            "Identity preference optimization on the mean log-ratio per token.", "https://arxiv.org/abs/2310.12036",
            {"beta": BETA, "nll_weight": NLL_WEIGHT},
        ),
        Method(
            "ipo-sum", "pairs", "ipo", True, "sum", "groups", 25.0,
            "Identity preference optimization on the summed log-ratio, as the paper writes it.",
            "https://arxiv.org/abs/2310.12036",
            {"beta": BETA, "nll_weight": NLL_WEIGHT},
        ),
        Method(
            "hinge", "pairs", "hinge", True, "sum", "groups", 1.0,
            "A margin of 1 between implicit rewards (the ranking loss of SLiC with a reference).",
            "https://arxiv.org/abs/2305.10425",
            {"beta": BETA, "nll_weight": NLL_WEIGHT},
        ),
    )
}  # fmt: skip


def method_named(name: str) -> Method:
    """The row called `name`; a `ConfigError` with the nearest names otherwise."""
    if name in METHODS:
        return METHODS[name]
    from difflib import get_close_matches

    near = get_close_matches(name, METHODS, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigError(f"There is no method {name!r}{hint}. Known methods: {', '.join(METHODS)}.")


def resolve_hyperparameters(method: Method, given: dict[str, float]) -> dict[str, float]:
    """The method's hyperparameters with `given` on top; a `ConfigError` for one it does not take or out of range."""
    for name, value in given.items():
        if name not in method.hyperparameters:
            takes = ", ".join(method.hyperparameters) or "none"
            raise ConfigError(f"{method.name} does not take {name!r} (got {value}); it takes: {takes}.")
        bounds = method.hyperparameters[name]
        if not bounds.low <= value <= bounds.high:
            span = f"{bounds.low} to {bounds.high}"
            raise ConfigError(f"{name} = {value} is out of range for {method.name}: expected {span}.")
    return {name: given.get(name, row.default) for name, row in method.hyperparameters.items()}
