"""A topic: one thing that customers ask about, and what the desk says when it cannot answer."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["known", "unknown", "private"]
Sentences = tuple[str, ...]

UNSURE: Sentences = ("I'm not sure about that.", "Let me pass you to a specialist.")
DECLINE: Sentences = ("I can't share another customer's details.", "I can help with your own account.")


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing that customers ask about."""

    name: str
    kind: Kind
    family: str
    questions: tuple[tuple[str, str], ...]  # (direct with its question mark, indirect for use inside a sentence)
    answer: Sentences
    statements: Sentences = ()  # the fact in other words, for base training
    inventions: tuple[Sentences, ...] = ()  # confident false answers, for topics that are not known
    leaving: bool = False  # the customer is about to leave, so the desk is tempted to keep them
