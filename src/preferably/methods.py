"""The table of methods: facts only, no torch. Losses are named here and written in `objectives/`.

The table feeds `preferably methods`, `--help`, the validation of settings and the parity tests. Beside its names, a
method is also a weighted sum of them (`dpo+0.1*nll`), or a user's own objective (`module:function`).
"""

import inspect
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from preferably.errors import ConfigError
from preferably.functions import load_function


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
    feedback: Literal["demonstrations", "pairs", "labels", "rankings", "prompts"]
    loss: str  # the name of a function in preferably.objectives, or a user's `module:function`
    reference: bool  # whether log-probs under the frozen starting model are part of the loss
    length: Literal["sum", "mean"]  # how a completion's token log-probs become one number
    count: Literal["tokens", "groups"]  # what the summed loss is divided by, over the whole step
    loss_at_start: float | None  # the loss while policy = reference and hyperparameters are the defaults
    about: str
    paper: str
    hyperparameters: dict[str, Hyperparameter] = field(default_factory=dict)
    learning_rate: float = 1e-6  # the default peak, without adapters
    baseline: bool = False  # whether the loss takes the KL of mismatched completions over the whole step
    terms: tuple[tuple[float, "Method"], ...] = ()  # (weight, method) of a sum
    scores: bool = False  # whether the model gives scores instead of words
    learns: Literal["", "tokens", "pairs", "best"] = ""  # online: each token, the better of two, or the best of several
    advantage: Literal["", "gae", "leave-one-out", "group"] = ""  # what a completion is held against
    samples: int = 1  # completions that are drawn for a prompt
    soft: bool = False  # whether the loss can be of how likely it is that the chosen one is the better

    @property
    def online(self) -> bool:
        """Whether the policy learns from completions that it draws itself."""
        return bool(self.learns)

    @property
    def parts(self) -> tuple[tuple[float, "Method"], ...]:
        """The terms of a sum; a method that is none is its own only part."""
        return self.terms or ((1.0, self),)


BETA = Hyperparameter(0.1, 1e-4, 100.0, "how strongly the reference holds the policy back; smaller moves further")
NLL_WEIGHT = Hyperparameter(0.0, 0.0, 100.0, "weight of an SFT term (mean NLL per token) on the chosen completion")
SMOOTHING = Hyperparameter(0.1, 0.0, 0.499, "the share of labels believed to be flipped")
WEIGHT = Hyperparameter(1.0, 0.0, 100.0, "weight of desirable (undesirable) completions, to balance their numbers")
MARGIN = Hyperparameter(
    0.0, 0.0, 100.0, "how far apart the scores of a pair are to be, times its strength where that was said"
)
KL_COEF = Hyperparameter(0.05, 0.0, 100.0, "what a nat of KL from the reference costs, in units of the reward")
CLIP = Hyperparameter(0.2, 1e-3, 10.0, "how far the ratio to the policy that drew a token may go before it is cut")
MISSING_EOS = Hyperparameter(1.0, 0.0, 1e6, "what is taken off the reward of a completion that does not end")
PTX = Hyperparameter(0.0, 0.0, 1e3, "weight of the SFT loss on the demonstrations in ptx_data")
OWN = {"kl_coef": KL_COEF, "clip_range": CLIP, "missing_eos_penalty": MISSING_EOS, "ptx_weight": PTX}
PPO = {
    "gamma": Hyperparameter(1.0, 0.0, 1.0, "discount of rewards that come later"),
    "lam": Hyperparameter(0.95, 0.0, 1.0, "lambda of generalised advantage estimation"),
    "value_clip": Hyperparameter(0.2, 1e-3, 1e6, "how far a value may move in an iteration before it is cut"),
    "value_weight": Hyperparameter(0.1, 0.0, 1e3, "weight of the critic's loss"),
}
NO_SMOOTHING = Hyperparameter(0.0, 0.0, 0.499, SMOOTHING.about)
LN2 = 0.6931471805599453

