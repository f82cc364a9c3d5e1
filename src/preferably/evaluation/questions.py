"""Questions of which it is known whether they can be answered, and what models say to them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np

from preferably.errors import DataError
from preferably.evaluation.abstaining import abstains, stated
from preferably.evaluation.audit import Progress, plain
from preferably.evaluation.compare import answers
from preferably.evaluation.one_word import one_word
from preferably.feedback.records import Group
from preferably.judging.judge import ScoreFunction, scores_of
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding, Sample

RIGHT = 0.5  # a checker's score from which a reply is right


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, whether it can be answered, and right answers where they are known by text."""

    prompt: Group
    answerable: bool
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said. `right` is False for any answer to what cannot be answered, None where nobody can tell."""

    text: str
    abstains: bool
    right: bool | None
    token: float  # the geometric mean of the probabilities of its tokens, at temperature 1, but those of `stated`
    weakest: float  # the probability of its unlikeliest token
    stated: float | None  # how sure it says that it is, where it was asked


def questions_of(prompts: Sequence[Group], *, checked: bool = False) -> list[Question]:
    """A question of each prompt: `answerable` (true or false) and `answer` (a text, or a list of them) of its row; a
    row with an answer alone can be answered. `DataError` for a row that says neither, or, unless a checker tells
    (`checked`), that can be answered and has no answer; for one that cannot be answered and has one; and for rows of
    one prompt that say different things.
    """
    one_word(prompts, _said, "`answerable` or `answer`")
    found = []
    for at, prompt in enumerate(prompts):
        row = json.loads(prompt.columns or "{}")
        place = f"{prompt.place[0]}:{prompt.place[1]}" if prompt.place else f"Prompt {at + 1}"
        answerable, known = _said(row)
        if not isinstance(answerable, bool) or not all(isinstance(one, str) and one.strip() for one in known):
            raise DataError(f"{place}: expected `answerable` (true or false), or an `answer` (a text or several).")
        if known and not answerable:
            raise DataError(
                f"{place} cannot be answered (`answerable` is false), but has an `answer`; leave one of the two out."
            )
        if answerable and not known and not checked:
            raise DataError(f"{place} can be answered, but has no `answer`; give it, or a --checker that tells.")
        found.append(Question(prompt, answerable, known))
    return found


def _said(row: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """What a row holds of `answerable` and `answer`, before it is known whether it makes sense."""
    said = row.get("answer")
    known = tuple(said if isinstance(said, list) else [] if said is None else [said])
    return row.get("answerable", True if known else None), known


def ask(
    loaded: Loaded, questions: Sequence[Question], decoding: Decoding, *, samples: int, seed: int,
    checker: ScoreFunction | None = None, suffix: str = "", declines: Callable[[str], bool] = abstains,
    progress: Progress | None = None,
) -> list[list[Reply]]:  # fmt: skip
    """`samples` replies to each question; `suffix` is put behind the user's words and asks how sure it is (what says
    so is no part of the answer, and without it nothing is read as that), and `declines` tells a reply that says that it
    does not know."""
    prompts = [_with(one.prompt, suffix) for one in questions]
    drawn = answers(loaded, prompts, decoding, samples=samples, seed=seed, progress=progress)
    said = [[_said_by(loaded, one, bool(suffix)) for one in several] for several in drawn]
    rights = _rights(questions, [[one.answer for one in several] for several in said], checker)
    return [
        [_reply(question, one, right, declines) for one, right in zip(*row, strict=True)]
        for question, *row in zip(questions, said, rights, strict=True)
    ]


def _rights(
    questions: Sequence[Question], texts: Sequence[Sequence[str]], checker: ScoreFunction | None
) -> list[list[bool | None]]:
    if checker is None:
        return [[holds(one, text) for text in several] for one, several in zip(questions, texts, strict=True)]
    asked = [one.prompt.prompt_text for one, several in zip(questions, texts, strict=True) for _ in several]
    scores = iter(scores_of(checker, asked, [text for several in texts for text in several]))
    return [[None if (s := next(scores)) is None else s >= RIGHT for _ in several] for several in texts]


def holds(question: Question, text: str) -> bool:
    """Whether a reply holds one of the answers, as whole words."""
    said = plain(text)
    return any(re.search(rf"(?<!\w){re.escape(plain(one))}(?!\w)", said) for one in question.answers)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A reply taken apart: its answer, the log-probabilities of the tokens of that, and how sure it says that it is."""

    text: str
    answer: str
    logps: Sequence[float]
    stated: float | None


def _said_by(loaded: Loaded, one: Sample, asks: bool) -> _Drawn:
    """`asks`: whether it was asked how sure it is."""
    kept = [(token, logp) for token, logp in zip(one.tokens, one.logps, strict=True) if token not in loaded.stop_ids]
    text, logps = one.text.strip(), [logp for _, logp in kept] or one.logps
    found = stated(text) if asks else None
    if found is None:
        return _Drawn(text, text, logps, None)
    sure, (start, end) = found
    first, last = (_tokens_up_to(loaded, [token for token, _ in kept], text[:at]) for at in (start, end))
    return _Drawn(text, f"{text[:start]} {text[end:]}".strip(), [*logps[:first], *logps[last:]] or logps, sure)


def _tokens_up_to(loaded: Loaded, tokens: Sequence[int], text: str) -> int:
    """How many of the tokens say the beginning of a reply that is `text`."""
    wanted = len(text.strip())
    for count in range(len(tokens) + 1):
        said = str(loaded.tokenizer.decode(list(tokens[:count]), skip_special_tokens=True)).strip()
        if len(said) >= wanted:
            return count
    return len(tokens)


def _reply(question: Question, one: _Drawn, right: bool | None, declines: Callable[[str], bool]) -> Reply:
    return Reply(
        one.text, declines(one.text), right if question.answerable else False, float(np.exp(fmean(one.logps))),
        float(np.exp(min(one.logps))), one.stated,
    )  # fmt: skip


def _with(prompt: Group, suffix: str) -> Group:
    if not suffix:
        return prompt
    last = prompt.prompt[-1]
    return replace(prompt, prompt=(*prompt.prompt[:-1], replace(last, content=f"{last.content} {suffix}")))


def values_of(
    questions: Sequence[Question], replies: Sequence[Sequence[Reply]], what: Callable[[Reply], Any],
    *, answerable: bool | None = None,
) -> list[float | None]:  # fmt: skip
    """The mean of `what` over the replies to each question; None for those of the other kind than `answerable`."""
    found: list[float | None] = []
    for question, several in zip(questions, replies, strict=True):
        known = [float(value) for one in several if (value := what(one)) is not None]
        other = answerable is not None and question.answerable is not answerable
        found.append(None if other or not known else fmean(known))
    return found
