"""What goes wrong in training, seen in the metrics and said in words. No torch.

Each alarm looks at the latest evaluation beside the first one (step 0, before any update); those of the KL look at the
rollouts of every iteration too. It speaks once a run.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from preferably.statistics.intervals import wilson

# KL per sequence above which a policy is far from its start: best-of-n has KL ln n - (n-1)/n, so reaching 10 nats that
# way would take the best of 60,000 samples. A short completion is another text long before: at half a nat a token every
# token is 1.6 times as likely as under the reference.
KL_PER_SEQUENCE, KL_PER_TOKEN = 10.0, 0.5
# A chosen completion that lost this many nats a token is on its way out of the policy's own distribution.
DISPLACED_PER_TOKEN = 0.4
LENGTH_RATIO = 1.6
REPETITION_RISE = 0.1
SHARE_RISE = 0.1  # of all tokens; the commonest word of English is 5% of text
SURE = 3.0  # standard errors: of many words one rises by two of them by chance
# Share of samples. Of many who are asked many things some begin with the same word, but hardly nine of ten.
SAME_START, SAME_TOKEN, SAME_RISE = 0.8, 0.9, 0.4
UNFINISHED, UNFINISHED_RISE = 0.5, 0.2
FLAT_MARGIN = 0.02  # of implicit rewards: the loss of DPO is then within 0.01 of ln 2
FEW = 50  # held-out pairs below which that is not asked
LOSS_RISE = 0.1  # share of the held-out loss at the start

SHARE = "samples/share/"  # then a token's number and text: what is looked at here and not logged, being too much
LOOK_WHAT_PAYS = (
    "read the samples; look what the reward, or the labels, pay for, and lower its weight or raise kl_coef (beta)"
)

Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Warning:
    """One alarm: when, which, what it means and what to change."""

    step: int
    code: str
    message: str
    advice: str


def _kl(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    return _far(now, "kl", KL_PER_SEQUENCE)


def _kl_per_token(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    return _far(now, "kl_per_token", KL_PER_TOKEN)


def _far(now: Metrics, which: str, most: float) -> tuple[str, str] | None:
    """Whether own samples, or an iteration's rollouts, have more KL than `most`."""
    for kind, what in (("objective/", "own samples"), ("objective/rollout_", "rollouts")):
        if not now.get(f"{kind}{which}", 0.0) > most:
            continue
        return (
            f"KL on {what} is {now[f'{kind}kl']:.1f} nats per sequence ({now[f'{kind}kl_per_token']:.2f} per token): "
            "the policy has moved far from the reference, where neither the preferences nor the reference vouch for "
            "its text",
            "raise beta (kl_coef), lower the learning rate, or stop earlier; read the samples before trusting a high "
            "win rate",
        )
    return None


