"""What training and evaluation see of the feedback. Views are computed from judgments, never stored beside them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from preferably.feedback.records import Group, Judged, Label, Preference


def pairs(judged: Iterable[Judged]) -> list[Group]:
    """Groups of two completions, the chosen one first.

    Where several labelers judged the same two completions, the majority decides. Ties between them, verdicts other
    than a choice, and judgments whose state is not `ok` make no pair.
    """
    made = []
    for item in judged:
        votes: Counter[tuple[int, int]] = Counter()
        for judgment in item.judgments:
            if isinstance(judgment, Preference) and judgment.state == "ok" and isinstance(judgment.choice, int):
                one, other = judgment.order
                votes[(one, other) if judgment.choice == one else (other, one)] += 1
        for (better, worse), count in votes.items():
            if count > votes[worse, better]:
                both = (item.group.completions[better], item.group.completions[worse])
                made.append(replace(item.group, completions=both))
    return made


def labelled(judged: Iterable[Judged]) -> list[Group]:
    """Groups of one completion with a `label`: from thumbs, the majority deciding, and from pairs, which give two."""
    made = []
    for item in judged:
        votes: Counter[int] = Counter()
        for judgment in item.judgments:
            if isinstance(judgment, Label) and judgment.state == "ok":
                votes[judgment.completion] += 1 if judgment.desirable else -1
        for index, vote in votes.items():
            if vote:
                one = (item.group.completions[index],)
                made.append(replace(item.group, completions=one, label=vote > 0))
        for pair in pairs([item]):
            for completion, label in zip(pair.completions, (True, False), strict=True):
                made.append(replace(pair, completions=(completion,), label=label))
    return made


def demonstrations(judged: Iterable[Judged]) -> list[Group]:
    """Groups of one completion, as they are."""
    return [item.group for item in judged if len(item.group.completions) == 1]


def prompts(judged: Iterable[Judged]) -> list[Group]:
    """The prompts alone, as groups without completions."""
    return [replace(item.group, completions=()) for item in judged]
