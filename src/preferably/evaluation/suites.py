"""Suites that need a judge: a model answers, both sides are judged in both orders, and what was said has the format of
the suite, so that `boards` and `mt_bench` tell the figures and others can read it."""

import json
from collections.abc import Mapping, Sequence

from preferably.data.annotations import DRAW, Annotation
from preferably.data.mt_bench import Duel, Question
from preferably.data.outputs import Answers, Output
from preferably.errors import DataError
from preferably.evaluation.compare import Tell, answers, with_room
from preferably.evaluation.flags import Flag, flags_of
from preferably.evaluation.kept_answers import KeptAnswers
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.judging.judge import (
    Inconsistent,
    Judge,
    agreed,
    asked_twice,
    both_orders,
    chance_of,
    preferences_of,
    says_odds,
)
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding


def answered(
    loaded: Loaded,
    asked: Sequence[Sequence[Message]],
    decoding: Decoding,
    *,
    seed: int = 0,
    progress: Tell | None = None,
    kept: KeptAnswers | None = None,
) -> list[str | None]:
    """One answer to each conversation, without the white space at its ends; None where there is no room for one."""
    groups = [Group(tuple(turns)) for turns in asked]
    fit, _ = with_room(groups, [loaded], decoding.max_tokens)
    kept = kept or KeptAnswers(None)
    drawn = kept.texts(answers, loaded, fit, decoding, seed=seed, progress=progress) if fit else []
    said = {id(group): one for group, (one,) in zip(fit, drawn, strict=True)}
    return [said.get(id(group)) for group in groups]


def annotated(baseline: Sequence[Output], model: Sequence[Output], judge: Judge, *, annotator: str) -> list[Annotation]:
    """What `judge`, called `annotator`, says of both outputs for every instruction that both have.

    Each pair is shown in both orders. Verdicts that change with the order are a draw, and so are equal outputs, which
    are not asked about; but where both verdicts say how sure they are, the preference is 1 plus the mean chance of the
    model's output, as AlpacaEval's weighted annotators have it. A pair that the judge failed at, refused or was unsure
    about has no preference. `DataError` where the two share no instruction.
    """
    theirs = {one.instruction: one for one in baseline}
    pairs = [(theirs[one.instruction], one) for one in model if one.instruction in theirs]
    if not pairs:
        raise DataError(f"The model's {len(model)} outputs and the baseline's {len(baseline)} share no instruction.")
    groups = [
        Group((Message("user", one.instruction),), tuple(_completion(each.output) for each in (other, one)))
        for other, one in pairs
    ]
    different = [index for index, (other, one) in enumerate(pairs) if other.output != one.output]
    said, sure = asked_twice(judge, [groups[index] for index in different]), says_odds(judge)
    tell = _weighted if sure else lambda *two: _preference(agreed(*two))
    found: dict[int, float | None] = {index: tell(*two) for index, two in zip(different, said, strict=True)}
    return [
        Annotation(
            one.instruction, other.generator, one.generator, (other.output, one.output), found.get(index, DRAW),
            annotator,
        )
        for index, (other, one) in enumerate(pairs)
    ]  # fmt: skip


def conversed(
    loaded: Loaded, questions: Sequence[Question], model: str, decoding: Decoding, *, seed: int = 0,
    progress: Tell | None = None, kept: KeptAnswers | None = None,
) -> list[Answers]:  # fmt: skip
    """A model's answers, turn by turn, its own earlier ones before each; a question ends where there is no room.

    `DataError` where no question leaves room for an answer.
    """
    said: list[list[str]] = [[] for _ in questions]
    for turn in range(max((len(question.turns) for question in questions), default=0)):
        open_ = [at for at, question in enumerate(questions) if len(question.turns) > turn == len(said[at])]
        asked = [_conversation(questions[at].turns[: turn + 1], said[at]) for at in open_]
        texts = answered(loaded, asked, decoding, seed=seed + turn, progress=progress, kept=kept)
        for at, text in zip(open_, texts, strict=True):
            if text is not None:
                said[at].append(text)
    found = [
        Answers(question.id, model, tuple(turns)) for question, turns in zip(questions, said, strict=True) if turns
    ]
    if not found:
        raise DataError(f"None of {len(questions)} questions leaves room to answer in the context of {loaded.name}.")
    return found


