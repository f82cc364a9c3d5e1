"""Who decides: judges made of score functions, and asking every pair in both orders.

A judge takes groups of two completions and gives one `Preference` each, the record that people write too. A pair that
could not be judged has a state other than `ok` and is never turned into a win, a loss or a tie.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, cast, get_args

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group, Preference
from preferably.feedback.store.entry import LabelerKind


class ScoreFunction(Protocol):
    """`score(prompts, completions)`: one number per row, higher is better, `None` where it cannot tell.

    The shape of TRL's reward functions; both arguments are lists of n texts.
    """

    def __call__(self, prompts: list[str], completions: list[str]) -> Sequence[float | None]:
        """One score per completion, in the same order."""


Judge = Callable[[Sequence[Group]], list[Preference]]
Asked = TypeVar("Asked", bound=Callable[..., Any])

# Attributes by which a judge, or the score function that it is made of, says what it is.
KIND, PRIOR, BEHIND, ODDS = "labeler_kind", "length_prior", "made_of", "log_odds"


@dataclass(frozen=True, slots=True)
class Inconsistent(Preference):
    """A tie that came of two verdicts that changed with the order of the completions; it counts as any tie does.

    `verdicts` are the two, about the group as it is: first shown as it is, then shown swapped.
    """

    verdicts: tuple[Preference, ...] = ()


def scores_of(
    score: Callable[..., Sequence[float | None]],
    prompts: Sequence[str],
    completions: Sequence[str],
    columns: Mapping[str, list[Any]] | None = None,
) -> list[float | None]:
    """What `score` says of n prompts and completions: n finite numbers, or `None` where it cannot tell.
    `columns` are given to it by name, n values each.

    NaN and infinities become `None`: they are not judgments. `ConfigError` if `score` raises, gives another number of
    results than n, or something that is not a number.
    """
    if len(prompts) != len(completions):
        raise ValueError(f"Expected a prompt per completion; got {len(prompts)} and {len(completions)}.")
    if not prompts:
        return []
    expected = f"one number or None for each of {len(prompts)} completions"
    listed = results_of(score, "score function", expected, len(prompts), list(prompts), list(completions), columns)
    checked: list[float | None] = []
    for result in listed:
        try:
            # float("3") works, but a function that returns text has not understood its task.
            number = None if result is None else float("text" if isinstance(result, (str, bytes)) else result)
        except (TypeError, ValueError):
            raise ConfigError(
                f"The score function {name_of(score)} gave {result!r:.80}; expected {expected}."
            ) from None
        checked.append(number if number is not None and math.isfinite(number) else None)
    return checked


def results_of(
    function: Callable[..., Any], what: str, expected: str, count: int, prompts: list[str], rest: list[Any],
    columns: Mapping[str, list[Any]] | None,
) -> list[Any]:  # fmt: skip
    """The `count` results that `function(prompts, rest, **columns)` gives, in any form that can be gone through.

    `ConfigError`, which calls the function `what` and says what was `expected`, if it raises, gives something else or
    another number of them; a `ConfigError` of its own passes through, as it has told it already.
    """
    name = f"The {what} {name_of(function)}"
    try:
        results = function(prompts, rest, **(columns or {}))
        if isinstance(results, Iterator):  # a generator raises only when it is gone through
            results = list(results)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{name} raised {type(error).__name__}: {error}") from error
    try:
        listed: list[Any] = list(results)
    except TypeError:
        raise ConfigError(f"{name} gave a {type(results).__name__}; expected {expected}.") from None
    if len(listed) != count:
        raise ConfigError(f"{name} gave {len(listed)} results; expected {expected}.")
    return listed


def asked_once(score: ScoreFunction) -> ScoreFunction:
    """`score`, which is asked about each completion of a prompt once, however often that is needed: it may cost."""
    known: dict[tuple[str, str], float | None] = {}

    def ask(prompts: list[str], completions: list[str]) -> list[float | None]:
        asked = list(zip(prompts, completions, strict=True))
        new = [one for one in dict.fromkeys(asked) if one not in known]
        found = scores_of(score, [prompt for prompt, _ in new], [completion for _, completion in new])
        known.update(zip(new, found, strict=True))
        return [known[one] for one in asked]

    ask.__name__ = name_of(score)
    return marked(ask, score)


def judge_by_score(score: ScoreFunction, margin: float = 0.0) -> Judge:
    """A judge that prefers the completion with the higher score.

    Scores no more than `margin` apart (in the score's unit, >= 0) are a tie. A pair of which one has no score is
    `failed`. `strength` is the distance of the scores, `labeler` the function's name. `ConfigError` for a bad margin
    and where `scores_of` raises it; `DataError` for a group that is not of two completions.
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise ConfigError(f"margin must be a number from 0 up; got {margin}.")
    labeler = name_of(score)

    def judge(groups: Sequence[Group]) -> list[Preference]:
        _expect_pairs(groups)
        prompts = [group.prompt_text for group in groups for _ in group.completions]
        completions = [completion.text for group in groups for completion in group.completions]
        scores = scores_of(score, prompts, completions)
        return [_by_score(*pair, margin, labeler) for pair in zip(scores[::2], scores[1::2], strict=True)]

    return marked(judge, score)


def both_orders(judge: Judge) -> Judge:
    """A judge that shows `judge` every pair in both orders, in one call of twice the length.

    Equal verdicts stand. Different ones are a tie, as an `Inconsistent`, which `inconsistencies` counts. Where either
    failed, was refused or was invalid, so is the pair; where either was `unsure`, it is unsure: neither is a verdict.
    """

    def ask(groups: Sequence[Group]) -> list[Preference]:
        return [agreed(one, two) for one, two in asked_twice(judge, groups)]

    return marked(ask, judge)


def asked_twice(judge: Judge, groups: Sequence[Group]) -> list[tuple[Preference, Preference]]:
    """What `judge` says of every pair shown as it is, and shown swapped, all in one call."""
    _expect_pairs(groups)
    swapped = [replace(group, completions=group.completions[::-1]) for group in groups]
    answers = preferences_of(judge, [*groups, *swapped])
    return list(zip(answers[: len(groups)], answers[len(groups) :], strict=True))


def preferences_of(judge: Judge, groups: Sequence[Group]) -> list[Preference]:
    """What `judge` says of groups of two completions, one preference each.

    `ConfigError` for another number of answers, an answer that is not a `Preference` or a verdict without a choice.
    """
    if not groups:
        return []
    answers = list(judge(groups))
    if len(answers) != len(groups):
        raise ConfigError(f"The judge {name_of(judge)} gave {len(answers)} answers for {len(groups)} pairs.")
    for answer in answers:
        if not isinstance(answer, Preference):
            raise ConfigError(f"The judge {name_of(judge)} gave a {type(answer).__name__}; expected a Preference.")
        # By type as well: 1.0 and True equal 1, and would be missed where choices are told apart from words.
        known = (0, 1) if type(answer.choice) is int else ("tie", "both_bad", "unsure")
        if answer.state == "ok" and answer.choice not in known:
            expected = "0, 1, tie, both_bad or unsure"
            raise ConfigError(f"The judge {name_of(judge)} chose {answer.choice!r}; expected {expected}.")
    return answers


def second_wins(said: Preference) -> float | None:
    """1 where the second of two is preferred, 0 where the first is, 1/2 for a tie; None without a verdict."""
    if said.state != "ok" or said.choice in ("unsure", None):
        return None
    return float(said.choice) if isinstance(said.choice, int) else 0.5


def inconsistencies(preferences: Sequence[Preference]) -> int:
    """How many of `preferences` are ties only because the verdict changed with the order."""
    return sum(isinstance(preference, Inconsistent) for preference in preferences)


def _by_score(first: float | None, second: float | None, margin: float, labeler: str) -> Preference:
    if first is None or second is None:
        return Preference(None, labeler=labeler, state="failed")
    apart = abs(first - second)
    if apart <= margin:
        return Preference("tie", apart, labeler)
    return Preference(0 if first > second else 1, apart, labeler)


def agreed(first: Preference, swapped: Preference) -> Preference:
    """What two verdicts on a pair come to, of which the second was shown it swapped (`both_orders`)."""
    second = replace(swapped, order=(1, 0))
    if isinstance(swapped.choice, int):
        second = replace(second, choice=1 - swapped.choice)
    for answer in (first, second):
        if answer.state != "ok":
            return replace(answer, choice=None, strength=None)
    for answer in (first, second):
        if answer.choice == "unsure":
            return answer
    if first.choice == second.choice:
        return first
    return Inconsistent("tie", labeler=first.labeler, verdicts=(first, second))


def _expect_pairs(groups: Sequence[Group]) -> None:
    for group in groups:
        if len(group.completions) != 2:
            place = f" (at {group.place[0]}:{group.place[1]})" if group.place else ""
            raise DataError(f"A judge compares two completions; got a group of {len(group.completions)}{place}.")


def name_of(function: object) -> str:
    """What a function, or an object that can be called, is called."""
    return getattr(function, "__name__", type(function).__name__)


def kind_of(judge: object) -> LabelerKind:
    """Whether a judge is a person, a model or a rule: its attribute `labeler_kind`, and without one a rule.

    `ConfigError` for another kind.
    """
    kind = getattr(judge, KIND, "rule")
    if kind not in get_args(LabelerKind):
        raise ConfigError(f"The judge {name_of(judge)} has labeler_kind {kind!r}; expected human, model or rule.")
    return cast(LabelerKind, kind)


def has_length_prior(judge: object) -> bool:
    """Whether what is known of how much judges like length is known of this one: of people and models that read both
    answers, and not of rules, nor of models that say otherwise by `length_prior = False`."""
    return kind_of(judge) != "rule" and bool(getattr(judge, PRIOR, True))


def says_odds(judge: object) -> bool:
    """Whether the strength of its verdicts is the log-odds of its choice in nats and no score: `log_odds = True`."""
    return bool(getattr(behind(judge), ODDS, False))


def chance_of(said: Preference) -> float | None:
    """The chance of the first of two by a judge that `says_odds`: one half of a tie, None where there is no verdict, or
    none that says how sure it is."""
    if said.state != "ok" or said.choice in ("unsure", None):
        return None
    if not isinstance(said.choice, int):
        return 0.5
    if said.strength is None:
        return None
    chance = 1 / (1 + math.exp(-said.strength))
    return chance if said.choice == 0 else 1 - chance


def marked(asked: Asked, like: object) -> Asked:
    """`asked`, a function that was made of the judge or score function `like`, as one of its kind."""
    vars(asked).update({name: getattr(like, name) for name in (KIND, PRIOR) if hasattr(like, name)})
    vars(asked)[BEHIND] = behind(like)
    return asked


def behind(judge: object) -> object:
    """The judge or score function that `judge` was made of; itself where it was not made of another."""
    return getattr(judge, BEHIND, judge)
