"""Replies that say that they do not know, by rule; and how sure others say that they are."""

import re

from preferably.evaluation.audit import plain

ABSTAINS = re.compile(
    r"\b(i'?m|i am|we'?re|we are) (really |quite |just )?(not|un) ?(sure|certain)\b"
    r"|\b(i|we) (really |just |honestly )?(don'?t|do not|can'?t|cannot|can not|couldn'?t) "
    r"(actually |really )?(know|tell|say for (sure|certain)|answer (this|that)|determine|confirm|verify)\b"
    r"|\bi have no (idea|way of knowing|information)\b|\b(it is|it's) (impossible|not possible) to (know|say|tell)\b"
    r"|\bnobody (knows|can know)\b|\b(unknown|unanswerable)\b|\bno one (knows|can know)\b"
)
PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?) ?(?:%|percent\b)")
DECIMAL = re.compile(r"\b(?:confiden\w+|probability|certain\w*|sure)\b[^0-9]{0,20}(0?\.\d+|0|1(?:\.0+)?)\b")
ASKS = "Say at the end how sure you are, in percent."


def abstains(reply: str) -> bool:
    """Whether a reply says that it does not know, in plain English words."""
    return ABSTAINS.search(plain(reply)) is not None


def stated(reply: str) -> float | None:
    """How sure a reply says that it is, from 0 to 1: the last percentage in it, or a number behind `confidence`; None
    where it says neither, or more than 100%."""
    said = plain(reply)
    if found := PERCENT.findall(said):
        value = float(found[-1]) / 100
    elif found := DECIMAL.findall(said):
        value = float(found[-1])
    else:
        return None
    return value if value <= 1 else None
