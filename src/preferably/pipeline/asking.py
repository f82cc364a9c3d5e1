"""What questions to a judge on a server will cost, before one is asked."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from preferably.feedback.records import Group
from preferably.judging.questions import question
from preferably.judging.settings import JudgeSettings
from preferably.reporting.figures import plural, significant

LOOKED_AT = 16  # questions whose tokens are counted, of each judge


def pairs_of(answered: Sequence[Group]) -> list[Group]:
    """All pairs of answers to one prompt, as a judge is asked about them."""
    return [replace(one, completions=two) for one in answered for two in combinations(one.completions, 2)]


def price(
    questions: int, pairs: Sequence[Group], judges: Sequence[JudgeSettings], tokenizer: Any, principle: str = ""
) -> str:  # fmt: skip
    """What `questions` to each judge about such `pairs` by a `principle` cost, at the end of a sentence: as many tokens
    as `tokenizer` makes of some of them, and replies as long as they may be."""
    total = 0.0
    for one in judges:
        if one.prices is None or one.max_tokens is None:
            missing = "prices" if one.prices is None else "max_tokens"
            return f"; what they cost is not known: {one.labeler} has no {missing}"
        shown = pairs[:: max(1, len(pairs) // LOOKED_AT)]
        asked = [question("pair", two, (0, 1), one, principle) for two in shown]
        texts = [" ".join(part["content"] for part in each.messages) for each in asked]
        tokens = sum(len(tokenizer(text)["input_ids"]) for text in texts) / max(1, len(texts))
        total += questions * (tokens * one.prices[0] + one.max_tokens * one.prices[1]) / 1e6
    return f", {significant(total, 2)} by {'its' if len(judges) == 1 else 'their'} prices"


def counted(prompts: int, answers: int, orders: int, rounds: int, judges: int) -> tuple[int, str]:
    """How many questions that is to each judge, and how they come about."""
    pairs = answers * (answers - 1) // 2
    parts = [plural(prompts, "prompt"), plural(pairs, "pair"), plural(orders, "order")]
    parts += [plural(rounds, "round")] if rounds > 1 else []
    parts += [plural(judges, "judge")] if judges > 1 else []
    return prompts * pairs * orders * rounds, " x ".join(parts)
