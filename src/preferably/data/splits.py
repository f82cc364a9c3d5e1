"""Held-out prompts: chosen by prompt, never by row, so that no prompt is on both sides."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import get_args

from preferably.config import Half
from preferably.data.hygiene import cluster_prompts, prompt_key, prompt_text
from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group

SHOWN = 3  # prompts that a message quotes


@dataclass(frozen=True, slots=True)
class Split:
    """Indices into the groups that were split, each in ascending order."""

    train: list[int]
    held_out: list[int]


def split_by_prompt(groups: Sequence[Group], held_out: float | int, seed: int) -> Split:
    """Hold out a share (float, below 1) or a number (int) of `groups`; near-equal prompts stay on one side.

    Clusters of prompts are ordered by a hash of the seed and of their smallest key, so the same prompts are held out
    in every process and in any order of the files. A cluster that would make the held-out part too large is passed
    over, so the part can be a little smaller than asked. `ConfigError` for a number out of range, `DataError` where
    every cluster is too large.
    """
    below = 1 if isinstance(held_out, float) else max(len(groups), 1)
    if not 0 <= held_out < below:
        raise ConfigError(
            f"Cannot hold out {held_out} of {len(groups)} groups; expected a share from 0 to below 1, or a number "
            f"from 0 to {max(len(groups) - 1, 0)}."
        )
    wanted = held_out if isinstance(held_out, int) else min(round(held_out * len(groups)), len(groups) - 1)
    clusters = _clusters(groups)
    taken: list[int] = []
    for _, members in sorted(clusters, key=lambda one: _drawn(seed, one[0])):
        if len(taken) + len(members) <= wanted:
            taken.extend(members)
    if held_out and not taken:
        smallest = min((len(members) for _, members in clusters), default=0)
        raise DataError(
            f"Nothing can be held out (groups: {len(groups)}, distinct prompts: {len(clusters)}): the smallest "
            f"set of near-equal prompts has {smallest}, more than the {wanted} "
            "asked for. Hold out more, add prompts, or hold out nothing (held_out 0)."
        )
    out = set(taken)
    return Split([index for index in range(len(groups)) if index not in out], sorted(out))


def half_of(groups: Sequence[Group], half: Half) -> list[int]:
    """The indices of the groups in one of two halves, in ascending order; near-equal prompts are in the same.

    A prompt's text alone decides, so two runs on the same data share none, whatever their seeds and lengths. The halves
    differ in size as coins do. `DataError` for one in which there is nothing.
    """
    wanted = get_args(Half).index(half)
    found = sorted(
        index for key, members in _clusters(groups) if _drawn("half", key)[0] % 2 == wanted for index in members
    )
    if not found:
        raise DataError(
            f"Half {half} of {len(groups)} groups is empty: the prompts are too few, or too much alike, for two halves "
            "that share none. Leave out half, or give more prompts."
        )
    return found


def _clusters(groups: Sequence[Group]) -> list[tuple[str, list[int]]]:
    """The sets of groups with near-equal prompts, each with the smallest key in it."""
    texts = [prompt_text(group) for group in groups]
    clusters: dict[int, list[int]] = defaultdict(list)
    for index, cluster in enumerate(cluster_prompts(texts)):
        clusters[cluster].append(index)
    return [(min(prompt_key(texts[index]) for index in members), members) for members in clusters.values()]


def _drawn(seed: int | str, key: str) -> bytes:
    """A draw for a cluster, the same in every process and order of files."""
    return blake2b(f"{seed}\n{key}".encode(), digest_size=16).digest()


def leaked(train: Sequence[Group], held_out: Sequence[Group]) -> list[int]:
    """The indices of held-out groups whose prompt, up to case, whitespace and punctuation, is also in `train`."""
    known = {prompt_key(prompt_text(group)) for group in train}
    return [index for index, group in enumerate(held_out) if prompt_key(prompt_text(group)) in known]


def refuse_leakage(train: Sequence[Group], held_out: Sequence[Group]) -> None:
    """Raise `DataError` with the count and examples if a held-out prompt is also trained on."""
    found = leaked(train, held_out)
    if not found:
        return
    shown = []
    for index in found[:SHOWN]:
        place = held_out[index].place
        where = f"{place[0]}:{place[1]} " if place else ""
        shown.append(f"{where}{prompt_text(held_out[index])[:60]!r}")
    raise DataError(
        f"{len(found)} of {len(held_out)} held-out prompts are also in the training data, so the evaluation would "
        f"reward memory: {'; '.join(shown)}. Remove them from one of the two files, or let a share of the training "
        "file be held out instead."
    )