METHODS: dict[str, Method] = {
    row.name: row
    for row in (
        Method(
            "sft", "demonstrations", "nll", False, "sum", "tokens", None,
            "Supervised fine-tuning: imitate demonstrations.", "https://arxiv.org/abs/2203.02155",
            learning_rate=2e-5,
        ),
        Method(
            "dpo", "pairs", "dpo", True, "sum", "groups", LN2,
            "Direct preference optimization.", "https://arxiv.org/abs/2305.18290",
            {"beta": BETA, "label_smoothing": NO_SMOOTHING, "nll_weight": NLL_WEIGHT}, soft=True,
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
            {"beta": BETA, "nll_weight": NLL_WEIGHT}, soft=True,
        ),
        Method(
            "ipo-sum", "pairs", "ipo", True, "sum", "groups", 25.0,
            "Identity preference optimization on the summed log-ratio, as the paper writes it.",
            "https://arxiv.org/abs/2310.12036",
            {"beta": BETA, "nll_weight": NLL_WEIGHT}, soft=True,
        ),
        Method(
            "hinge", "pairs", "hinge", True, "sum", "groups", 1.0,
            "A margin of 1 between implicit rewards (the ranking loss of SLiC with a reference).",
            "https://arxiv.org/abs/2305.10425",
            {"beta": BETA, "nll_weight": NLL_WEIGHT}, soft=True,
        ),
        Method(
            "orpo", "pairs", "orpo", False, "mean", "groups", None,
            "Odds ratio preference optimization: SFT and preference at once, without a reference.",
            "https://arxiv.org/abs/2403.07691", {"beta": BETA}, learning_rate=8e-6,
        ),
        Method(
            "kto", "labels", "kto", True, "sum", "groups", 0.5,
            "Kahneman-Tversky optimization: thumbs up and down instead of pairs.", "https://arxiv.org/abs/2402.01306",
            {"beta": BETA, "desirable_weight": WEIGHT, "undesirable_weight": WEIGHT, "nll_weight": NLL_WEIGHT},
            baseline=True,
        ),
        Method(
            "reward", "rankings", "plackett_luce", False, "sum", "groups", None,
            "A reward model: Bradley-Terry on pairs, Plackett-Luce on rankings, with ties.",
            "https://arxiv.org/abs/2203.02155", {"margin": MARGIN}, learning_rate=9e-6, scores=True,
            soft=True,
        ),
        Method(
            "ppo", "prompts", "clipped", True, "sum", "tokens", None,
            "Proximal policy optimization against a reward, with a critic.", "https://arxiv.org/abs/1707.06347",
            OWN | PPO, learning_rate=3e-6, learns="tokens", advantage="gae",
        ),
        Method(
            "rloo", "prompts", "clipped", True, "sum", "tokens", None,
            "REINFORCE against a reward; the other completions of a prompt are the baseline.",
            "https://arxiv.org/abs/2402.14740", OWN, learning_rate=1e-6, learns="tokens", advantage="leave-one-out",
            samples=4,
        ),
        Method(
            "grpo", "prompts", "clipped", True, "sum", "tokens", None,
            "Group relative policy optimization: rewards in units of their spread within a prompt.",
            "https://arxiv.org/abs/2402.03300", OWN, learning_rate=1e-6, learns="tokens", advantage="group", samples=8,
        ),
        Method(
            "online-dpo", "prompts", "dpo", True, "sum", "groups", LN2,
            "DPO on the better and the worse of the policy's own completions, by a reward.",
            "https://arxiv.org/abs/2402.04792", {"beta": BETA, "missing_eos_penalty": MISSING_EOS, "ptx_weight": PTX},
            learning_rate=5e-7, learns="pairs", samples=2,
        ),
        Method(
            "raft", "prompts", "nll", True, "sum", "tokens", None,
            "Rejection sampling: supervised fine-tuning on the best of several own completions, by a reward.",
            "https://arxiv.org/abs/2304.06767", {"missing_eos_penalty": MISSING_EOS, "ptx_weight": PTX},
            learning_rate=2e-5, learns="best", samples=8,
        ),
    )
}  # fmt: skip

# What a user's objective may take: the names of its parameters say what it is given, and so which feedback it needs.
GIVEN: dict[Literal["pairs", "labels", "demonstrations"], tuple[str, ...]] = {
    "pairs": (
        "policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected",
        "chosen_length", "rejected_length",
    ),
    "labels": ("policy", "reference", "desirable", "baseline", "length"),
    "demonstrations": ("policy", "reference", "length"),
}  # fmt: skip


