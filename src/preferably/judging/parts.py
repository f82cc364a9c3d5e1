"""A reward as a weighted sum of named parts: reward models, functions of the user's own, format rules, length."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from preferably.errors import ConfigError
from preferably.feedback.records import Completion, Group, Message, Role
from preferably.functions import load_function
from preferably.judging.judge import scores_of
from preferably.judging.reward import score_groups, scorer_of
from preferably.models.loading import Loaded, load_reward

WEIGHT = re.compile(r"\s*([+-]?[0-9.]+(?:e[+-]?[0-9]+)?)\s*\*\s*(.+)", re.IGNORECASE)
Scores = list[float | None]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a reward. `score(groups)`: a number for each completion of each group, in order, None where it cannot
    tell."""

    name: str
    weight: float
    score: Callable[[Sequence[Group]], Scores]
    loaded: Loaded | None = None  # the reward model, where it is one


def reward_parts(names: Sequence[str], **loading: Any) -> list[Part]:
    """The parts that `names` say, each `[weight*]name`:

    a directory or hub id of a reward model (its scores centered, and in units of their spread on reference completions,
    so that a weight means the same for any); `module:function`, called as `function(prompts, completions)` with texts;
    `format:REGEX`, 1 where the whole completion matches, else 0; `length`, the number of words.

    Raises `ConfigError` for anything else, or a name that is given twice.
    """
    parts: list[Part] = []
    for text in names:
        weighted = WEIGHT.fullmatch(text)
        name = (weighted[2] if weighted else text).strip()
        if not name:
            raise ConfigError(f"A part of the reward has no name: {text!r}; expected, for example, 0.5*my.py:polite.")
        if any(part.name == name for part in parts):
            raise ConfigError(f"The part {name!r} of the reward was given twice; give it once, with its weight.")
        try:
            weight = float(weighted[1]) if weighted else 1.0
        except ValueError:
            raise ConfigError(f"{text!r} has no number as its weight; expected, for example, 0.5*length.") from None
        parts.append(_part(name, weight, loading))
    return parts


def _part(name: str, weight: float, loading: dict[str, Any]) -> Part:
    if name == "length":
        return Part(name, weight, lambda groups: [float(len(text.split())) for _, text in _texts(groups)])
    if name.startswith("format:"):
        try:
            pattern = re.compile(name.removeprefix("format:"), re.DOTALL)
        except re.error as error:
            raise ConfigError(f"{name!r} is no regular expression: {error}.") from None
        return Part(name, weight, lambda groups: [float(bool(pattern.fullmatch(t))) for _, t in _texts(groups)])
    if ":" in name:
        function = load_function(name)

        def by_function(groups: Sequence[Group]) -> Scores:
            asked = list(_texts(groups))
            return scores_of(function, [prompt for prompt, _ in asked], [text for _, text in asked])

        return Part(name, weight, by_function)
    loaded = load_reward(name, **loading)
    scorer = scorer_of(loaded)

    def by_model(groups: Sequence[Group]) -> Scores:
        scores: Scores = []
        for group, found in zip(groups, score_groups(loaded, groups), strict=True):
            known = (scorer.total(found) / scorer.spread).tolist() if found is not None else None
            scores += known if known is not None else [None] * len(group.completions)
        return scores

    return Part(name, weight, by_model, loaded)


def added_up(
    parts: Sequence[Part], groups: Sequence[Group], start: Sequence[float]
) -> tuple[Scores, dict[str, Scores]]:
    """`start` [n] plus the weighted sum of all parts, for the n completions of all groups: None where a part cannot
    tell; and what each part gave, by name."""
    scores = {part.name: part.score(groups) for part in parts}
    totals: Scores = list(start)
    for part in parts:
        pairs = zip(totals, scores[part.name], strict=True)
        totals = [None if total is None or one is None else total + part.weight * one for total, one in pairs]
    return totals, scores


def _texts(groups: Sequence[Group]) -> list[tuple[str, str]]:
    return [(group.prompt_text, one.text) for group in groups for one in group.completions]


def answered(prompt: Group, texts: Sequence[str]) -> Group:
    """`prompt` with `texts` as its completions, in the form that the prompt has: turns, or plain text."""
    role: Role = "text" if prompt.prompt and prompt.prompt[-1].role == "text" else "assistant"
    completions = tuple(Completion((Message(role, text),)) for text in texts)
    return Group(prompt.prompt, completions, prompt.place, prompt.tools)
