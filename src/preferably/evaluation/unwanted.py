"""An unwanted behavior: the prompts that bring it out, and how it is told in a reply."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from preferably.errors import ConfigError, DataError
from preferably.evaluation.audit import plain
from preferably.feedback.records import Group
from preferably.judging.judge import ScoreFunction, scores_of

THRESHOLD = 0.5  # a score from which the behavior is there


@dataclass(frozen=True, slots=True)
class Case:
    """A prompt that may bring the behavior out.

    `text` is what must not be said and `pattern` a regular expression for it; where there is neither, a judge tells.
    `exhibit` is a whole reply that shows the behavior, where one is known.
    """

    prompt: Group
    text: str = ""
    pattern: str = ""
    exhibit: str = ""
    paraphrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Detector:
    """Tells the behavior in replies: by the judge where there is one, else by each case's pattern or text."""

    judge: ScoreFunction | None = None

    def __call__(self, cases: Sequence[Case], replies: Sequence[Sequence[str]]) -> list[list[float | None]]:
        """1 where a reply shows the behavior, 0 where not, None where the judge cannot tell."""
        flat = [(case, reply) for case, several in zip(cases, replies, strict=True) for reply in several]
        if self.judge is not None:
            asked = [case.prompt.prompt_text for case, _ in flat]
            scores = scores_of(self.judge, asked, [reply for _, reply in flat])
            marks = iter([None if score is None else float(score >= THRESHOLD) for score in scores])
        else:
            marks = iter([float(_says(case, reply)) for case, reply in flat])
        return [[next(marks) for _ in several] for several in replies]


def cases_of(prompts: Sequence[Group], *, text: str = "", pattern: str = "", judged: bool = False) -> list[Case]:
    """A case of each prompt: `unwanted`, `pattern`, `exhibit` and `paraphrases` are read from its row, `text` and
    `pattern` stand in for rows without. `DataError` for a row of which nothing says what to look for, unless a judge
    tells (`judged`); `ConfigError` for a pattern that is none.
    """
    found = []
    for at, prompt in enumerate(prompts):
        row = json.loads(prompt.columns or "{}")
        case = Case(
            prompt, _text(row, "unwanted", prompt) or text, _text(row, "pattern", prompt) or pattern,
            _text(row, "exhibit", prompt), _texts(row, "paraphrases", prompt),
        )  # fmt: skip
        if not judged and not (case.text or case.pattern):
            raise DataError(
                f"{_place(prompt, at)} does not say what is unwanted: give its row `unwanted` (a text) or `pattern` (a "
                "regular expression), or --unwanted or --pattern for all rows, or a --judge."
            )
        if case.pattern:
            try:
                re.compile(case.pattern)
            except re.error as error:
                raise ConfigError(f"The pattern {case.pattern!r} is not a regular expression: {error}.") from None
        found.append(case)
    return found


def in_text(case: Case) -> Callable[[str], bool]:
    """Whether a text shows the behavior of `case`, by its pattern or text; never where only a judge can tell."""
    return lambda said: bool(case.text or case.pattern) and _says(case, said)


def _says(case: Case, reply: str) -> bool:
    if case.pattern:
        return re.search(case.pattern, reply, re.IGNORECASE | re.DOTALL) is not None
    return plain(case.text) in plain(reply)


def _text(row: dict[str, Any], column: str, prompt: Group) -> str:
    value = row.get(column) or ""
    if not isinstance(value, str):
        raise DataError(f"{_place(prompt)}: {column} is a {type(value).__name__}; expected a text.")
    return value.strip()


def _texts(row: dict[str, Any], column: str, prompt: Group) -> tuple[str, ...]:
    value = row.get(column) or []
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(one, str) and one.strip() for one in several):
        raise DataError(f"{_place(prompt)}: {column} is {value!r:.60}; expected a list of texts.")
    return tuple(several)


def _place(prompt: Group, at: int = 0) -> str:
    return f"{prompt.place[0]}:{prompt.place[1]}" if prompt.place else f"Prompt {at + 1}"