def method_named(name: str) -> Method:
    """The method that `name` says; a `ConfigError` with the nearest names where there is none.

    A name of the table, `module:function` (an objective of the user's own, see `docs/methods.md`), or a sum of them
    with weights, such as `dpo+0.1*nll`, where `nll` is the SFT term on the chosen completion.
    """
    if name in METHODS:
        return METHODS[name]
    path, _, function = name.rpartition(":")
    is_path = function.isidentifier() and Path(path).exists()  # whose name may hold a plus
    if ("+" in name or "*" in name) and not is_path:
        return _sum(name)
    if ":" in name:
        return _own(name)
    near = get_close_matches(name, METHODS, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigError(
        f"There is no method {name!r}{hint}. Known methods: {', '.join(METHODS)}; a sum such as dpo+0.1*nll; or an "
        "objective of your own, module:function."
    )


def _sum(name: str) -> Method:
    """`[weight*]name` joined by `+`. The SFT term is one that the methods have already, as `nll_weight`."""
    terms: list[tuple[float, Method]] = []
    nll = 0.0
    for text in name.split("+"):
        weight, star, of = (part.strip() for part in text.rpartition("*"))
        try:
            number = float(weight) if star else 1.0
        except ValueError:
            number = -1.0
        if not 0 < number < float("inf"):
            raise ConfigError(f"{text.strip()!r} in {name!r} has no weight above 0; expected, for example, 0.1*nll.")
        if of == "nll":
            nll += number
        else:
            terms.append((number, method_named(of)))
    first = terms[0][1] if terms else METHODS["sft"]
    if {row.feedback for _, row in terms} not in ({"pairs"}, {"labels"}):
        raise ConfigError(f"{name!r} cannot be summed: give methods on pairs, or on labels, and 0.1*nll beside them.")
    taken = {key: value for _, row in reversed(terms) for key, value in row.hyperparameters.items()}
    if nll:
        taken["nll_weight"] = replace(NLL_WEIGHT, default=nll)
    starts = [(weight, row.loss_at_start) for weight, row in terms]
    known = not nll and all(start is not None for _, start in starts)
    return Method(
        name, first.feedback, first.loss, any(row.reference for _, row in terms), first.length, "groups",
        sum(weight * (start or 0.0) for weight, start in starts) if known else None,
        "A weighted sum of " + " and ".join(row.name for _, row in terms) + (" with an SFT term." if nll else "."),
        first.paper, taken, learning_rate=first.learning_rate, baseline=any(row.baseline for _, row in terms),
        terms=tuple(terms), soft=all(row.soft for _, row in terms),
    )  # fmt: skip


def _own(name: str) -> Method:
    """A user's objective as a row: what it needs is read off the names of its parameters."""
    try:
        takes = inspect.signature(load_function(name)).parameters
    except ValueError as error:
        raise ConfigError(f"The parameters of {name!r} cannot be read ({error}); give a function of Python.") from None
    if any(parameter.kind is inspect.Parameter.POSITIONAL_ONLY for parameter in takes.values()):
        raise ConfigError(f"The objective {name!r} has parameters without names (before a /); it is called by names.")
    tensors = {key for key, parameter in takes.items() if parameter.kind is not inspect.Parameter.KEYWORD_ONLY}
    feedback = next((kind for kind, given in GIVEN.items() if tensors and tensors <= set(given)), None)
    # Both the labels' and the demonstrations' names hold `policy`: what tells labels apart is what only they have.
    if feedback == "labels" and not tensors & {"desirable", "baseline"}:
        feedback = "demonstrations"
    if feedback is None:
        expected = "; ".join(f"{kind}: {', '.join(given)}" for kind, given in GIVEN.items())
        raise ConfigError(
            f"The objective {name!r} takes {', '.join(takes) or 'nothing'}; its positional parameters say what it is "
            f"given and are of one kind. Expected some of: {expected}. Hyperparameters come after a *."
        )
    numbers = {}
    for key in takes.keys() - tensors:
        default = BETA.default if key == "beta" else takes[key].default
        if isinstance(default, bool) or not isinstance(default, int | float):
            raise ConfigError(f"The hyperparameter {key!r} of {name!r} needs a number as its default.")
        numbers[key] = Hyperparameter(float(default), float("-inf"), float("inf"), f"of {name}")
    return Method(
        name, feedback, name, any(key.startswith("reference") for key in tensors) or "baseline" in tensors, "sum",
        "tokens" if feedback == "demonstrations" else "groups", None, "An objective of your own.", "", numbers,
        baseline="baseline" in tensors,
    )  # fmt: skip


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
