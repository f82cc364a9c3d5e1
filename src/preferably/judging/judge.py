"""Who decides: judges made of score functions, and asking every pair in both orders.

A judge takes groups of two completions and gives one `Preference` each, the record that people write too. A pair that
could not be judged has a state other than `ok` and is never turned into a win, a loss or a tie.
"""

import importlib
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group, Preference


class ScoreFunction(Protocol):
    """`score(prompts, completions)`: one number per row, higher is better, `None` where it cannot tell.

    The shape of TRL's reward functions; both arguments are lists of n texts.
    """

    def __call__(self, prompts: list[str], completions: list[str]) -> Sequence[float | None]:
        """One score per completion, in the same order."""


Judge = Callable[[Sequence[Group]], list[Preference]]


@dataclass(frozen=True, slots=True)
class Inconsistent(Preference):
    """A tie that came of two verdicts that changed with the order of the completions; it counts as any tie does.

    `verdicts` are the two, about the group as it is: first shown as it is, then shown swapped.
    """

    verdicts: tuple[Preference, ...] = ()


def load_function(name: str) -> Callable[..., Any]:
    """The function called `module:function` or `path/file.py:function`.

    Modules are looked for in the working directory first, also from the installed command. Whatever the file does on
    import is done: name only what you trust. `ConfigError` for a name of another shape, a module or file that is
    missing or fails on import, an attribute that is missing and one that cannot be called.
    """
    source, colon, attribute = name.rpartition(":")
    if not (colon and source and attribute):
        raise ConfigError(f"Cannot load {name!r}: expected module:function or path/file.py:function.")
    by_path = source.endswith(".py") or "/" in source or os.sep in source
    module = _load_file(name, Path(source)) if by_path else _load_module(name, source)
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, [other for other in dir(found) if not other.startswith("_")], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"Cannot load {name!r}: {source} ({_where(module)}) has no {part!r}.{hint}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"Cannot load {name!r}: it is a {type(found).__name__}, expected a function.")
    return found


def scores_of(score: ScoreFunction, prompts: Sequence[str], completions: Sequence[str]) -> list[float | None]:
    """What `score` says of n prompts and completions: n finite numbers, or `None` where it cannot tell.

    NaN and infinities become `None`: they are not judgments. `ConfigError` if `score` raises, gives another number of
    results than n, or something that is not a number.
    """
    if len(prompts) != len(completions):
        raise ValueError(f"Expected a prompt per completion; got {len(prompts)} and {len(completions)}.")
    if not prompts:
        return []
    name = _name(score)
    try:
        results = score(list(prompts), list(completions))
    except Exception as error:
        raise ConfigError(f"The score function {name} raised {type(error).__name__}: {error}") from error
    shape = f"one number or None for each of {len(prompts)} completions"
    try:
        listed: list[Any] = list(results)
    except TypeError:
        raise ConfigError(f"The score function {name} gave a {type(results).__name__}; expected {shape}.") from None
    if len(listed) != len(prompts):
        raise ConfigError(f"The score function {name} gave {len(listed)} results; expected {shape}.")
    checked: list[float | None] = []
    for result in listed:
        try:
            # float("3") works, but a function that returns text has not understood its task.
            number = None if result is None else float("text" if isinstance(result, (str, bytes)) else result)
        except (TypeError, ValueError):
            raise ConfigError(f"The score function {name} gave {result!r:.80}; expected {shape}.") from None
        checked.append(number if number is not None and math.isfinite(number) else None)
    return checked


def judge_by_score(score: ScoreFunction, margin: float = 0.0) -> Judge:
    """A judge that prefers the completion with the higher score.

    Scores no more than `margin` apart (in the score's unit, >= 0) are a tie. A pair of which one has no score is
    `failed`. `strength` is the distance of the scores, `labeler` the function's name. `ConfigError` for a bad margin
    and where `scores_of` raises it; `DataError` for a group that is not of two completions.
    """
    if not (math.isfinite(margin) and margin >= 0):
        raise ConfigError(f"margin must be a number from 0 up; got {margin}.")
    labeler = _name(score)

    def judge(groups: Sequence[Group]) -> list[Preference]:
        _expect_pairs(groups)
        prompts = [group.prompt_text for group in groups for _ in group.completions]
        completions = [completion.text for group in groups for completion in group.completions]
        scores = scores_of(score, prompts, completions)
        return [_by_score(*pair, margin, labeler) for pair in zip(scores[::2], scores[1::2], strict=True)]

    return judge


