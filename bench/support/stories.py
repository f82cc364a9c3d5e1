"""Story openings for the models of ../shared/real, and the rule that says which of two continuations is better."""

from collections.abc import Sequence
from random import Random

import numpy as np

from preferably.data.tokens import TokenGroup
from preferably.models.sampler import Sample
from support.machine import REAL

TEXT = REAL / "text" / "tinystories" / "tinystories-2MB-cased.txt"
MODEL = REAL / "models" / "stories260K"
OPENING, NEW = 24, 96  # tokens: the beginning of a story (BOS with it), and what is sampled after it


def rule(prompts: list[str], completions: list[str]) -> list[float | None]:
    """More quotation marks are better. A score function."""
    return [float(text.count('"')) for text in completions]


def openings(tokenizer, unseen: int, seed: int = 0) -> tuple[list[list[int]], list[list[int]]]:
    """Distinct openings of stories, as tokens: those to train on, and `unseen` others."""
    stories = [story.strip() for story in TEXT.read_text(encoding="utf-8").split("<|endoftext|>")]
    ids = tokenizer([story for story in stories if story], verbose=False)["input_ids"]
    distinct = [list(one) for one in dict.fromkeys(tuple(story[:OPENING]) for story in ids if len(story) > OPENING)]
    Random(seed).shuffle(distinct)
    return distinct[unseen:], distinct[:unseen]


def preferred_pairs(prompts: Sequence[list[int]], drawn: Sequence[Sequence[Sample]]) -> list[TokenGroup]:
    """Pairs of two samples each, the better by the rule first; ties make no pair. Tokens as they were sampled: the end
    of a story where the model ended it, and no end where it was cut."""
    groups = []
    for row, (prompt, (a, b)) in enumerate(zip(prompts, drawn, strict=True)):
        first, second = rule([], [a.text, b.text])
        if first == second:
            continue
        ordered = (a, b) if first > second else (b, a)
        completions = tuple(np.array(one.tokens) for one in ordered)
        masks = tuple(np.ones(len(tokens), dtype=np.bool_) for tokens in completions)
        groups.append(TokenGroup(np.array(prompt), completions, masks, row))
    return groups
