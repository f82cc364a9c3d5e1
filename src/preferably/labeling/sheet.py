"""What the page of a task shows: texts in the order that was drawn, and nothing that tells where they came from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preferably.feedback.records import Message
from preferably.feedback.views import SETTLED
from preferably.labeling.differences import Part, differences
from preferably.labeling.project import Project
from preferably.labeling.queue import Turn

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ROLES = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool", "text": "Text"}


@dataclass(frozen=True, slots=True)
class Said:
    """One turn of a conversation."""

    role: str
    text: str
    calls: str = ""  # of tools, as JSON


@dataclass(frozen=True, slots=True)
class Shown:
    """A completion at its place on the page."""

    letter: str
    turns: tuple[Said, ...]
    text: str
    parts: Sequence[Part] = ()  # of a pair: where it differs from the other


@dataclass(frozen=True, slots=True)
class Step:
    """A place on the scale from one completion to the other."""

    value: str  # PLACE:STRENGTH, or tie
    word: str
    meaning: str
    size: int  # of the strength; 0 in the middle


@dataclass(frozen=True, slots=True)
class Sheet:
    """A task as it is shown to one person."""

    turn: str
    kind: str
    prompt: tuple[Said, ...]
    tools: str
    shown: tuple[Shown, ...]
    corrects: bool  # whether an answer is there already
    deciding: bool
    earlier: Mapping[str, Any]  # that answer

    @property
    def letters(self) -> list[str]:
        """What the completions are called."""
        return [one.letter for one in self.shown]


def _letter(place: int) -> str:
    return LETTERS[place] if place < len(LETTERS) else str(place + 1)


def sheet_of(turn: Turn) -> Sheet:
    """What is shown of a turn."""
    group = turn.asked.group
    completions = [group.completions[place] for place in turn.asked.shown]
    texts = [completion.text for completion in completions]
    parts = differences(*texts) if turn.asked.kind == "pair" else [()] * len(texts)
    shown = tuple(
        Shown(_letter(place), tuple(map(_said, completion.messages)), text, part)
        for place, (completion, text, part) in enumerate(zip(completions, texts, parts, strict=True))
    )
    answered = turn.state == "answered"
    return Sheet(
        turn.asked.turn, turn.asked.kind, tuple(map(_said, group.prompt)), _laid_out(group.tools), shown, answered,
        turn.asked.labeler_group == SETTLED, (turn.answer or {}) if answered else {},
    )  # fmt: skip


def scale_of(project: Project) -> list[Step]:
    """The scale of a pair, from the left to the right."""
    if not project.strengths:
        return [Step("0:", "A", "A is better", 1), Step("tie", "tie", "a tie", 0), Step("1:", "B", "B is better", 1)]
    sizes = list(enumerate(project.strengths, 1))
    left = [Step(f"0:{size}", word, f"A is {word}", size) for size, word in reversed(sizes)]
    right = [Step(f"1:{size}", word, f"B is {word}", size) for size, word in sizes]
    return [*left, Step("tie", "tie", "a tie", 0), *right]


def verdict_of(kind: str, answer: Mapping[str, Any], project: Project) -> str:
    """An answer in a few words, by the letters of the page."""
    if kind == "pair":
        return _choice(answer["choice"], answer.get("strength"), project)
    if kind == "ranking":
        return _order(answer["ranks"])
    if kind == "rating":
        told = [
            f"{axis} {', '.join(f'{LETTERS[at]} {score}' for at, score in enumerate(scores) if score is not None)}"
            for axis, scores in answer["scores"].items()
            if any(score is not None for score in scores)
        ]
        return "; ".join(told)
    if kind == "thumbs":
        thumbs = enumerate(answer["thumbs"])
        return ", ".join(f"{LETTERS[at]} {'good' if up else 'bad'}" for at, up in thumbs if up is not None)
    return f"{LETTERS[answer.get('of', 0)]} rewritten"


def expected_of(turn: Turn, project: Project) -> str:
    """What gold should have been answered, by the letters of the page."""
    expected = dict((turn.gold or {})["expected"])
    if "best" in expected:
        best = [LETTERS[turn.asked.shown.index(place)] for place in expected["best"]]
        return f"{' or '.join(sorted(best))} comes first"
    choice = expected["choice"]
    place = turn.asked.shown.index(choice) if isinstance(choice, int) else choice
    if turn.asked.kind == "ranking":
        return f"{LETTERS[place]} comes first"
    return _choice(place, None, project)


def _choice(choice: object, strength: object, project: Project) -> str:
    if isinstance(choice, int):
        word = (
            project.strengths[strength - 1]
            if isinstance(strength, int) and strength <= len(project.strengths)
            else "better"
        )
        return f"{LETTERS[choice]} is {word}"
    return {"tie": "a tie", "both_bad": "both are bad", "unsure": "cannot tell"}[str(choice)]


def _order(ranks: Sequence[int]) -> str:
    by_rank: dict[int, list[str]] = {}
    for place, rank in enumerate(ranks):
        by_rank.setdefault(rank, []).append(LETTERS[place])
    return " > ".join(" = ".join(by_rank[rank]) for rank in sorted(by_rank))


def _said(message: Message) -> Said:
    fields = json.loads(message.fields) if message.fields else {}
    calls = fields.get("tool_calls") if isinstance(fields, dict) else None
    return Said(ROLES[message.role], message.content, _laid_out(json.dumps(calls)) if calls else "")


def _laid_out(text: str) -> str:
    """JSON that people can read; as it is where it is none."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) if text else ""
    except ValueError:
        return text