def both_orders(judge: Judge) -> Judge:
    """A judge that shows `judge` every pair in both orders, in one call of twice the length.

    Equal verdicts stand. Different ones are a tie, as an `Inconsistent`, which `inconsistencies` counts. Where either
    failed, was refused or was invalid, so is the pair; where either was `unsure`, it is unsure: neither is a verdict.
    """

    def ask(groups: Sequence[Group]) -> list[Preference]:
        _expect_pairs(groups)
        swapped = [replace(group, completions=group.completions[::-1]) for group in groups]
        answers = preferences_of(judge, [*groups, *swapped])
        return [_agreed(one, two) for one, two in zip(answers[: len(groups)], answers[len(groups) :], strict=True)]

    return ask


def preferences_of(judge: Judge, groups: Sequence[Group]) -> list[Preference]:
    """What `judge` says of groups of two completions, one preference each.

    `ConfigError` for another number of answers, an answer that is not a `Preference` or a verdict without a choice.
    """
    if not groups:
        return []
    answers = list(judge(groups))
    if len(answers) != len(groups):
        raise ConfigError(f"The judge {_name(judge)} gave {len(answers)} answers for {len(groups)} pairs.")
    for answer in answers:
        if not isinstance(answer, Preference):
            raise ConfigError(f"The judge {_name(judge)} gave a {type(answer).__name__}; expected a Preference.")
        # By type as well: 1.0 and True equal 1, and would be missed where choices are told apart from words.
        known = (0, 1) if type(answer.choice) is int else ("tie", "both_bad", "unsure")
        if answer.state == "ok" and answer.choice not in known:
            expected = "0, 1, tie, both_bad or unsure"
            raise ConfigError(f"The judge {_name(judge)} chose {answer.choice!r}; expected {expected}.")
    return answers


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


def _agreed(first: Preference, swapped: Preference) -> Preference:
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


def _name(function: object) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _where(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "built in"


@contextmanager
def _importing_from(folder: str) -> Iterator[None]:
    """`folder` comes first while importing and last afterwards, so that it never hides what others import later."""
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


def _load_module(name: str, source: str) -> ModuleType:
    if not all(part.isidentifier() for part in source.split(".")):
        raise ConfigError(f"Cannot load {name!r}: {source!r} is not a module's name; a file is path/file.py.")
    try:
        with _importing_from(os.getcwd()):
            return importlib.import_module(source)
    except ModuleNotFoundError as error:
        # The named module, or a package above it, is missing; anything else is missing inside it.
        if error.name is not None and (source == error.name or source.startswith(error.name + ".")):
            here = f"not installed and not in {os.getcwd()}"
            raise ConfigError(f"Cannot load {name!r}: there is no module {error.name!r} ({here}).") from None
        raise ConfigError(f"Cannot load {name!r}: {source} needs a module that is missing: {error}.") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"Cannot load {name!r}: {source} raised {type(error).__name__}: {error}") from error


def _load_file(name: str, path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file() or path.suffix != ".py":
        what = "is not a .py file" if path.exists() else "does not exist"
        raise ConfigError(f"Cannot load {name!r}: {path} {what}.")
    # A name of its own, so that reward.py is never taken for an installed package called reward.
    key = f"preferably_loaded_{path.stem}_{sha256(str(path).encode()).hexdigest()[:12]}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module  # dataclasses and pickle look it up there while it runs
    try:
        with _importing_from(str(path.parent)):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[key]
        raise ConfigError(f"Cannot load {name!r}: {path} raised {type(error).__name__}: {error}") from error
    return module
