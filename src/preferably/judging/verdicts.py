"""Any judge of two completions as a labeler: what a rule or a reward model says goes into the store as well."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from random import Random
from uuid import uuid5

from preferably.errors import ConfigError
from preferably.feedback.records import Group, Judgment, Preference, moved
from preferably.feedback.store.codec import digest_of, group_content
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.functions import load_function, source_of
from preferably.judging.judge import Judge, kind_of, preferences_of
from preferably.judging.labeling import IDS, Labeled, Orders, pairs_shown
from preferably.judging.named import judge_of, judge_of_function, names_function, scores
from preferably.judging.parts import judge_named
from preferably.judging.people import PeopleJudge
from preferably.judging.reward import RewardJudge
from preferably.models.policy import weights_digest

TOGETHER = 256  # pairs that a judge is shown at one time, and that are kept together


@dataclass(frozen=True, slots=True)
class Labeler:
    """A judge with the name that it has in the store. `guideline` changes with what it decides by: the text of a
    function, the weights of a model. `ordered` says whether the order that it is shown may matter to it."""

    name: str
    judge: Judge
    guideline: str
    ordered: bool


def labeler_named(name: str) -> Labeler:
    """The labeler that `name` names: a reward model, `judge:module:function`, or `module:function` of a score function
    or of a judge of groups.

    `ConfigError` for people, who write into the store themselves; else raises what `judge_of` does.
    """
    if names_function(name):
        function = load_function(name)
        return Labeler(name, judge_of_function(function), _digest(source_of(name)), not scores(function))
    judge = judge_of(name)
    if isinstance(judge, PeopleJudge):
        raise ConfigError("People write into the store themselves: queue what they are to compare by `label queue`.")
    if isinstance(judge, RewardJudge):
        return Labeler(name, judge, _digest(weights_digest(judge.loaded.policy)), False)
    return Labeler(name, judge, _digest(source_of(judge_named(name) or name)), True)


def decide(
    labeler: Labeler,
    groups: Sequence[Group],
    store: Store,
    *,
    orders: Orders = "both",
    seed: int = 0,
    progress: Callable[[int], None] = lambda more: None,
) -> Labeled:
    """Let `labeler` compare all pairs of each group's completions that differ, and keep its verdicts in `store`.

    A pair is shown in both orders or in one that chance (`seed`) takes, and as it stands where that does not matter.
    What `failed` (a score function gave None) is counted and not kept; a verdict that is kept already, of the same
    guideline, is not asked for again. Raises what the judge does, and `DataError` as the store does.
    """
    shown = [
        (group, order)
        for number, group in enumerate(groups)
        for order in pairs_shown(group, orders if labeler.ordered else None, Random(f"order {seed} {number}"))
    ]
    told = Labeled(labeler.name, asked=len(shown))
    wanted = {_id(labeler, group, order): (group, order) for group, order in shown}
    # In the places that the store gives to completions, whatever order a group has them in.
    kept: dict[str, Judgment] = {one.id: one.judgment for one in store.entries() if one.id in wanted}
    new = [name for name in wanted if name not in kept]
    told.cached = len(kept)
    progress(len(kept))
    for some in (new[at : at + TOGETHER] for at in range(0, len(new), TOGETHER)):
        said = _asked(labeler, [wanted[name] for name in some])
        store.say([
            Entry(replace(wanted[name][0], columns=""), one, name, kind_of(labeler.judge), shown=labeler.ordered,
                  seed=seed if labeler.ordered and orders == "random" else None, guideline=labeler.guideline)
            for name, one in zip(some, said, strict=True) if one.state != "failed"
        ])  # fmt: skip
        kept |= {name: moved(one, _places(wanted[name][0])) for name, one in zip(some, said, strict=True)}
        progress(len(some))
    both: dict[tuple[int, frozenset[int]], list[Preference]] = defaultdict(list)
    for group, order in shown:
        places = _places(group)
        one = moved(kept[_id(labeler, group, order)], [places.index(at) for at in range(len(places))])
        if not isinstance(one, Preference):
            continue
        told.count(one, "it gave no verdict")
        if one.state == "ok":
            both[id(group), frozenset(order)].append(one)
    told.compare(both.values())
    return told


def _asked(labeler: Labeler, shown: Sequence[tuple[Group, tuple[int, ...]]]) -> list[Preference]:
    """What it says of pairs, about the whole group that each is of."""
    pairs = [replace(group, completions=tuple(group.completions[at] for at in order)) for group, order in shown]
    return [
        Preference(
            order[one.choice] if isinstance(one.choice, int) else one.choice, one.strength, labeler.name, order=order,
            state=one.state,
        )
        for one, (_, order) in zip(preferences_of(labeler.judge, pairs), shown, strict=True)
    ]  # fmt: skip


def _id(labeler: Labeler, group: Group, order: tuple[int, ...]) -> str:
    content, places = group_content(replace(group, columns=""))
    shown = tuple(places[at] for at in order)
    shown = shown if labeler.ordered else tuple(sorted(shown))  # to one for whom the order means nothing
    return str(uuid5(IDS, f"{digest_of(content)} {shown} {labeler.guideline} {labeler.name}"))


def _places(group: Group) -> list[int]:
    """Where a store has each completion of a group."""
    return group_content(replace(group, columns=""))[1]


def _digest(text: str) -> str:
    return f"pair-{sha256(text.encode()).hexdigest()[:12]}"
