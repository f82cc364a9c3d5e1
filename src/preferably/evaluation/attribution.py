"""Why a reward model scores a completion as it does: what each piece of the text adds.

A piece counts what the score loses when it is left out (leave-one-out, as in Li et al. 2016,
https://arxiv.org/abs/1612.08220). Two pieces that say the same each count little, as the other one is still there; so
pieces do not add up to the score, and `Explained.together` says how much of it they do.
"""

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import torch

from preferably.errors import DataError
from preferably.feedback.records import Completion, Group
from preferably.judging.reward import score_groups, scorer_of
from preferably.models.loading import Loaded

By = Literal["sentences", "words"]
ENDS = {"sentences": re.compile(r"[.!?]+\s+|\n\s*"), "words": re.compile(r"\s+")}  # where a piece ends
TOGETHER = 32  # variants of a text that are read together


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a completion: what it adds to the total score, and to each axis."""

    text: str
    total: float
    axes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """A completion with its scores and pieces, whose texts joined are the completion's."""

    text: str
    total: float
    axes: tuple[float, ...]
    pieces: tuple[Piece, ...]

    @property
    def together(self) -> float:
        """What the pieces add up to; far from `total` where they repeat or depend on each other."""
        return sum(piece.total for piece in self.pieces)


def explain(loaded: Loaded, group: Group, *, by: By = "sentences", budget: int = 8192) -> list[Explained]:
    """Every completion of `group` with what each of its pieces adds. Of several turns, the last one is taken apart.

    Raises `DataError` for a completion that the reward model cannot read.
    """
    return [_explained(loaded, replace(group, completions=(one,)), by, budget) for one in group.completions]


def pieces_of(text: str, by: By) -> list[str]:
    """`text` in sentences or words with the white space around them, joined without loss."""
    ends = [match.end() for match in ENDS[by].finditer(text) if text[: match.end()].strip()]
    cuts = [0, *(end for end in ends if end < len(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


def _explained(loaded: Loaded, group: Group, by: By, budget: int) -> Explained:
    scorer = scorer_of(loaded)
    whole = group.completions[0]
    text = whole.messages[-1].content
    pieces = pieces_of(text, by)
    left_out = ["".join(pieces[:at] + pieces[at + 1 :]) for at in range(len(pieces))]
    # A text of one piece has nothing that could be left out of it.
    variants = [whole, *(_with_text(whole, rest) for rest in left_out if rest.strip())]
    runs = [variants[at : at + TOGETHER] for at in range(0, len(variants), TOGETHER)]
    found = score_groups(loaded, [replace(group, completions=tuple(run)) for run in runs], budget=budget)
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        raise DataError(f"{loaded.name} cannot read this completion: {text[:60]!r}... is too long for it, or empty.")
    scores = torch.cat(known)
    totals, axes = scorer.total(scores).tolist(), scores.tolist()
    made, at = [], 0
    for piece, rest in zip(pieces, left_out, strict=True):
        if not rest.strip():
            made.append(Piece(piece, totals[0], tuple(axes[0])))
            continue
        at += 1
        gained = tuple(one - other for one, other in zip(axes[0], axes[at], strict=True))
        made.append(Piece(piece, totals[0] - totals[at], gained))
    return Explained(text, totals[0], tuple(axes[0]), tuple(made))


def _with_text(completion: Completion, text: str) -> Completion:
    *before, last = completion.messages
    return replace(completion, messages=(*before, replace(last, content=text)))
