"""Judges by the names that users give them."""

from pathlib import Path
from typing import Any

from preferably.errors import ConfigError
from preferably.functions import load_function
from preferably.judging.contest import judge_by_function
from preferably.judging.judge import Judge, judge_by_score
from preferably.judging.llm import judge_from
from preferably.judging.parts import judge_named as function_of
from preferably.judging.settings import is_judge_file, read_judges
from preferably.remote.client import Replies


def judge_of(name: str, replies: Replies | None = None, **loading: Any) -> Judge:
    """The judge of two completions that `name` names: a file that describes a language model on a server, or a panel of
    them; `judge:module:function`, which is shown both; a score function, `module:function`; or a reward model.

    `replies` keeps what servers say. `ConfigError` or `ModelError` for what is none of these.
    """
    if is_judge_file(name):
        return judge_from(read_judges(name), replies)
    if (function := function_of(name)) is not None:
        return judge_by_function(load_function(function))
    if ":" in name and not Path(name).exists():
        return judge_by_score(load_function(name))
    if not Path(name).exists() and "/" not in name:
        raise ConfigError(f"{name!r} is no judge: expected a .yaml file, module:function, or a reward model.")
    from preferably.judging.reward import RewardJudge
    from preferably.models.loading import load_reward

    return RewardJudge(load_reward(name, **loading))
