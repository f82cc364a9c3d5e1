"""Judges by the names that users give them."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from preferably.errors import ConfigError
from preferably.functions import load_function
from preferably.judging.contest import judge_by_function
from preferably.judging.judge import Judge, ScoreFunction, asked_once, both_orders, judge_by_score, name_of
from preferably.judging.llm import LanguageJudge, Panel, judge_from
from preferably.judging.parts import judge_named, names_of
from preferably.judging.people import PeopleJudge, named_store
from preferably.judging.reward import RewardJudge
from preferably.judging.settings import is_judge_file, read_judges
from preferably.models.loading import load_reward, model_directory
from preferably.remote.client import Replies

EXPECTED = "score(prompts, completions) or judge(groups)"


def judge_of(name: str, replies: Replies | None = None, **loading: Any) -> Judge:
    """The judge of two completions that `name` names: a YAML file that describes a language model on a server, or a
    panel of them; `people`, or `people:STORE`, who are asked in the labeling app; `judge:module:function`, which is
    shown both (`contest.judge_by_function`); `module:function`, of a score function or of a judge of groups, told apart
    by how many arguments they need; or a reward model.

    `replies` keeps what servers say, by default where the file says. `ConfigError` or `ModelError` for anything else.
    """
    if is_judge_file(name):
        return judge_from(read_judges(name), replies)
    if (store := named_store(name)) is not None:
        return PeopleJudge(store)
    if (pairs := judge_named(name)) is not None:
        return judge_by_function(load_function(pairs))
    if names_function(name):
        return judge_of_function(load_function(name))
    if not Path(name).exists() and "/" not in name:
        raise ConfigError(f"{name!r} is no judge: expected a .yaml file, module:function, or a reward model.")
    return RewardJudge(load_reward(model_directory(name), **loading))


def judge_of_function(function: Callable[..., Any]) -> Judge:
    """The judge that a function is, or that it makes as a score function. `ConfigError` for one that is neither."""
    if (needed := _needed(function)) == 1:
        return function
    if needed == 2:
        return judge_by_score(asked_once(function))
    raise ConfigError(f"The judge {name_of(function)} takes {needed} arguments; expected {EXPECTED}.")


def scores(function: Callable[..., Any]) -> bool:
    """Whether it is a score function, which sees one completion at a time, so that no order matters."""
    return _needed(function) == 2


def decided_by(judge: str | Callable[..., Any]) -> tuple[Judge, ScoreFunction | None]:
    """Who decides a win rate: the judge, shown both orders where the order may matter to it; and the score function
    that it is made of, where there is one. Raises what `judge_of` does."""
    named = judge if isinstance(judge, str) else None
    function = judge if named is None else load_function(named) if names_function(named) else None
    if callable(function) and _needed(function) == 2:
        score = asked_once(function)
        return judge_by_score(score), score
    decides = judge_of_function(function) if callable(function) else ready_judge(str(named))
    return (decides if isinstance(decides, RewardJudge | PeopleJudge) else both_orders(decides)), None


def ready_judge(name: str) -> Judge:
    """`judge_of`, of which a server that cannot be asked is told now, before anything is drawn."""
    judge = judge_of(name)
    if isinstance(judge, LanguageJudge | Panel):
        judge.able()
    return judge


def same_judge(one: str, other: str) -> bool:
    """Whether two names, weighted parts of a reward among them, are of one judge: however its file or folder is given,
    and whether it is shown pairs."""
    return _place(one) == _place(other)


def _place(text: str) -> str:
    [name] = names_of([text])
    name = name.removeprefix("judge:").strip()
    if Path(name).is_dir():
        name = model_directory(name)
    file, colon, function = name.rpartition(":")
    if colon and Path(file).is_file():
        return f"{Path(file).resolve()}:{function}"
    return str(Path(name).resolve()) if Path(name).exists() else name


def names_function(name: str) -> bool:
    """Whether it is `module:function`, of what scores or judges."""
    other = is_judge_file(name) or judge_named(name) is not None or named_store(name) is not None
    return ":" in name and not other and not Path(name).exists()


def _needed(function: Callable[..., Any]) -> int:
    """How many arguments a function cannot go without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise ConfigError(f"The parameters of {name_of(function)} cannot be read; give a plain function.") from None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(one.kind in positional and one.default is inspect.Parameter.empty for one in parameters)
