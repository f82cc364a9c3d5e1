"""Answers that teach something other than what was meant: refusals, bare links, loops, special tokens spelled out."""

import re
from collections.abc import Iterable

from preferably.feedback.records import Judged
from preferably.statistics.repetition import looping

SHORT = 40  # words up to which an answer that opens with a refusal is nothing but one
SHOWN = 3  # places that are kept

REFUSAL = re.compile(
    r"\W*(?:(?:i['\u2019]?m|i am)\s+(?:\w+\s+)?sorry|sorry|i apologi[sz]e|unfortunately|as an ai[\w ]*)?"
    r"[\s,.:;-]*(?:but\s+)?(?:as an ai[\w ]*,?\s*)?i(?:['\u2019]m| am)?\s*"
    r"(?:can(?:not|['\u2019]?t| not)|not able to|unable to|won['\u2019]?t|will not|must decline"
    r"|(?:do not|don['\u2019]?t) feel comfortable)"
    r"(?:\s+\w+){0,2}?\s+(?:help|helping|assist|answer\w*|provid\w+|comply|fulfill?|discuss\w*|giv\w+|shar\w+|creat\w+"
    r"|writ\w+|support|engage|respond\w*|continue|do|complete|that|this|with|to)\b",
    re.IGNORECASE,
)
LINKS = re.compile(r"(?:https?://\S+|www\.\S+)(?:\s+(?:https?://\S+|www\.\S+))*")
SPECIAL = re.compile(
    r"<\|[a-z0-9_]+\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>", re.IGNORECASE
)

KINDS = {
    "refusal": "answers that only refuse",
    "link": "answers that are only a link",
    "loop": "answers that go round in circles",
    "special_token": "texts that spell out a special token of some model",
}


def kinds_of(text: str) -> list[str]:
    """Which of `KINDS` an answer is."""
    said = text.strip()
    found = []
    if REFUSAL.match(said) and len(said.split()) <= SHORT:
        found.append("refusal")
    if LINKS.fullmatch(said):
        found.append("link")
    if looping(said):
        found.append("loop")
    if SPECIAL.search(said):
        found.append("special_token")
    return found


def answer_faults(records: Iterable[Judged]) -> dict[str, list[str]]:
    """The places of the records with each of `KINDS`, one entry an answer (a prompt counts for special tokens)."""
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for record in records:
        file, line = record.group.place or ("memory", 0)
        for completion in record.group.completions:
            for kind in kinds_of(completion.text):
                found[kind].append(f"{file}:{line}")
        if any(SPECIAL.search(message.content) for message in record.group.prompt):
            found["special_token"].append(f"{file}:{line}")
    return found
