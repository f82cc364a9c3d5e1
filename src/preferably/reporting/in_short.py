"""The head of a job's page: for whoever reads one paragraph. Every word of it follows from a figure."""

from collections.abc import Sequence
from dataclasses import dataclass

from preferably.reporting import result
from preferably.reporting.audits import ORDER, TITLES
from preferably.reporting.figures import count, duration, percent, plural, significant
from preferably.reporting.judges import judge_in_words
from preferably.reporting.labelers import Worked
from preferably.reporting.run_files import Record, RunFiles, finite, records, text
from preferably.reporting.verdict import verdict_of

WORSE = ("bad", "not sure", "good")  # outcomes, the worst first
MOST = 3  # audits of which a sentence is told
CALLED = {"bad": "Concern", "not sure": "Not sure", "good": "No concern"}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A word that says it all, and the sentence behind it; `link` is where the page has the evidence."""

    word: str
    kind: str  # better, worse, not-separable, bad, not-sure, good, or nothing
    text: str
    link: str


def in_short(record: Record, policies: Sequence[tuple[str, RunFiles]], worked: Worked | None = None) -> list[Sentence]:
    """Is each last policy better, by whom and on how many prompts; what it cost, with what people `worked`; the worst
    that audits found."""
    if not policies:
        return []
    ordered = sorted(policies, key=lambda one: -(finite(one[1].win_rate, "win_rate") or 0.0))
    return [*(_quality(name, run) for name, run in ordered), _audited(ordered), _cost(record, worked)]


def _quality(name: str, run: RunFiles) -> Sentence:
    figures = run.win_rate
    found = verdict_of(figures) if figures else None
    if found is None or found.win_rate is None:
        why = "it was trained and not judged" if not figures else "the judge gave no verdict"
        return Sentence("Not known", "unknown", f"Whether {name} is better is not known: {why}.", "#result")
    words = {
        "better": ("Better", f"{name} answers better than the model before training"),
        "worse": ("Worse", f"{name} answers worse than the model before training"),
        "not separable": ("Not told apart", f"{name} may be better or worse than the model before training"),
        "unknown": ("No verdict", f"Whether {name} is better cannot be told"),
    }
    word, says = words[found.word]
    span = found.interval
    ends = "" if span is None else f"{found.confidence} interval {percent(span[0])} to {percent(span[1])}, "
    judge = judge_in_words(result.judge_of(figures)) or "the judge"
    return Sentence(
        word, found.word.replace(" ", "-"),
        f"{says}: by {judge} it wins {percent(found.win_rate, 0)} ({ends}a tie counts half) on "
        f"{plural(finite(figures, 'n') or 0, 'held-out prompt')}.", "#result",
    )  # fmt: skip


def _audited(policies: Sequence[tuple[str, RunFiles]]) -> Sentence:
    """The worst outcome of all audits, with the first finding of each that has it."""
    found = [
        (WORSE.index(outcome), audit, policy, told)
        for policy, run in policies for audit, told in sorted(run.audits.items(), key=lambda one: _place(one[0]))
        if (outcome := text(told, "outcome")) in WORSE
    ]  # fmt: skip
    if not found:
        return Sentence("Not audited", "unknown", "What was lost or hidden meanwhile was not looked for.", "#limits")
    rank = min(one[0] for one in found)
    outcome, alike = WORSE[rank], [one[1:] for one in found if one[0] == rank]
    if outcome == "good":
        return Sentence("No concern", "good", f"{plural(len(found), 'audit')} found nothing bad.", "#audits")
    many = "1 audit" if len(found) == 1 else f"{len(alike)} of {len(found)} audits"
    counted = f"{many} {'found something bad' if outcome == 'bad' else 'could not decide'}"
    sentences = [
        f"{TITLES.get(audit, audit)} of {policy}: {_worst(told, outcome).rstrip('.')}."
        for audit, policy, told in alike[:MOST]
    ]
    more = f" {len(alike) - MOST} more: see below." if len(alike) > MOST else ""
    return Sentence(
        CALLED[outcome], outcome.replace(" ", "-"), f"{counted}. {' '.join(sentences)}{more}", "#audits"
    )  # fmt: skip


def _place(audit: str) -> tuple[int, str]:
    return (ORDER.index(audit) if audit in ORDER else len(ORDER), audit)


def _worst(told: Record, outcome: str) -> str:
    """The first finding with this outcome, in plain words where it has some; the verdict where none has it."""
    first = next((one for one in records(told, "findings") if text(one, "outcome") == outcome), {})
    return text(first, "plain") or text(first, "words") or text(told, "verdict")


def _cost(record: Record, worked: Worked | None) -> Sentence:
    time = f"{duration(finite(record, 'seconds'))} of computing"
    time += f" and {duration(worked.seconds)} of people's time" if worked else ""
    asked = list(records(record, "asked"))
    requests = sum(finite(one, "requests") or 0 for one in asked)
    cost = sum(finite(one, "cost") or 0 for one in asked)
    uncounted = ", ".join(map(str, record.get("uncounted") or ()))
    if not asked:
        paid = f"What {uncounted} was asked is not counted" if uncounted else "No model on a server was asked"
    elif cost:
        free = sum(finite(one, "requests") or 0 for one in asked if not finite(one, "cost"))
        least, rest = ("at least ", f"; what {count(free)} of them cost is not known") if free else ("", "")
        paid = (
            f"Servers were asked {count(requests)} times, for {least}{significant(cost, 3)} in the currency of their "
            f"prices{rest}"
        )
    else:
        paid = f"Servers were asked {count(requests)} times; what that cost is not known without their prices"
    if asked and uncounted:
        paid += f", without what {uncounted} was asked"
    return Sentence("Cost", "", f"{time}. {paid}.", "#cost")
