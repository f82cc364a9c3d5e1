"""A language model as a labeler: it is asked about groups, and what it says goes into the store as what people say."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from random import Random
from typing import Any, Literal
from uuid import UUID, uuid5

from preferably.errors import ConfigError
from preferably.feedback.records import Group, Judgment, Preference, Rating
from preferably.feedback.store.codec import digest_of, group_content
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.judging.constitution import Principle
from preferably.judging.llm import Answered, LanguageJudge
from preferably.judging.questions import LETTERS, Kind, Question, guideline, question

IDS = UUID("c4b1d1f6-3c1e-4d7f-8a5f-6f0f6e9a7c21")  # of judgments, by the request that they came from
Orders = Literal["both", "random"]


@dataclass(slots=True)
class Labeled:
    """What became of every question of one labeler: asked = ok + invalid + refused + failed."""

    labeler: str
    asked: int = 0
    states: Counter[str] = field(default_factory=Counter)
    choices: Counter[str] = field(default_factory=Counter)  # of pairs: first, second (as shown), tie
    why: Counter[str] = field(default_factory=Counter)  # of what is not ok
    same: int = 0  # pairs shown in both orders of which both verdicts are the same
    changed: int = 0  # and of which they are not
    cached: int = 0  # questions that had been answered before
    models: Counter[str] = field(default_factory=Counter)  # as the server called them

    @property
    def consistency(self) -> float | None:
        """The share of pairs that got the same verdict in both orders; None where none was judged in both."""
        both = self.same + self.changed
        return self.same / both if both else None

    def count(self, said: Judgment, why: str) -> None:
        """One more question that has ended so; `why`, where that is not ok."""
        self.states[said.state] += 1
        if said.state != "ok":
            self.why[why] += 1
        elif isinstance(said, Preference):
            first = said.choice == said.order[0]
            known = said.choice if isinstance(said.choice, str) else "first" if first else "second"
            self.choices[known] += 1

    def compare(self, pairs: Iterable[Sequence[Preference]]) -> None:
        """Verdicts on the same pair, of which those in both orders are held against each other."""
        for said in pairs:
            if len(said) == 2:
                self.same += said[0].choice == said[1].choice
                self.changed += said[0].choice != said[1].choice


def label(
    judge: LanguageJudge,
    groups: Sequence[Group],
    store: Store,
    *,
    kind: Kind = "pair",
    orders: Orders = "both",
    principles: Sequence[Principle] = (),
    seed: int = 0,
    progress: Callable[[int], None] = lambda more: None,
) -> Labeled:
    """Ask `judge` about every group; keep each verdict in `store` once all before it are known, whichever came first.

    Pairs are all pairs of a group's completions that differ, in both orders or in one that chance (`seed`) takes;
    rankings are asked about in as many orders. What is `invalid` or `refused` is kept as such; what `failed` is not,
    and is asked the next time; what was answered is not asked again, nor kept twice. Of `principles` each group gets
    one, by chance: it is said to the judge, and its name kept, as is the seed where anything was drawn with it.
    Raises `RemoteError` where asking had to end, `DataError` as the store does, `ConfigError` for what cannot be asked.
    """
    judge.need_reference(groups)
    asked: list[Question] = []
    about: dict[int, dict[str, Any]] = {}  # of what is kept, by the group
    for number, group in enumerate(groups):
        principle = Random(f"principle {seed} {number}").choice(principles) if principles else Principle("", "")
        asked += questions(judge, group, kind, orders, Random(f"order {seed} {number}"), principle.text)
        about[id(group)] = {"principle": principle.name, "guideline": guideline(kind, judge.settings)}
        if principles or (kind != "rating" and (kind == "ranking" or orders == "random")):
            about[id(group)]["seed"] = seed
    told = Labeled(judge.settings.labeler, asked=len(asked))
    open_ratings: dict[int, list[Answered]] = defaultdict(list)
    pairs: dict[tuple[int, frozenset[int]], list[Preference]] = defaultdict(list)
    waiting: dict[int, Answered] = {}

    def heard(index: int, answered: Answered) -> None:
        waiting[index] = answered
        progress(1)
        ready: list[Entry] = []
        while (at := told.states.total()) in waiting:
            ready += hear(waiting.pop(at))
        _keep(store, ready)

    def hear(answered: Answered) -> list[Entry]:
        _count(told, answered)
        group = answered.question.group
        if kind != "rating":
            said = answered.read.judgments[0]
            if isinstance(said, Preference) and said.state == "ok":
                pairs[id(group), frozenset(said.order)].append(said)
            return _entries(group, [said], [answered], about[id(group)])
        ratings = open_ratings[id(group)]
        ratings.append(answered)
        whole = len(ratings) == len(group.completions)
        return _entries(group, merged(ratings), ratings, about[id(group)]) if whole else []

    try:
        judge.answers(asked, heard)
    finally:  # asking has ended before its end
        _keep(store, [entry for index in sorted(waiting) for entry in hear(waiting[index])])
    told.compare(pairs.values())
    return told


def questions(
    judge: LanguageJudge, group: Group, kind: Kind, orders: Orders, random: Random, principle: str = ""
) -> Iterator[Question]:  # fmt: skip
    """What is asked about one group. `ConfigError` for more completions than there are letters."""
    count = len(group.completions)
    if kind == "ranking" and count > len(LETTERS):
        where = "{}:{}".format(*group.place) if group.place else "a group"
        raise ConfigError(f"A judge orders {len(LETTERS)} completions at most; {where} has {count}.")
    shown: list[tuple[int, ...]]
    if kind == "rating":
        shown = [(at,) for at in range(count)]
    elif kind == "ranking":
        shown = _orders(tuple(random.sample(range(count), count)), orders, random)
    else:
        shown = pairs_shown(group, orders, random)
    for order in shown:
        yield question(kind, group, order, judge.settings, principle)


def pairs_shown(group: Group, orders: Orders | None, random: Random) -> list[tuple[int, ...]]:
    """All pairs of a group's completions that differ, each in the orders in which it is shown; None is as it stands."""
    texts = [one.text for one in group.completions]
    pairs = [two for two in combinations(range(len(texts)), 2) if texts[two[0]] != texts[two[1]]]
    return [order for two in pairs for order in (_orders(two, orders, random) if orders else [two])]


