"""What a win rate says, decided by its interval alone."""

from dataclasses import dataclass
from typing import Literal

from preferably.reporting.figures import NONE, count, percent, plural, significant
from preferably.reporting.run_files import Record, finite, interval_of, number, part, text

Word = Literal["better", "not separable", "worse", "unknown"]

LONGEST_NAME = 60
CONSTANT = 0.5  # the share of prompts with one and the same answer from which it is said
MANY_MISSING = 0.05  # the share of comparisons without a verdict from which the page says so beside the headline


@dataclass(frozen=True, slots=True)
class Verdict:
    """One win rate, as a word and a sentence. Bounds are shares of 1."""

    word: Word
    sentence: str
    win_rate: float | None
    interval: tuple[float, float] | None
    confidence: str  # "95%"


def verdict_of(record: Record) -> Verdict:
    """The verdict on the contents of a `win_rate.json`."""
    interval = interval_of(record)
    win_rate = number(record, "win_rate")
    confidence = percent(finite(record, "confidence") or 0.95, 1).replace(".0%", "%")
    word = word_for(interval)
    if win_rate is None or finite(record, "win_rate") is None:
        word, interval = "unknown", None
    model, against = names(record)
    sentence = {
        "better": f"{model} is better than {against} by this judge: the whole {confidence} interval lies above 50%.",
        "worse": f"{model} is worse than {against} by this judge: the whole {confidence} interval lies below 50%.",
        "not separable": f"{model} and {against} cannot be told apart by this judge: "
        f"the {confidence} interval contains 50%. More held-out prompts would narrow it.",
        "unknown": "No verdict: the evaluation stored no win rate with an interval.",
    }[word]
    return Verdict(word, sentence, win_rate, interval, confidence)


def word_for(interval: tuple[float, float] | None) -> Word:
    """`(.79, .83)` -> better, `(.48, .55)` -> not separable, `(.3, .4)` -> worse. A bound at 50% contains it."""
    if interval is None:
        return "unknown"
    low, high = interval
    return "better" if low > 0.5 else "worse" if high < 0.5 else "not separable"


def names(record: Record) -> tuple[str, str]:
    """What the two sides are called."""
    model, against = (_short(text(record, side)) for side in ("model", "against"))
    return model or "The trained model", against or "the starting model"


def _short(name: str) -> str:
    """A long path keeps its end, which tells models apart."""
    return name if len(name) <= LONGEST_NAME else "…" + name[1 - LONGEST_NAME :]


def decoding_of(record: Record) -> str:
    """The decoding on one line: `T = 0.7, top-p 1, up to 64 tokens, 4 samples a prompt`."""
    decoding = part(record, "decoding")
    known = {
        "temperature": "T = {}",
        "top_p": "top-p {}",
        "top_k": "top-k {}",
        "max_tokens": "up to {} tokens",
        "samples": "{} samples a prompt",
    }
    parts = []
    for key in decoding:
        written = significant(number(decoding, key)) if number(decoding, key) is not None else text(decoding, key)
        if not written:
            continue
        if key == "samples" and written == "1":
            parts.append("1 sample a prompt")
        elif key == "temperature" and number(decoding, key) == 0:
            parts.append("greedy (T = 0)")
        else:
            parts.append(known.get(key, key.replace("_", " ") + " {}").format(written))
    return ", ".join(parts) or NONE


def counts_of(record: Record) -> list[tuple[str, str]]:
    """Prompts, wins, ties, losses and missing, as they are stored."""
    labels = {"n": "prompts", "wins": "wins", "ties": "ties", "losses": "losses", "missing": "missing"}
    return [(label, count(number(record, key))) for key, label in labels.items()]


def caveat_of(record: Record) -> str:
    """Sentences where a side answers alike whatever is asked, or many comparisons have no verdict; empty otherwise."""
    return " ".join(sentence for sentence in (_constant(record), _many_missing(record)) if sentence)


def _constant(record: Record) -> str:
    shares = {side: finite(part(record, "duplicates"), side) or 0.0 for side in ("model", "against")}
    side = max(shares, key=lambda name: shares[name])
    if shares[side] <= CONSTANT:
        return ""
    name = names(record)[side == "against"]
    return f"{name} gave one and the same answer to {percent(shares[side])} of prompts: the win rate says little here."


def _many_missing(record: Record) -> str:
    missing = finite(record, "missing") or 0.0
    total = missing + sum(finite(record, key) or 0.0 for key in ("wins", "ties", "losses"))
    if not total or missing / total < MANY_MISSING:
        return ""
    return (
        f"{plural(missing, 'comparison')} of {count(total)} ({percent(missing / total)}) got no verdict from the judge "
        "and are left out of the win rate. If they are not missing at random, the figure is off"
        f"{': ' if (bounds := bounds_of(record)) else ''}{bounds}."
    )


def bounds_of(record: Record) -> str:
    """What the missing verdicts could make of the win rate: `78.0% if all were lost, 82.0% if all were won`; empty
    where none is missing, or the file does not say."""
    bounds = interval_of({"interval": record.get("bounds")})
    if bounds is None or not finite(record, "missing"):
        return ""
    return f"{percent(bounds[0])} if all were lost, {percent(bounds[1])} if all were won"


def kl_of(record: Record) -> str:
    """The KL with half of its 95% interval: `12.4 ± 1.2 nats`."""
    kl = part(record, "kl")
    mean, error = number(kl, "mean"), number(kl, "se")
    if mean is None:
        return NONE
    return f"{significant(mean, 3)}{'' if error is None else f' ± {significant(1.96 * error, 2)}'} nats"
