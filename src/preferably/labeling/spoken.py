"""Who said what of a group, in words."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import exists, select

from preferably.feedback.records import Flag, Judgment, Label, Preference, Ranking, Rating
from preferably.feedback.store.codec import judgment_of
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import judgments
from preferably.feedback.views import SETTLED
from preferably.labeling.project import Project

WORDS = {"tie": "tie", "both_bad": "both bad", "unsure": "cannot tell"}


@dataclass(slots=True)
class Spoken:
    """What one labeler says of a group now."""

    name: str
    group: str  # of labelers
    settles: bool
    said_at: str
    verdicts: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    rationale: str = ""
    seconds: float | None = None


def letter(place: int) -> str:
    """A, B, C ...: a completion by its place in the stored group, whatever the order in which it was shown."""
    return chr(ord("A") + place)


def spoken_of(store: Store, items: Sequence[str], project: Project) -> dict[str, list[Spoken]]:
    """By item what each labeler says of it now, in the order in which they spoke; who settled stands last."""
    later = judgments.alias("later")
    query = select(judgments).where(
        judgments.c.item.in_(items), judgments.c.state == "ok",
        ~exists(select(later.c.number).where(later.c.supersedes == judgments.c.id)),
    ).order_by(judgments.c.number)  # fmt: skip
    found: dict[str, dict[tuple[str, bool], Spoken]] = {item: {} for item in items}
    with store.snapshot() as connection:
        rows = connection.execute(query).mappings().all()
    for row in rows:
        settles = row["labeler_group"] == SETTLED
        spoken = found[row["item"]].setdefault(
            (row["labeler"], settles),
            Spoken(row["labeler"], "" if settles else row["labeler_group"], settles, row["said_at"]),
        )
        _add(spoken, row, project)
    return {item: sorted(own.values(), key=lambda one: one.settles) for item, own in found.items()}


def _add(spoken: Spoken, row: Any, project: Project) -> None:
    about = {"order": json.loads(row["shown"])} | {name: row[name] for name in ("labeler", "labeler_group", "state")}
    judgment = judgment_of(row["kind"], json.loads(row["verdict"]), about)
    spoken.rationale = row["rationale"] or spoken.rationale
    spoken.seconds = row["seconds"] if row["seconds"] is not None else spoken.seconds
    if isinstance(judgment, Flag):
        spoken.flags += [judgment.name] if judgment.raised else []
    else:
        spoken.verdicts.append(in_words(judgment, project))


def in_words(judgment: Judgment, project: Project) -> str:
    """A verdict as a person would say it."""
    if isinstance(judgment, Preference):
        if not isinstance(judgment.choice, int):
            return WORDS.get(str(judgment.choice), "nothing")
        how = judgment.strength
        words = project.strengths
        known = how is not None and how == int(how) and 1 <= how <= len(words)
        return f"{letter(judgment.choice)} {words[int(how or 0) - 1] if known else 'is better'}"
    if isinstance(judgment, Ranking):
        levels = sorted(set(judgment.ranks))
        tied = ([letter(at) for at, rank in enumerate(judgment.ranks) if rank == level] for level in levels)
        return " > ".join(" = ".join(names) for names in tied)
    if isinstance(judgment, Rating):
        scores = (f"{letter(at)} {score:g}" for at, score in enumerate(judgment.scores) if score is not None)
        return f"{judgment.axis}: {', '.join(scores) or 'nothing'}"
    if isinstance(judgment, Label):
        return f"{letter(judgment.completion)} {'up' if judgment.desirable else 'down'}"
    return judgment.name
