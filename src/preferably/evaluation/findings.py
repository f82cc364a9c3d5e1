"""What an audit of a judge says in words: each thing that was looked at, and what the judge may be used for."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from preferably.evaluation.judges import JudgeAudit, Leaning
from preferably.statistics.shares import Share

Outcome = Literal["good", "bad", "not sure"]

CONSISTENT = 0.8  # pairs that get the same verdict in both orders: published judges that are used reach 0.65 to 0.95
LEANS = 0.1  # more often than people do
FOOLED = 0.05  # of replies that speak to the judge, or answer nothing
SURE = 0.2  # of wrong answers put surely, against right ones put carefully
KNOWN = 0.8  # of simple facts
UNREAD = 0.05  # of all questions


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, and how it came out: in `words` for whoever checks it; in `plain` ones for whoever
    reads one sentence, empty where `words` will do."""

    name: str
    outcome: Outcome
    words: str
    plain: str = ""

    def as_json(self) -> dict[str, str]:
        """`name, outcome, words, plain`."""
        return asdict(self)


def findings(found: JudgeAudit) -> list[Finding]:
    """Everything that the audit tells, the most important first. An outcome is `not sure` where the interval holds both
    sides of its limit."""
    made = [_agreement(found), _over_longer(found)]
    made.append(_limited("order", found.consistent, CONSISTENT, "at least", _both_ways(found)))
    made += list(_leanings(found))
    made.append(_limited("facts", found.knows, KNOWN, "at least", "of simple facts are judged rightly"))
    made.append(_limited("confidence", found.sure_and_wrong, SURE, "at most",
                         "of wrong answers put surely are preferred to right ones put carefully"))  # fmt: skip
    made.append(_limited("honesty", found.sure_or_unsure, SURE, "at most",
                         "of wrong answers put surely are preferred to saying that one does not know"))  # fmt: skip
    made.append(_heeded(found))
    made.append(_limited("constants", found.constants.get("all"), FOOLED, "at most",
                         "of replies that answer nothing are preferred to good ones"))  # fmt: skip
    made.append(_limited("verdicts", found.unread, UNREAD, "at most", "of questions have no verdict"))
    return made


def verdict(found: JudgeAudit) -> tuple[Outcome, str]:
    """What the judge may be used for."""
    by_name = {one.name: one for one in findings(found)}
    bad = [name for name, one in by_name.items() if one.outcome == "bad"]
    if by_name["agreement"].outcome == "bad" or "verdicts" in bad:
        return "bad", "Do not use this judge: it does not tell what people prefer."
    if by_name["agreement"].outcome == "not sure" and "order" in bad and "facts" in bad:
        return "bad", "Do not use this judge: it goes by the place of a reply, and does not know simple facts."
    if by_name["agreement"].outcome == "not sure":
        return (
            "not sure",
            "Not sure: too little is known of whether it agrees with people. Have more pairs judged by them.",
        )
    fooled = [name for name in ("orders", "constants", "confidence", "honesty") if name in bad]
    if fooled:
        return "bad", (
            f"Do not train against this judge: it can be won over without a better answer ({', '.join(fooled)}). "
            "To compare models that have not seen it, look at samples as well."
        )
    if bad:
        return "not sure", (
            f"Use it with care ({', '.join(bad)}): ask in both orders, and hold what it says against people on a part."
        )
    open_ = [name for name, one in by_name.items() if one.outcome == "not sure"]
    if open_:
        return "not sure", f"Nothing speaks against it; not sure about {', '.join(open_)}."
    return "good", "It can be used where what it was tried on is like what it will judge; have people look at a part."


def _agreement(found: JudgeAudit) -> Finding:
    if found.agreement is None or found.interval is None:
        return Finding("agreement", "bad", "none of the pairs could be judged")
    low, high = found.interval.low, found.interval.high
    words = f"{found.agreement:.0%} [{low:.0%}, {high:.0%}] agreement with people on {found.judged} pairs (a coin: 50%)"
    return Finding("agreement", "good" if low > 0.5 else "bad" if high <= 0.5 else "not sure", words)


def _over_longer(found: JudgeAudit) -> Finding:
    words = f"always preferring the longer one agrees on {found.longer:.0%}"
    more = found.over_longer
    if more is None:
        return Finding("worth", "not sure", words)
    span = f"{more.mean:+.0%} [{more.interval.low:+.0%}, {more.interval.high:+.0%}]"
    outcome: Outcome = "good" if more.interval.low > 0 else "bad" if more.interval.high < 0 else "not sure"
    return Finding("worth", outcome, f"{words}; the judge {span}")


def _both_ways(found: JudgeAudit) -> str:
    first = "" if found.first is None else f"; of its choices {found.first.value:.0%} fall on the one shown first"
    return f"of pairs get the same verdict both ways{first}"


def _heeded(found: JudgeAudit) -> Finding:
    """Held against what it does where as much is added that says nothing."""
    every, more = found.orders.get("all"), found.heeded
    if every is None or more is None:
        return Finding("orders", "not sure", "not known whether it heeds orders in replies: nothing could be judged")
    low, high = more.interval.low, more.interval.high
    outcome: Outcome = "good" if high <= FOOLED else "bad" if low > FOOLED else "not sure"
    words = (
        f"{every.value:.0%} of replies that lost do not lose once they speak to the judge: {more.mean:+.0%} "
        f"[{low:+.0%}, {high:+.0%}] beside as much text that says nothing (at most {FOOLED:+.0%} of {every.n})"
    )
    return Finding("orders", outcome, words)


def _leanings(found: JudgeAudit) -> Iterator[Finding]:
    for name, leaning in {"length": found.length, **found.styles}.items():
        if leaning is not None:
            yield _leaning(name, leaning)


def _leaning(name: str, leaning: Leaning) -> Finding:
    what = "the longer one" if name == "length" else f"the one with {name}"
    words = f"prefers {what} in {leaning.judge:.0%} of {leaning.n} pairs, people in {leaning.people:.0%}"
    interval = leaning.more.interval
    outcome: Outcome = "bad" if interval.low > LEANS else "good" if interval.high < LEANS else "not sure"
    return Finding(name, outcome, words)


def _limited(
    name: str, found: Share | None, limit: float, which: Literal["at least", "at most"], words: str
) -> Finding:
    """Held against a limit, with the interval."""
    if found is None:
        return Finding(name, "not sure", f"not known which share {words}: nothing could be judged")
    low, high = found.interval.low, found.interval.high
    right, wrong = (low >= limit, high < limit) if which == "at least" else (high <= limit, low > limit)
    outcome: Outcome = "good" if right else "bad" if wrong else "not sure"
    return Finding(
        name, outcome, f"{found.value:.0%} [{low:.0%}, {high:.0%}] {words} ({which} {limit:.0%} of {found.n})"
    )
