"""What stands in for that which a job has not made yet: a reward, and answers that are yet to be drawn and judged."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from string import ascii_letters

from preferably.data.load import load_prompts
from preferably.data.tokens import encode_prompts
from preferably.feedback.records import Group
from preferably.judging.parts import answered
from preferably.models.loading import Loaded

REWARD = ["length"]  # costs nothing
AT_LEAST = "at least: what gives the reward comes on top (a reward model: one more model)"
SPARE = 4  # tokens of a template behind an answer


def drawn(
    names: Sequence[str], model: Loaded, *, samples: int, tokens: int, limit: int | None = None,
    most: int | None = None,
) -> list[Group]:  # fmt: skip
    """The prompts of files with `samples` different answers, of about `tokens` tokens each, or as long as prompt and
    answer together may be (`most` tokens, or the context). Raises what reading raises."""
    prompts = load_prompts(names, limit).groups
    room = min(most or 10**9, model.context or 10**9)
    words = 64 / max(1, len(model.tokenizer("a " * 64)["input_ids"]))  # a token
    made = []
    for prompt, ids in zip(prompts, encode_prompts(prompts, model.tokenizer, max_length=10**9), strict=True):
        length = min(tokens, room - len(ids) - SPARE)
        if length > 0:
            begun = "a " * (max(1, int(length * words)) - 1)
            made.append(answered(prompt, [begun + ascii_letters[at] for at in range(samples)]))
    return made


def told_apart(groups: Sequence[Group], feedback: str) -> Iterator[Group]:
    """What a method on pairs, labels or rankings can learn at most from answers of which all are told apart."""
    for group in groups:
        if feedback == "rankings":
            yield replace(group, ranks=tuple(range(1, len(group.completions) + 1)))
            continue
        for two in combinations(group.completions, 2):
            if feedback == "pairs":
                yield replace(group, completions=two)
            else:
                yield from (replace(group, completions=(one,), label=one is two[0]) for one in two)
