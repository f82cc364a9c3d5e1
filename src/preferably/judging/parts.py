"""A reward as a weighted sum of named parts: reward models, functions of the user's own, format rules, length."""

import inspect
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any

from preferably.errors import ConfigError
from preferably.feedback.records import Completion, Group, Message, Role
from preferably.functions import load_function, source_of
from preferably.judging.contest import judge_by_function, shares_won
from preferably.judging.judge import both_orders, scores_of
from preferably.judging.llm import judge_from
from preferably.judging.reward import score_groups, scorer_of, unit_of
from preferably.judging.settings import is_judge_file, read_judges
from preferably.models.loading import Loaded, load_reward
from preferably.models.policy import weights_digest

WEIGHT = re.compile(r"\s*([+-]?[0-9.]+(?:e[+-]?[0-9]+)?)\s*\*\s*(.+)", re.IGNORECASE)
Scores = list[float | None]
ALL = "*"
JUDGE = "judge"
POSITIONAL = ("prompts", "completions")  # names that a function has for what it is given anyway


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a reward. `score(groups)`: a number for each completion of each group, in order, None where it cannot
    tell."""

    name: str
    weight: float
    score: Callable[[Sequence[Group]], Scores]
    loaded: Loaded | None = None  # the reward model, where it is one
    takes: Mapping[str, bool] = field(default_factory=dict)  # columns of the data, and whether it needs them; * is all
    source: str = ""  # the text of what decides, where it is no model here: a function, or the description of a judge
    compares: bool = False  # a completion's score says how it does beside the others of its group, and nothing alone


def reward_parts(names: Sequence[str], **loading: Any) -> list[Part]:
    """The parts that `names` say, each `[weight*]name`:

    a directory or hub id of a reward model (its scores centered, and in units of their spread on reference completions,
    so that a weight means the same for any); `module:function`, called as `function(prompts, completions, **columns)`
    with texts, and those columns of the data that it has parameters for (all of them, if it takes `**any`);
    `judge:module:function`, called as `function(prompts, pairs, **columns)` in both orders (`judge_by_function`), or
    `judge:FILE.yaml`, a language model on a server: the share of the other completions of its prompt that one is
    preferred to;
    `format:REGEX`, 1 where the whole completion matches, else 0; `length`, the number of words.

    Raises `ConfigError` for anything else, or a name that is given twice.
    """
    parts: list[Part] = []
    for text in names:
        name, weight = weighted(text)
        if any(part.name == name for part in parts):
            raise ConfigError(f"The part {name!r} of the reward was given twice; give it once, with its weight.")
        parts.append(_part(name, weight, loading))
    return parts


def judge_named(name: str) -> str | None:
    """The function of a part that is a judge of two, `judge:module:function`; None for other parts. `judge:function` is
    of a module that is called so."""
    prefix, _, rest = name.partition(":")
    return rest.strip() if prefix == JUDGE and ":" in rest else None


def needs_company(parts: Sequence[Part], completions: int) -> None:
    """`ConfigError` where a part compares the completions of a prompt, and there is only one of each."""
    for part in parts:
        if part.compares and completions < 2:
            raise ConfigError(f"{part.name} compares completions of a prompt, and there is one; draw at least 2.")


def model_names(names: Sequence[str]) -> list[str]:
    """Those of the parts `names` that are reward models, without their weights."""
    return [name for name in names_of(names) if name != "length" and ":" not in name]


def names_of(names: Sequence[str]) -> list[str]:
    """The parts `names` without their weights."""
    return [weighted(text)[0] for text in names]


def weighted(text: str) -> tuple[str, float]:
    """The name of a part of a reward and its weight; `ConfigError` for one without a name, or with no number."""
    found = WEIGHT.fullmatch(text)
    name = (found[2] if found else text).strip()
    if not name:
        raise ConfigError(f"A part of the reward has no name: {text!r}; expected, for example, 0.5*my.py:polite.")
    try:
        return name, float(found[1]) if found else 1.0
    except ValueError:
        raise ConfigError(f"{text!r} has no number as its weight; expected, for example, 0.5*length.") from None


def _part(name: str, weight: float, loading: dict[str, Any]) -> Part:
    if name == "length":
        return Part(name, weight, lambda groups: [float(len(text.split())) for _, text in _texts(groups)])
    if name.startswith("format:"):
        try:
            pattern = re.compile(name.removeprefix("format:"), re.DOTALL)
        except re.error as error:
            raise ConfigError(f"{name!r} is no regular expression: {error}.") from None
        return Part(name, weight, lambda groups: [float(bool(pattern.fullmatch(t))) for _, t in _texts(groups)])
    if name.startswith(f"{JUDGE}:") and is_judge_file(name):
        judges = read_judges(name.removeprefix(f"{JUDGE}:").strip())
        asked, source = judge_from(judges, checked=True), "\n".join(one.model_dump_json() for one in judges)
        shown = {one.reference: True for one in judges if one.reference}
        won = partial(shares_won, both_orders(asked))
        return Part(name, weight, won, takes=shown, source=source, compares=True)
    if (judging := judge_named(name)) is not None:
        function = load_function(judging)
        wanted = _takes(function)

        def by_pair(pairs: Sequence[Group]) -> dict[str, list[Any]]:
            return {name: each[::2] for name, each in _columns(pairs, wanted, ("prompts", "pairs")).items()}

        judge = judge_by_function(function, by_pair)
        won = partial(shares_won, both_orders(judge))
        return Part(name, weight, won, takes=wanted, source=source_of(judging), compares=True)
    if ":" in name:
        function = load_function(name)
        takes = _takes(function)

        def by_function(groups: Sequence[Group]) -> Scores:
            asked = list(_texts(groups))
            columns = _columns(groups, takes)
            return scores_of(function, [prompt for prompt, _ in asked], [text for _, text in asked], columns)

        return Part(name, weight, by_function, takes=takes, source=source_of(name))
    loaded = load_reward(name, **loading)
    scorer = scorer_of(loaded)

    def by_model(groups: Sequence[Group]) -> Scores:
        scores: Scores = []
        for group, found in zip(groups, score_groups(loaded, groups), strict=True):
            known = [None] * len(group.completions) if found is None else (scorer.total(found) / scorer.spread).tolist()
            scores += [one if one is not None and math.isfinite(one) else None for one in known]
        return scores

    return Part(name, weight, by_model, loaded)


def added_up(parts: Sequence[Part], scores: Mapping[str, Scores], start: Sequence[float]) -> Scores:
    """`start` [n] plus the weighted sum of what the parts gave to n completions, by name: None where one could not
    tell."""
    totals: Scores = list(start)
    for part in parts:
        pairs = zip(totals, scores[part.name], strict=True)
        totals = [None if total is None or one is None else total + part.weight * one for total, one in pairs]
    return totals


def tried(part: Part, prompts: Sequence[Group]) -> Scores:
    """What a part says of two answers to the longest of `prompts`, so that a mistake in it costs no drawing. Two, as
    one result for any number would do for one."""
    longest = max(prompts, key=lambda group: len(group.prompt_text))
    return part.score([answered(longest, ["x", "y"])])


def check_columns(parts: Sequence[Part], groups: Sequence[Group]) -> None:
    """`ConfigError` for a function that cannot go without a column that no row of the data has."""
    there = list(dict.fromkeys(name for group in groups for name in json.loads(group.columns or "{}")))
    for part in parts:
        for name in (name for name, needed in part.takes.items() if needed and name not in there):
            raise ConfigError(
                f"The reward {part.name} takes {name!r}, and no row of the data has such a column; there are: "
                f"{', '.join(there) or 'none beside the prompt'}. Add it, or let the reward do without."
            )


def facts_of(parts: Sequence[Part], groups: Sequence[Group]) -> dict[str, Any]:
    """What each part is: a digest of its weights with what makes scores of them, or the text of the function; and of
    the columns that functions read in `groups`."""
    known: dict[str, Any] = {}
    for part in parts:
        if part.loaded is not None:
            known[part.name] = {"weights": weights_digest(part.loaded.policy)} | unit_of(scorer_of(part.loaded))
        elif part.source:
            known[part.name] = part.source
    if any(part.takes for part in parts):
        known["columns"] = sha256("\n".join(group.columns for group in groups).encode()).hexdigest()
    return known


def _takes(function: Callable[..., Any]) -> dict[str, bool]:
    """The parameters of `function` behind prompts and completions, and whether they are needed."""
    try:
        parameters = list(inspect.signature(function).parameters.values())[2:]
    except (TypeError, ValueError):  # not of Python
        return {}
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    takes = {one.name: one.default is inspect.Parameter.empty for one in parameters if one.kind in named}
    return takes | ({ALL: False} if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters) else {})


def _columns(
    groups: Sequence[Group], takes: Mapping[str, bool], positional: Sequence[str] = POSITIONAL
) -> dict[str, list[Any]]:
    """A value for every completion of each column that is taken: None in a row without it."""
    if not takes:
        return {}
    rows = [json.loads(group.columns or "{}") for group in groups for _ in group.completions]
    names = dict.fromkeys(name for row in rows for name in row if name in takes or ALL in takes)
    names |= dict.fromkeys(name for name, needed in takes.items() if needed)
    return {name: [row.get(name) for row in rows] for name in names if name not in positional}


def _texts(groups: Sequence[Group]) -> list[tuple[str, str]]:
    return [(group.prompt_text, one.text) for group in groups for one in group.completions]


def answered(prompt: Group, texts: Sequence[str]) -> Group:
    """`prompt` with `texts` as its completions, in the form that the prompt has: turns, or plain text.

    Turns are without the white space at their ends: what stands between "Assistant:" and a reply is the template's, and
    would stand there twice where the reply is read again.
    """
    role: Role = "text" if prompt.prompt and prompt.prompt[-1].role == "text" else "assistant"
    said = texts if role == "text" else [text.strip() for text in texts]
    completions = tuple(Completion((Message(role, text),)) for text in said)
    return Group(
        prompt.prompt, completions, prompt.place, prompt.tools, source=prompt.source, columns=prompt.columns
    )  # fmt: skip
