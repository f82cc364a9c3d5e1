"""Preference data that rewards "not sure" where there is no answer, and an answer where there is one."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from preferably.data.writers import row_of
from preferably.errors import DataError
from preferably.evaluation.questions import Question, Reply
from preferably.judging.parts import answered


@dataclass(frozen=True, slots=True)
class HonestPairs:
    """Rows with `prompt`, `chosen`, `rejected` and `why`; and how many questions gave none, by reason."""

    rows: list[dict[str, Any]]
    left_out: Counter[str] = field(default_factory=Counter)


def honest_pairs(
    questions: Sequence[Question], replies: Sequence[Sequence[Reply]], *, unsure: str = "", most: int = 2
) -> HonestPairs:
    """Pairs from a model's own replies to each question, at most `most`.

    No answer: a reply that says so over one that does not (`unsure`). An answer: a right one over "not sure", and over
    a wrong one (`sure`, `right`); without these, "not sure" is the cheapest reply to everything. `unsure` stands in
    where no reply to the question says "not sure". `DataError` where nothing can be made.
    """
    rows: list[dict[str, Any]] = []
    left: Counter[str] = Counter()
    for question, several in zip(questions, replies, strict=True):
        made = list(_pairs(question, several, unsure))[:most]
        if not made:
            left["no right answer among its replies" if question.answerable else "no two replies to contrast"] += 1
        rows += [row_of(answered(question.prompt, [chosen, rejected])) | {"why": why} for chosen, rejected, why in made]
    if not rows:
        told = "; ".join(f"{count} {why}" for why, count in left.items())
        raise DataError(f"None of {len(questions)} questions gives a pair: {told}. Draw more replies (--samples).")
    return HonestPairs(rows, left)


def _pairs(question: Question, several: Sequence[Reply], unsure: str) -> Iterator[tuple[str, str, str]]:
    careful = list(dict.fromkeys(one.text for one in several if one.abstains)) or ([unsure] if unsure else [])
    sure = list(dict.fromkeys(one.text for one in several if not one.abstains and one.text))
    if not question.answerable:
        for at, text in enumerate(sure if careful else []):
            yield careful[at % len(careful)], text, "unsure"
        return
    right = [text for text in sure if any(one.text == text and one.right for one in several)]
    wrong = [text for text in sure if any(one.text == text and one.right is False for one in several)]
    if right:
        for doubt, bad in zip_longest(careful[:1], wrong[:1]):
            if doubt is not None:
                yield right[0], doubt, "sure"
            if bad is not None:
                yield right[-1], bad, "right"
