"""Twelve simulated people who compare two replies, with known reliability and leanings.

A labeler's utility is the truth with weights of their own plus a leaning towards length. The choice between the replies
shown first and second is logistic in the difference of utility:

    P(first) = (1 - slip) * sigmoid((u(first) - u(second) + position) / temperature) + slip / 2

Where the utilities are nearly equal a labeler says `tie` half of the time, and the hasty now and then `unsure`. All of
it is known, so what the labels are worth can be computed: `probability` is the chance of a choice, `label_ceiling` the
agreement that the best possible predictor of the labels can reach.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from random import Random
from typing import Any

from preferably.feedback.records import Preference
from preferably.quickstart.phrasing import Prompt
from preferably.quickstart.truth import MALFORMED_COST, WEIGHTS, score_reply

NEARLY_EQUAL = 0.02  # a difference of utility below which a labeler may give no choice


@dataclass(frozen=True, slots=True)
class Labeler:
    """One simulated person."""

    name: str
    group: str
    weights: tuple[tuple[str, float], ...]  # of the axes of the truth
    temperature: float  # of the logistic choice; low is reliable
    length_leaning: float  # utility for ten more words
    position: float = 0.0  # utility for being shown first
    slip: float = 0.05  # the chance of a choice at random
    unsure: float = 0.0  # the chance of no choice at all

    def utility(self, prompt: Prompt, reply: str) -> float:
        """What this labeler sees in a reply."""
        truth = score_reply(prompt, reply)
        merits = sum(weight * truth.axes[axis] for axis, weight in self.weights)
        return merits - MALFORMED_COST * truth.malformed + self.length_leaning * len(reply.split()) / 10


def _group(
    group: str,
    names: Sequence[str],
    temperature: float,
    length_leaning: float = 0.0,
    position: float = 0.0,
    unsure: float = 0.0,
) -> list[Labeler]:
    """The labelers of a group; each weighs every axis up to 25% more or less than the truth does."""
    people = []
    for name in names:
        random = Random(f"labeler {name}")
        weights = tuple((axis, weight * random.uniform(0.75, 1.25)) for axis, weight in WEIGHTS.items())
        people.append(Labeler(name, group, weights, temperature, length_leaning, position, unsure=unsure))
    return people


LABELERS: tuple[Labeler, ...] = (
    *_group("careful", ("ada", "ben", "chloe", "dev"), temperature=0.06),
    *_group("hasty", ("eli", "fay", "gus", "hana"), temperature=0.22, position=0.03, unsure=0.03),
    *_group("likes_longer", ("ivo", "june", "kofi", "lena"), temperature=0.08, length_leaning=0.07),
)


def probability(prompt: Prompt, a: str, b: str, labeler: Labeler, first: int = 0) -> float:
    """The chance that the labeler chooses a over b, given a choice; `first` is the index of the one shown first."""
    advantage = labeler.utility(prompt, a) - labeler.utility(prompt, b)
    advantage += labeler.position if first == 0 else -labeler.position
    return (1 - labeler.slip) / (1 + exp(-advantage / labeler.temperature)) + labeler.slip / 2


def compare(prompt: Prompt, a: str, b: str, random: Random, labeler: Labeler | None = None) -> Preference:
    """One comparison, as people give it: by a labeler drawn at random unless one is named, in a random order.

    `choice` counts in the order given (0 is a), whatever the order shown.
    """
    labeler = labeler or random.choice(LABELERS)
    order = (0, 1) if random.random() < 0.5 else (1, 0)
    said: dict[str, Any] = {"labeler": labeler.name, "labeler_group": labeler.group, "order": order}
    if random.random() < labeler.unsure:
        return Preference("unsure", **said)
    gap = abs(labeler.utility(prompt, a) - labeler.utility(prompt, b))
    if gap < NEARLY_EQUAL and random.random() < 0.5:
        return Preference("tie", **said)
    choice = 0 if random.random() < probability(prompt, a, b, labeler, first=order[0]) else 1
    return Preference(choice, **said)


def crowd_probability(prompt: Prompt, a: str, b: str) -> float:
    """The chance that a labeler drawn at random chooses a, over both orders."""
    chances = [probability(prompt, a, b, labeler, first) for labeler in LABELERS for first in (0, 1)]
    return sum(chances) / len(chances)


def label_ceiling(pairs: Sequence[tuple[Prompt, str, str]]) -> float:
    """The expected agreement with single labels of one who knows every `crowd_probability`: nobody can do better."""
    chances = [crowd_probability(prompt, a, b) for prompt, a, b in pairs]
    return sum(max(chance, 1 - chance) for chance in chances) / len(chances)
