"""What training and evaluation see of the feedback. Views are computed from judgments, never stored beside them."""

from collections import Counter
from collections.abc import Iterable

from preferably.feedback.records import Group, Judged


def pairs(judged: Iterable[Judged]) -> list[Group]:
    """Groups of two completions, the chosen one first.

    Where several labelers judged the same two completions, the majority decides. Ties between them, verdicts other
    than a choice, and judgments whose state is not `ok` make no pair.
    """
    made = []
    for item in judged:
        votes: Counter[tuple[int, int]] = Counter()
        for judgment in item.judgments:
            if judgment.state == "ok" and isinstance(judgment.choice, int):
                one, other = judgment.order
                votes[(one, other) if judgment.choice == one else (other, one)] += 1
        for (better, worse), count in votes.items():
            if count > votes[worse, better]:
                both = (item.group.completions[better], item.group.completions[worse])
                made.append(Group(item.group.prompt, both, item.group.place))
    return made


def demonstrations(judged: Iterable[Judged]) -> list[Group]:
    """Groups of one completion, as they are."""
    return [item.group for item in judged if len(item.group.completions) == 1]


def prompts(judged: Iterable[Judged]) -> list[Group]:
    """The prompts alone, as groups without completions."""
    return [Group(item.group.prompt, (), item.group.place) for item in judged]
