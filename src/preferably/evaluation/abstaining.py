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
NUMBER = r"(?<![\d.,])(\d{1,3}(?:\.\d+)?)\s?(?:%|percent\b)"
SELF = (
    r"(?:\b(?:and|but|with)\s+)?(?:\b(?:i\s+am|i['\u2019]m|i\s+feel)\s+)?(?:\b(?:only|about|around|roughly|some)\s+)?"
)
NOUN = r"\b(?:my\s+)?(?:confidence|certainty|probability|how\s+(?:sure|certain|confident)\s+i(?:\s+am|['\u2019]m))\b"
LINK = r"(?:[\s:=,(\u2013\u2014-]|\b(?:is|of|at|level|in|this|answer|about|around|roughly|only)\b){0,10}"
# How sure a reply says that it is: beside a word for that, or a percentage by itself behind the answer.
STATED = tuple(
    re.compile(one, re.IGNORECASE)
    for one in (
        rf"{SELF}{NUMBER}\s+(?:sure|certain\w*|confiden\w+|probab\w+|likely)\b",
        rf"{NOUN}{LINK}{NUMBER}",
        rf"{NOUN}{LINK}(0?\.\d+|0|1(?:\.0+)?)\b(?!\.?\d|\s?(?:%|percent\b))",
        rf"(?<=\S)\s*(?:[.,]\s|[;:!?(\n]|\s[\u2013\u2014-])\s*(?:(?:about|around|roughly)\s+)?{NUMBER}[\s).!]*$",
    )
)
ASKS = "Say at the end how sure you are, in percent."


def abstains(reply: str) -> bool:
    """Whether a reply says that it does not know, in plain English words."""
    return ABSTAINS.search(plain(reply)) is not None


def stated(reply: str) -> tuple[float | None, tuple[int, int]] | None:
    """How sure a reply says that it is, from 0 to 1 (None for more than 100%), and where in it that stands: the last
    number beside a word such as sure or confidence, else a percentage by itself at the end. None where it does not."""
    beside, alone = [one for form in STATED[:-1] for one in form.finditer(reply)], STATED[-1].search(reply)
    found = max(beside, key=lambda one: one.start(1), default=alone)
    if found is None:
        return None
    value = float(found[1]) / (1 if found.re is STATED[2] else 100)
    rest = reply[found.end() :]
    return value if value <= 1 else None, (found.start(), len(reply) - len(rest.lstrip(" \n).!")))
