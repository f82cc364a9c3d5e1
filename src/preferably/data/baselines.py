"""What needs no model to guess the verdicts: the longer answer, the one shown first. And who agrees with whom."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from preferably.feedback.records import Group, Judged, Preference
from preferably.feedback.views import verdicts
from preferably.statistics.shares import Share, share


@dataclass(frozen=True, slots=True)
class Lengths:
    """How the chosen completions compare with the rejected ones."""

    longer: Share  # where the chosen one has more characters; n counts records, not the pairs of a ranking
    chosen: float  # mean words
    rejected: float

    def as_json(self) -> dict[str, object]:
        """`longer`, and mean words of `chosen` and `rejected`."""
        return {"longer": self.longer.as_json(), "chosen": self.chosen, "rejected": self.rejected}


def lengths(pairs: Sequence[Group]) -> Lengths | None:
    """Of groups of two, the chosen one first; the pairs of one record count as one case. None without pairs."""
    by_record: dict[object, list[float]] = defaultdict(list)
    words: tuple[list[int], list[int]] = ([], [])
    for index, pair in enumerate(pairs):
        chosen, rejected = (completion.text for completion in pair.completions)
        by_record[pair.place or index].append((len(chosen) > len(rejected)) + (len(chosen) == len(rejected)) / 2)
        for text, count in zip((chosen, rejected), words, strict=True):
            count.append(len(text.split()))
    longer = share(sum(map(fmean, by_record.values())), len(by_record))
    return Lengths(longer, fmean(words[0]), fmean(words[1])) if longer else None


def shown_first(records: Iterable[Judged]) -> Share | None:
    """How often the choice fell on the completion that was shown first, of all choices between two."""
    first = [
        said.choice == said.order[0]
        for record in records
        for said in record.judgments
        if isinstance(said, Preference) and said.state == "ok" and isinstance(said.choice, int)
    ]
    return share(sum(first), len(first))


@dataclass(frozen=True, slots=True)
class Labeler:
    """One labeler: how many records they judged, and how often they say what others say of the same."""

    name: str
    records: int
    agreement: Share | None


@dataclass(frozen=True, slots=True)
class Labelers:
    """All labelers, the busiest first, and how often two of them agree on the same two completions."""

    everyone: list[Labeler]
    agreement: Share | None

    def as_json(self) -> dict[str, object]:
        """`agreement`, and of each labeler `records` and `agreement`."""

        def told(one: Share | None) -> dict[str, object] | None:
            return one.as_json() if one else None

        named = {one.name: {"records": one.records, "agreement": told(one.agreement)} for one in self.everyone}
        return {"agreement": told(self.agreement), "labelers": named}


def labelers(records: Iterable[Judged]) -> Labelers | None:
    """Who judged what, and their agreement: of the questions that two answered, the share that they answered alike.

    A tie is an answer. None where nobody is named.
    """
    judged: Counter[str] = Counter()
    alike: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    together = agreed = 0
    for record in records:
        said = {name: found for name, found in verdicts(record).items() if name}
        judged.update(list(said))
        for (one, first), (other, second) in combinations(said.items(), 2):
            for question in first.keys() & second.keys():
                same = first[question] == second[question]
                together, agreed = together + 1, agreed + same
                for name in (one, other):
                    asked[name] += 1
                    alike[name] += same
    everyone = [Labeler(name, n, share(alike[name], asked[name])) for name, n in judged.most_common()]
    return Labelers(everyone, share(agreed, together)) if everyone else None
