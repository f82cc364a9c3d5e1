"""What training and evaluation see of the feedback. Views are computed from judgments, never stored beside them.

Every judgment is a vote on pairs of completions: a preference on one pair, a ranking on all, a labeler's ratings on all
that were rated. The majority decides. A record can give several groups, which all have its `place`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import exp, log
from statistics import fmean
from typing import TYPE_CHECKING

from preferably.errors import DataError
from preferably.feedback.records import Flag, Group, Judged, Judgment, Label, Preference, Ranking, Rating

if TYPE_CHECKING:
    from preferably.feedback.trust import Trust

Axis = str | Mapping[str, float] | None  # which ratings count: of one axis, of several by their weights, or all alike


SETTLED = "adjudication"  # the labeler group of those who settle what others disagree on


def deciding(said: Sequence[Judgment]) -> Sequence[Judgment]:
    """Those of the judgments that count for what a group comes to: all, unless somebody was asked to settle it."""
    return [one for one in said if is_settling(one)] or said


def unsettled(item: Judged) -> Judged:
    """A record without what settles it: who does that was shown what others said, and agrees with nobody."""
    return replace(item, judgments=tuple(one for one in item.judgments if one.labeler_group != SETTLED))


def is_settling(said: Judgment) -> bool:
    """Whether it is a verdict that settles what others disagree on."""
    return said.labeler_group == SETTLED and said.state == "ok" and not isinstance(said, Flag)


@dataclass(slots=True)
class _Votes:
    """Who is said to be better than whom: counts by (better, worse), and how much better where that was said."""

    counts: Counter[tuple[int, int]] = field(default_factory=Counter)
    ties: Counter[tuple[int, int]] = field(default_factory=Counter)  # under both orders
    strengths: dict[tuple[int, int], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, better: int, worse: int, strength: float | None = None) -> None:
        """One vote."""
        self.counts[better, worse] += 1
        if strength is not None:
            self.strengths[better, worse].append(strength)

    def tie(self, one: int, other: int) -> None:
        """One vote that neither is better."""
        self.ties[one, other] += 1
        self.ties[other, one] += 1

    def compare(self, values: Mapping[int, float], strong: bool) -> None:
        """One vote on every pair of `values`, of which the larger is better; by how much, if that means anything."""
        for one, other in combinations(values, 2):
            better, worse = (one, other) if values[one] > values[other] else (other, one)
            apart = values[better] - values[worse]
            if apart:
                self.add(better, worse, apart if strong else None)
            else:
                self.tie(one, other)

    def won(self) -> list[tuple[int, int]]:
        """The pairs on which one verdict has more votes than the reverse and than a tie, in the order of votes."""
        return [pair for pair, n in self.counts.items() if n > max(self.counts[pair[::-1]], self.ties[pair])]

    def ranks(self) -> dict[int, int]:
        """The rank of every completion that was compared, 1 is the best: by the majorities that it won less those that
        it lost (Copeland). Empty where there is no majority for anything, not even for a tie."""
        won = self.won()
        if not won and not any(n > self.counts[pair] and n > self.counts[pair[::-1]] for pair, n in self.ties.items()):
            return {}
        points = dict.fromkeys(self.spoken(), 0)
        for better, worse in won:
            points[better] += 1
            points[worse] -= 1
        levels = sorted(set(points.values()), reverse=True)
        return {index: levels.index(value) + 1 for index, value in points.items()}

    def spoken(self) -> list[int]:
        """The completions that were compared."""
        return sorted({index for pair in (*self.counts, *self.ties) for index in pair})


def _votes(item: Judged, axis: Axis) -> _Votes:
    """What was said of the completions; where a labeler ordered them, that outweighs what ratings would make of it."""
    votes = _Votes()
    said = deciding([judgment for judgment in item.judgments if judgment.state == "ok"])
    for judgment in said if not isinstance(axis, str) else ():
        if isinstance(judgment, Preference):
            one, other = judgment.order
            if isinstance(judgment.choice, int):
                votes.add(judgment.choice, other if judgment.choice == one else one, judgment.strength)
            elif judgment.choice in ("tie", "both_bad"):
                votes.tie(one, other)
        if isinstance(judgment, Ranking):
            votes.compare({index: -rank for index, rank in enumerate(judgment.ranks)}, strong=False)
    if not votes.spoken():
        for scores in _scores(said, axis):
            votes.compare(scores, strong=True)
    return votes


def _scores(said: Sequence[object], axis: Axis) -> list[dict[int, float]]:
    """Each labeler's mean score over the axes, weighted if there are weights (or the score on `axis`), of every
    completion rated on all of them."""
    weights = {axis: 1.0} if isinstance(axis, str) else axis
    by_labeler: dict[str, list[Rating]] = defaultdict(list)
    for judgment in said:
        if isinstance(judgment, Rating) and (weights is None or judgment.axis in weights):
            by_labeler[judgment.labeler].append(judgment)
    found = []
    for ratings in by_labeler.values():
        columns = zip(*(rating.scores for rating in ratings), strict=True)
        counts = [1.0 if weights is None else weights[rating.axis] for rating in ratings]
        whole = {index: [score for score in column if score is not None] for index, column in enumerate(columns)}
        found.append({
            index: fmean(scores, counts) for index, scores in whole.items() if len(scores) == len(ratings)
        })  # fmt: skip
    return found


def pairs(judged: Iterable[Judged], axis: str | None = None, trust: "Trust | None" = None) -> list[Group]:
    """Groups of two completions, the chosen one first: every pair of completions on which there is a majority.

    With `trust`, every pair on which no tie has the most votes: the likelier one first, as labelers count by what they
    are worth, and `Group.probability` says how likely. What somebody settled is sure.

    Of ratings, the mean over all axes counts, or `axis` alone. Ties, verdicts other than a choice, and judgments whose
    state is not `ok` make no pair. `Group.strength` is the mean strength of the votes that won, where they have one.
    """
    made = []
    for item in judged:
        votes = _votes(item, axis)
        for (better, worse), probability in _likelier(item, votes, axis, trust).items():
            both = (item.group.completions[better], item.group.completions[worse])
            strengths = votes.strengths.get((better, worse))
            strength = fmean(strengths) if strengths else None
            made.append(replace(item.group, completions=both, strength=strength, probability=probability))
    return made


def _likelier(
    item: Judged, votes: _Votes, axis: Axis, trust: "Trust | None"
) -> dict[tuple[int, int], float | None]:  # fmt: skip
    """By (better, worse) how likely it is; None of what is taken for sure.

    Of labelers that pick the better one with chance p_j each, the log-odds of a side are the sum of
    log(p_j / (1 - p_j)) of those for it less the sum of those against it.
    """
    if trust is None or any(is_settling(one) for one in item.judgments):
        return dict.fromkeys(votes.won())
    odds: dict[tuple[int, int], float] = defaultdict(float)
    for name, said in verdicts(item, axis).items():
        chance = trust.of(name)
        for question, verdict in said.items():
            if len(question) == 2:
                odds[question[0], question[1]] += verdict * log(chance / (1 - chance))
    found: dict[tuple[int, int], float | None] = {}
    for pair, sure in odds.items():
        if sure and votes.ties[pair] < max(votes.counts[pair], votes.counts[pair[::-1]]):
            found[pair if sure > 0 else pair[::-1]] = 1 / (1 + exp(-abs(sure)))
    return found


def rankings(judged: Iterable[Judged], axis: str | None = None, trust: "Trust | None" = None) -> list[Group]:
    """Groups of K completions with their `ranks`, the best first; those that nobody compared are left out.

    Several labelers' orders are joined by counting, for each completion, the majorities that it won less those that it
    lost (Copeland). One order, or one set of scores, comes out as it went in, also one of ties alone. `Group.strength`
    of two completions is as in `pairs`, and so is `Group.probability` with `trust`, which is of two completions alone:
    `DataError` for a record that compares more.
    """
    made = []
    for item in judged:
        votes = _votes(item, axis)
        ranks = votes.ranks()
        if trust is not None:
            if len(votes.spoken()) > 2:
                raise DataError(
                    f"aggregate: posterior is of two completions, and {len(votes.spoken())} are compared for the "
                    f"prompt {item.group.prompt_text!r:.60}; take aggregate: majority."
                )
            if likelier := pairs([item], axis, trust):
                made.append(replace(likelier[0], ranks=(1, 2)))
                continue
            ranks = ranks if max(ranks.values(), default=0) == 1 else {}  # a tie stays one
        if ranks:
            order = sorted(ranks, key=lambda index: ranks[index])
            best_first = tuple(item.group.completions[index] for index in order)
            strengths = votes.strengths.get((order[0], order[1])) if len(order) == 2 else None
            made.append(replace(
                item.group, completions=best_first, ranks=tuple(ranks[index] for index in order),
                strength=fmean(strengths) if strengths else None,
            ))  # fmt: skip
    return made


def rated(judged: Iterable[Judged], axes: Sequence[str]) -> list[Group]:
    """Groups of K completions, as they stand in the record, with `by_axis`: on each of `axes` the rank of every
    completion, 0 for one that was not rated on it. Those of which nothing was said on any axis are left out."""
    made = []
    for item in judged:
        found = [_votes(item, axis).ranks() for axis in axes]
        if any(found):
            places = range(len(item.group.completions))
            by_axis = [tuple(ranks.get(index, 0) for index in places) for ranks in found]
            means = [_mean_scores(item, axis) for axis in axes]
            ratings = [tuple(scores.get(index) for index in places) for scores in means]
            made.append(replace(
                item.group, by_axis=tuple(zip(axes, by_axis, strict=True)),
                ratings=tuple(zip(axes, ratings, strict=True)),
            ))  # fmt: skip
    return made


def _mean_scores(item: Judged, axis: str) -> dict[int, float]:
    """The mean over labelers of what each completion was rated on an axis."""
    said = deciding([judgment for judgment in item.judgments if judgment.state == "ok"])
    found: dict[int, list[float]] = defaultdict(list)
    for scores in _scores(said, axis):
        for index, score in scores.items():
            found[index].append(score)
    return {index: fmean(scores) for index, scores in found.items()}


def labelled(judged: Iterable[Judged], axis: str | None = None) -> list[Group]:
    """Groups of one completion with a `label`: from thumbs, the majority deciding, and from pairs, which give two.

    Rankings and ratings say what is better, not what is good, and give none.
    """
    made = []
    for item in judged:
        thumbs = _thumbs(item)
        for index, vote in thumbs.items():
            if vote:
                made.append(replace(item.group, completions=(item.group.completions[index],), label=vote > 0))
        compared = tuple(judgment for judgment in item.judgments if isinstance(judgment, Preference))
        for pair in pairs([replace(item, judgments=compared)]):
            for completion, label in zip(pair.completions, (True, False), strict=True):
                made.append(replace(pair, completions=(completion,), label=label, strength=None))
    return made


def _thumbs(item: Judged) -> Counter[int]:
    """Thumbs up less thumbs down of every completion that has any."""
    thumbs: Counter[int] = Counter()
    for judgment in deciding(item.judgments):
        if isinstance(judgment, Label) and judgment.state == "ok":
            thumbs[judgment.completion] += 1 if judgment.desirable else -1
    return thumbs


def demonstrations(judged: Iterable[Judged], axis: str | None = None) -> list[Group]:
    """Groups of one completion: those that are alone and not labelled as bad, and the best of those that were compared.

    The best of several is each one that shares the first rank of `rankings`; of a pair it is the chosen one.
    """
    made = []
    for item in judged:
        if len(item.group.completions) == 1:
            if all(vote > 0 for vote in _thumbs(item).values()):
                made.append(item.group)
            continue
        for ranking in (one for one in rankings([item], axis) if max(one.ranks) > 1):
            best = [one for one, rank in zip(ranking.completions, ranking.ranks, strict=True) if rank == 1]
            made += [replace(item.group, completions=(one,)) for one in best]
    return made


def prompts(judged: Iterable[Judged], axis: str | None = None) -> list[Group]:
    """The prompts alone, as groups without completions."""
    return [replace(item.group, completions=()) for item in judged]


def verdicts(item: Judged, axis: Axis = None) -> dict[str, dict[tuple[int, ...], int]]:
    """What each labeler said, question by question: of two completions (i, j), i < j, 1 if i is better, -1 if j is, 0
    for a tie; of one completion (i,), 1 for good and -1 for bad.

    Of ratings, on `axis` alone; with weights, by the weighted mean of those axes, unless there is an order anyway.
    """
    found: dict[str, dict[tuple[int, ...], int]] = {}
    for name in dict.fromkeys(judgment.labeler for judgment in item.judgments if judgment.state == "ok"):
        own = replace(item, judgments=tuple(judgment for judgment in item.judgments if judgment.labeler == name))
        votes = _votes(own, axis)
        said: dict[tuple[int, ...], int] = {(index,): (vote > 0) - (vote < 0) for index, vote in _thumbs(own).items()}
        for pair in combinations(votes.spoken(), 2):
            one, other = votes.counts[pair], votes.counts[pair[::-1]]
            if one or other or votes.ties[pair]:
                wins = max(one, other) > votes.ties[pair]  # of a verdict that changes with the order one half is a tie
                said[pair] = (one > other) - (one < other) if wins else 0
        if said:
            found[name] = said
    return found


def no_verdict(item: Judged, axis: str | None = None) -> str:
    """Why a record gives no group: a code of `data.accounting` that is no fault of the row."""
    said = [judgment for judgment in item.judgments if judgment.state == "ok"]
    words = {judgment.choice for judgment in said if isinstance(judgment, Preference) and judgment.choice is not None}
    thumbs = _thumbs(item)
    if any(vote < 0 for vote in thumbs.values()):
        return "bad_example"
    if len(words) == 1 and (word := words.pop()) in ("tie", "both_bad", "unsure"):
        return str(word)
    votes = _votes(item, axis)
    if votes.counts or thumbs:
        return "no_majority"
    return "tie" if votes.ties else "unsure" if words else "unjudged"
