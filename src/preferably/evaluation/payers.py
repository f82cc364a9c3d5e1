"""Who pays for being sure and wrong: labelers, reward models and judges, shown an honest "not sure" beside it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import fmean

from preferably.evaluation.abstaining import abstains
from preferably.evaluation.questions import Question, Reply
from preferably.feedback.records import Group, Judged, Preference
from preferably.judging.judge import Judge, preferences_of, second_wins
from preferably.judging.parts import answered
from preferably.statistics.shares import Share, share

UNSURE = "I'm not sure about that, and would rather say so than guess."


def contrasts(
    questions: Sequence[Question], replies: Sequence[Sequence[Reply]], *, unsure: str = "", most: int = 200
) -> list[Group]:
    """For each question with a reply that is wrong and does not say so: "not sure", then that reply.

    "Not sure" is a reply of the models' own to that question where there is one, else `unsure`, else the commonest
    such reply to any, else a plain sentence.
    """
    own = [one.text for several in replies for one in several if one.abstains]
    spare = unsure or (max(set(own), key=own.count) if own else UNSURE)
    found = []
    for question, several in zip(questions, replies, strict=True):
        wrong = next((one.text for one in several if one.right is False and not one.abstains and one.text), None)
        careful = next((one.text for one in several if one.abstains), spare)
        if wrong is not None:
            found.append(answered(question.prompt, [careful, wrong]))
    return found[:most]


def paid(judge: Judge, groups: Sequence[Group]) -> Share | None:
    """How often the second of two completions is preferred; a tie is half, what cannot be judged is left out."""
    said = preferences_of(judge, groups) if groups else []
    return _share([second_wins(one) for one in said])


def paid_by_labelers(
    records: Sequence[Judged], questions: Sequence[Question], right: Callable[[Question, str], bool | None]
) -> Share | None:
    """How often labelers prefer a wrong answer that does not say so to one that says "not sure", in comparisons about
    these questions; None where there is no such comparison."""
    known = {_asked(one.prompt): one for one in questions}
    values: dict[str, list[float]] = defaultdict(list)  # by question: its votes are no cases of their own
    for record in records:
        question = known.get(_asked(record.group))
        if question is None:
            continue
        texts = [one.text for one in record.group.completions]
        unsure = [abstains(text) for text in texts]
        for said in record.judgments:
            if not isinstance(said, Preference) or len(texts) != 2 or unsure[0] == unsure[1]:
                continue
            sure = unsure.index(False)
            if question.answerable and right(question, texts[sure]) is not False:
                continue
            if (value := second_wins(said)) is not None:
                values[_asked(record.group)].append(value if sure == 1 else 1 - value)
    return _share([fmean(votes) for votes in values.values()])


def _asked(group: Group) -> str:
    return group.prompt_text.strip()


def _share(values: Sequence[float | None]) -> Share | None:
    known = [value for value in values if value is not None]
    return share(sum(known), len(known))