def duelled(
    questions: Sequence[Question], first: Sequence[Answers], second: Sequence[Answers], judge: Judge, *, annotator: str
) -> list[Duel]:
    """What `judge`, called `annotator`, says of every turn that both answered.

    A turn is shown with those before it, in both orders. A pair that the judge failed at, refused or was unsure about
    is an error in both. It finds the reference answers, where there are some, in `Group.columns`. `DataError` where the
    two share no question.
    """
    ours, theirs = ({one.question: one for one in side} for side in (first, second))
    met = _met(questions, ours, theirs)
    if not met:
        raise DataError("The two models share no question of the file that both answered.")
    groups = [_shown(question, turn, ours, theirs) for question, turn in met]
    said = preferences_of(both_orders(judge), groups)
    names = (first[0].model, second[0].model)
    return [
        Duel(question.id, turn, names, _winners(one), annotator)
        for (question, turn), one in zip(met, said, strict=True)
    ]


def flags_of_turns(
    questions: Sequence[Question], first: Sequence[Answers], second: Sequence[Answers]
) -> tuple[Flag, ...]:
    """The same of the answers to turns that both answered: `first` is the model."""
    ours, theirs = ({one.question: one for one in side} for side in (first, second))
    met = _met(questions, ours, theirs)
    asked = [Group((Message("user", "\n".join(question.turns[:turn])),)) for question, turn in met]
    said = ([[side[question.id].turns[turn - 1]] for question, turn in met] for side in (ours, theirs))
    return flags_of(asked, *said)


def _met(
    questions: Sequence[Question], ours: Mapping[str, Answers], theirs: Mapping[str, Answers]
) -> list[tuple[Question, int]]:
    """The turns, from 1, that both answered."""
    return [
        (question, turn)
        for question in questions
        if question.id in ours and question.id in theirs
        for turn in range(1, 1 + min(len(question.turns), *(len(side[question.id].turns) for side in (ours, theirs))))
    ]


def _completion(text: str) -> Completion:
    return Completion((Message("assistant", text),))


def _conversation(asked: Sequence[str], said: Sequence[str]) -> list[Message]:
    """Turns of a user, and an assistant's answers between them."""
    turns = [Message("user", asked[0])]
    for question, answer in zip(asked[1:], said, strict=False):
        turns += [Message("assistant", answer), Message("user", question)]
    return turns


def _shown(question: Question, turn: int, ours: Mapping[str, Answers], theirs: Mapping[str, Answers]) -> Group:
    """A question up to a turn: what follows the first turn of the user is a completion of several turns."""
    whole = []
    for side in (ours, theirs):
        said = side[question.id].turns[:turn]
        turns = [*_conversation(question.turns[:turn], said), Message("assistant", said[-1])]
        whole.append(Completion(tuple(turns[1:])))
    columns = json.dumps({"reference": list(question.reference)}, ensure_ascii=False) if question.reference else ""
    return Group((Message("user", question.turns[0]),), tuple(whole), columns=columns)


def _preference(said: Preference) -> float | None:
    """As AlpacaEval has it: 1 for the first, 2 for the second, 1.5 for neither; None where there is no verdict."""
    if said.state != "ok" or said.choice in ("unsure", None):
        return None
    return 1.0 + said.choice if isinstance(said.choice, int) else DRAW


def _weighted(first: Preference, swapped: Preference) -> float | None:
    """1 plus the mean chance of the second over both orders; the plain preference where a verdict does not say how sure
    it is, or there is none."""
    one, other = chance_of(first), chance_of(swapped)
    if one is None or other is None:
        return _preference(agreed(first, swapped))
    return 1 + ((1 - one) + other) / 2


def _winners(said: Preference) -> tuple[str, str]:
    if isinstance(said, Inconsistent):
        first, second = (_winner(one) for one in said.verdicts)
        return first, second
    return _winner(said), _winner(said)


def _winner(said: Preference) -> str:
    won = _preference(said)
    return "error" if won is None else {1.0: "model_1", 2.0: "model_2"}.get(won, "tie")