def _orders(one: tuple[int, ...], orders: Orders, random: Random) -> list[tuple[int, ...]]:
    return [one, one[::-1]] if orders == "both" else [random.choice([one, one[::-1]])]


def merged(ratings: Sequence[Answered]) -> list[Judgment]:
    """The ratings of a group's completions, asked about one by one, as one judgment an axis. Where none of them is ok,
    its state is that of the first."""
    made: list[Judgment] = []
    for several in zip(*(answered.read.judgments for answered in ratings), strict=True):
        each = [one for one in several if isinstance(one, Rating)]
        scores = tuple(
            next((score for score in column if score is not None), None)
            for column in zip(*(one.scores for one in each), strict=True)
        )
        known = any(score is not None for score in scores)
        made.append(replace(each[0], scores=scores, state="ok" if known else each[0].state))
    return made


def _count(told: Labeled, answered: Answered) -> None:
    told.cached += answered.reply.cached
    if answered.reply.model:
        told.models[answered.reply.model] += 1
    told.count(answered.read.judgments[0], answered.read.why)


def _keep(store: Store, entries: Sequence[Entry]) -> None:
    """Together: thousands may have waited for one, and meanwhile no other reply is heard."""
    if entries:
        store.say(entries)


def _entries(
    group: Group, said: Sequence[Judgment], answered: Sequence[Answered], about: dict[str, Any]
) -> list[Entry]:  # fmt: skip
    """What is kept of judgments. Their ids are made of the requests that they came from, and of what they are about: of
    equal texts, one request answers for several. Nothing is kept of a group of which a question failed."""
    if any(one.state == "failed" for one in answered):
        return []
    group = replace(group, columns="")  # what else its row held is no part of what was compared
    content, places = group_content(group)
    about_what = digest_of(content)
    asked = " ".join(sorted(f"{one.key} {tuple(places[at] for at in one.question.order)}" for one in answered))
    reason = "\n\n".join(one.read.reason for one in answered if one.read.reason)
    whole = f"{about_what} {asked} {answered[0].question.mark} {about['guideline']} {about['principle']}"
    names = [str(uuid5(IDS, f"{whole} {judgment.labeler} {number}")) for number, judgment in enumerate(said)]
    return [
        Entry(group, judgment, name, "model", rationale=reason, **about)
        for name, judgment in zip(names, said, strict=True)
    ]
