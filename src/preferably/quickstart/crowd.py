"""Simulated people with known faults who answer the same questions, so that what is told of them can be checked."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import fmean
from typing import Any
from uuid import UUID

from preferably.feedback import views
from preferably.feedback.records import Group
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.quickstart.labelers import LABELERS, Labeler, compare, probability
from preferably.quickstart.phrasing import Prompt
from preferably.quickstart.stages import pair_of
from preferably.quickstart.truth import WEIGHTS, score_reply

Pair = tuple[Prompt, str, str]
SPEED = 4.0  # words read in a second
LEANING = 0.2  # utility of ten more words, to those who lean to the longer reply
FAULTS = {
    "careful": "none: reads both, and weighs about as the truth does",
    "hasty": "hurried: often wrong, in less time than reading takes",
    "likes_longer": "leans to the longer reply",
    "left": "leans to the reply that is shown first",
    "clicks": "clicks at random",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What is true of a labeler: the fault, and how often the labeler picks the better one of what was asked."""

    fault: str
    right: float
    n: int  # choices between two of which one is better

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {"fault": self.fault, "right": self.right, "n": self.n}


def crowd() -> list[Labeler]:
    """Nine people: three careful, two hurried, two who lean to the longer, one to the first, one who does not look."""
    weights = tuple(WEIGHTS.items())
    known = {one.name: one for one in LABELERS}
    return [
        *(known[name] for name in ("ada", "ben", "chloe", "eli", "fay")),
        *(replace(known[name], length_leaning=LEANING) for name in ("ivo", "june")),
        Labeler("mara", "left", weights, temperature=0.08, length_leaning=0.0, position=0.2),
        Labeler("nico", "clicks", weights, temperature=1.0, length_leaning=0.0, slip=1.0),
    ]  # fmt: skip


def ask_crowd(store: Store, pairs: Sequence[Pair], overlap: int, seed: int) -> dict[str, Known]:
    """Have each pair judged by `overlap` of the crowd, drawn at random, and what is true of each of them.

    They are no people, and the store keeps them as rules. The chance to be right is expected over the choices that were
    asked for, in the order in which they were shown, of those between two of which the truth prefers one.
    """
    people, random, ids = crowd(), Random(f"crowd {seed}"), Random(f"crowd ids {seed}")
    entries: list[Entry] = []
    chances: dict[Labeler, list[float]] = defaultdict(list)
    for prompt, a, b in pairs:
        for person in random.sample(people, overlap):
            said = compare(prompt, a, b, random, person)
            words = len(f"{prompt.text} {a} {b}".split())
            spent = random.uniform(0.1, 0.4) if person.group in ("hasty", "clicks") else random.uniform(1.0, 2.0)
            name = str(UUID(int=ids.getrandbits(128), version=4))
            entries.append(Entry(pair_of(prompt, a, b), said, name, "rule", seconds=round(spent * words / SPEED, 1)))
            gap = score_reply(prompt, a).total - score_reply(prompt, b).total
            if isinstance(said.choice, int) and gap:
                first = probability(prompt, a, b, person, first=said.order[0] if said.order else 0)
                chances[person].append(first if gap > 0 else 1 - first)
    store.say(entries)
    return {
        one.name: Known(FAULTS[one.group], fmean(chances[one]), len(chances[one])) for one in people if chances[one]
    }


def preferred(store: Store) -> list[Group]:
    """The pairs on which there is a majority, the preferred one first."""
    return views.pairs(store.judged())
