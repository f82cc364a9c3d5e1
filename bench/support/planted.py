"""Failures planted in a training stage of the quickstart, and the warning that each should raise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from preferably.config import read_yaml
from preferably.data.splits import split_by_prompt
from preferably.data.tokens import Encoded, encode
from preferably.errors import PreferablyError
from preferably.feedback.records import Group
from preferably.models.loading import load
from preferably.quickstart import stages
from preferably.quickstart.recipe import Recipe
from preferably.training.closing import Progress
from preferably.training.run import Run
from preferably.training.run_directory import RunDirectory

HELD_OUT = 0.08  # what `stages.dpo_stage` holds out


@dataclass(frozen=True, slots=True)
class World:
    """What a seed has made so far: the directories of two models, and the labeled pairs."""

    recipe: Recipe
    seed: int
    base: Path
    sft: Path
    pairs: Sequence[Group]


@dataclass(frozen=True, slots=True)
class Planted:
    """A failure, and the warnings that name it (any of them will do)."""

    name: str
    own: frozenset[str]
    train: Callable[[World, Path], Run]


def _dpo(world: World, output: Path, pairs: Sequence[Group] | None = None, **changes: Any) -> Run:
    recipe = replace(world.recipe, **changes)
    chosen = world.pairs if pairs is None else pairs
    return stages.dpo_stage(recipe, world.seed, load(world.sft), chosen, output, Progress())


def _flipped(world: World, output: Path) -> Run:
    """The training labels the wrong way round, the held-out ones right: the stage's own split, found beforehand."""
    train = set(split_by_prompt(world.pairs, HELD_OUT, world.seed).train)
    pairs = [
        replace(group, completions=group.completions[::-1]) if row in train else group
        for row, group in enumerate(world.pairs)
    ]
    run = _dpo(world, output, pairs)
    held_out = read_yaml(output / "config.yaml")["held_out"]
    if held_out != HELD_OUT:
        raise SystemExit(f"the DPO stage now holds out {held_out}, not {HELD_OUT}: the wrong labels were flipped")
    return run


def _without_end(world: World, output: Path) -> Run:
    """Demonstrations whose last token, the end of the sequence, is cut off after they were encoded."""

    def cut(*arguments: Any, **options: Any) -> Encoded:
        whole = encode(*arguments, **options)
        groups = [
            replace(
                group,
                completions=tuple(ids[:-1] for ids in group.completions),
                train=tuple(mask[:-1] for mask in group.train),
            )
            for group in whole.groups
        ]
        return replace(whole, groups=groups)

    with patch("preferably.training.reading.encode", cut):
        return stages.sft_stage(world.recipe, world.seed, load(world.base), output, Progress())


FAILURES = (
    Planted("none (DPO as it is)", frozenset(), _dpo),
    Planted(
        "learning rate x 100",
        frozenset({"held_out_loss_rising", "not_finite"}),
        lambda world, output: _dpo(world, output, dpo_learning_rate=100 * world.recipe.dpo_learning_rate),
    ),
    Planted(
        "beta / 100",
        frozenset({"kl_high", "likelihood_displacement", "margin_flat"}),
        lambda world, output: _dpo(world, output, beta=world.recipe.beta / 100),
    ),
    Planted("training labels flipped", frozenset({"below_chance"}), _flipped),
    Planted("demonstrations without their end", frozenset({"no_eos"}), _without_end),
)


def try_out(planted: Planted, world: World, output: Path) -> dict[str, Any]:
    """Train with the failure in place: the warnings it raised, and whether its own is among them."""
    error = None
    try:
        planted.train(world, output)
    except PreferablyError as stopped:  # three steps in a row that were not finite
        error = str(stopped)
    run = RunDirectory(output)
    warnings = list(run.lines("warnings.jsonl"))
    codes = [warning["code"] for warning in warnings]
    last = [line for line in run.lines("metrics.jsonl") if "eval_loss" in line][-1]
    return {
        "failure": planted.name,
        "own_warnings": sorted(planted.own),
        "raised": [{"step": w["step"], "code": w["code"]} for w in warnings],
        "passed": bool(planted.own & set(codes)) if planted.own else not codes,
        "stopped": error,
        "last": {key: value for key, value in last.items() if key.startswith(("eval_", "objective", "samples"))},
    }