def _displacement(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    fallen = now.get("eval_logratio/chosen_per_token", 0.0)
    if fallen > -DISPLACED_PER_TOKEN:
        return None
    return (
        f"held-out chosen completions lost {-fallen:.2f} nats per token: the loss falls by making the rejected ones "
        "even less likely, and the probability goes to text that nobody compared (likelihood displacement)",
        "add an SFT term on the chosen completion (nll_weight 0.1 to 1), raise beta, or lower the learning rate",
    )


def _length(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    before, after = start.get("samples/length"), now.get("samples/length")
    if _shown(now) or not before or not after:
        return None
    errors = (one.get("samples/length_se", 0.0) / one["samples/length"] for one in (start, now))
    # A few rambling samples make a mean: beyond the limit is what is so by twice its standard error.
    change = max(after / before, before / after) * math.exp(-2 * math.hypot(*errors))
    if change < LENGTH_RATIO:
        return None
    return (
        f"samples went from {before:.0f} to {after:.0f} tokens: length itself is being learnt",
        "check in the data how often the longer completion is chosen, and look at the lengths beside the win rate",
    )


def _repetition(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    before, after = start.get("samples/repetition"), now.get("samples/repetition")
    if before is None or after is None or after < before + REPETITION_RISE:
        return None
    return (
        f"{after:.0%} of 4-grams in samples are repeats, {before:.0%} at the start: the policy is looping",
        "lower the learning rate or raise beta; a looping policy seldom recovers, so go back to an earlier checkpoint",
    )


def _unfinished(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    before, share = start.get("samples/unfinished", 0.0), now.get("samples/unfinished")
    if share is None or share < UNFINISHED or share < before + UNFINISHED_RISE:
        return None
    return (
        f"{share:.0%} of samples never end, {before:.0%} at the start: the model unlearns its end-of-sequence token",
        "check that completions in the data end with EOS, and that sample_tokens leaves room for a whole answer",
    )


def _rising(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    before, after = start.get("eval_loss"), now.get("eval_loss")
    if before is None or after is None or after <= before + LOSS_RISE * abs(before):
        return None
    if math.isnan(after):
        return (
            "the held-out loss is not a number",
            "look at the last steps before it; lower the learning rate, or look for a row or an objective that gives "
            "infinities",
        )
    return (
        f"the held-out loss rose from {before:.3f} at the start to {after:.3f}: the policy is worse at what it is "
        "trained for than an untrained one",
        "lower the learning rate (by 3 to 10 times), or train for fewer epochs",
    )


def _below_chance(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    accuracy = now.get("eval_rewards/accuracies")
    if accuracy is None:
        return None
    n = round(now["eval_groups"])
    if wilson(accuracy * n, n).high >= 0.5:
        return None  # a few pairs fall below one half by chance
    return (
        f"the policy prefers the rejected completion on {1 - accuracy:.0%} of held-out pairs: training and held-out "
        "labels contradict each other",
        "look whether chosen and rejected are swapped in one of the files",
    )


def _flat(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    accuracy, margin = now.get("eval_rewards/accuracies"), now.get("eval_rewards/margins")
    if accuracy is None or margin is None or "eval_logratio/chosen_per_token" not in now:
        return None  # without a reference, rewards have another scale
    n = round(now["eval_groups"])
    if n < FEW or abs(margin) >= FLAT_MARGIN or wilson(accuracy * n, n).low <= 0.5:
        return None
    return (
        f"held-out pairs are ranked right ({accuracy:.0%}), but their implicit rewards are only {margin:.4f} apart, so "
        "the preference loss is where it began: whatever else was learnt, the preferences have hardly moved the policy",
        "raise beta if an SFT term is there too (it drowns what a small beta asks for), else the learning rate",
    )


def _one_word(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    rises = {name: share - start.get(name, 0.0) for name, share in now.items() if name.startswith(SHARE)}
    name = max(rises, key=lambda name: rises[name], default="")
    if _shown(now) or not name or "samples/count" not in start:
        return None
    if rises[name] < max(SHARE_RISE, SURE * math.hypot(_error(name, now), _error(name, start))):
        return None
    word = name.removeprefix(SHARE).partition("/")[2]
    return (
        f"{word!r} makes up {now[name]:.0%} of all that is sampled, {start.get(name, 0.0):.0%} at the start: a word is "
        "being learnt rather than an answer",
        LOOK_WHAT_PAYS,
    )


def _same_start(now: Metrics, start: Metrics) -> tuple[str, str] | None:
    for name, most, what in (
        ("samples/same_start", SAME_START, "words"), ("samples/same_token", SAME_TOKEN, "word")
    ):  # fmt: skip
        before, after = start.get(name), now.get(name)
        if _shown(now) or before is None or after is None or after < max(most, before + SAME_RISE):
            continue
        return (
            f"{after:.0%} of samples begin with the same {what}, whatever was asked ({before:.0%} at the start): a "
            "form is being learnt rather than an answer",
            LOOK_WHAT_PAYS,
        )
    return None


def _error(name: str, metrics: Metrics) -> float:
    """The standard error of a token's share, were tokens drawn one by one."""
    share = metrics.get(name, 0.0)
    return math.sqrt(share * (1 - share) / max(1.0, metrics["samples/count"] * metrics["samples/length"]))


def _shown(now: Metrics) -> bool:
    """Whether demonstrations are learnt: these are there to set lengths, words and openings."""
    return not any(name.startswith(("objective/kl", "eval_rewards/")) for name in now)


ALARMS: dict[str, Callable[[Metrics, Metrics], tuple[str, str] | None]] = {
    "kl_high": _kl,
    "kl_high_per_token": _kl_per_token,
    "likelihood_displacement": _displacement,
    "length_drift": _length,
    "repetition": _repetition,
    "one_word": _one_word,
    "same_start": _same_start,
    "unfinished": _unfinished,
    "held_out_loss_rising": _rising,
    "below_chance": _below_chance,
}
AT_END = {"margin_flat": _flat}  # early in a run this is as it should be


def raised(step: int, now: Metrics, start: Metrics, already: set[str], *, last: bool = False) -> list[Warning]:
    """The alarms that `now` sets off and that have not spoken before; `last` says that the run ends here."""
    found = []
    for code, look in (ALARMS | AT_END if last else ALARMS).items():
        words = look(now, start) if code not in already else None
        if words is not None:
            found.append(Warning(step, code, *words))
    return found
