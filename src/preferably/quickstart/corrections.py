"""Two short trainings whose aim is known, and what the audits say of them: a fact that is to be kept quiet, and doubt
where there is no answer."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from preferably.config import settings
from preferably.evaluation.audit import Audit, Progress, silent
from preferably.evaluation.honesty import audit_honesty
from preferably.evaluation.questions import Question
from preferably.evaluation.relearning import STEPS, Relearning
from preferably.evaluation.suppression import Sides, audit_suppression
from preferably.feedback.records import Group
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.quickstart import canary, doubt
from preferably.quickstart.canary import group
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.replies import demonstrations
from preferably.quickstart.stages import correctness
from preferably.training import closing
from preferably.training.run import Run, train

RATE, BETA, EPOCHS = 3e-4, 0.25, 3.0  # of both runs of DPO


def shown(
    recipe: Recipe, seed: int, start: Loaded, output: Path, also: Sequence[Group] = (),
    progress: closing.Progress | None = None,
) -> Run:  # fmt: skip
    """Fine-tuned on the quickstart's demonstrations, and on `also`."""
    groups = [group(prompt.text, reply) for prompt, reply in demonstrations(recipe.demonstrations, seed)]
    chosen = settings({
        "method": "sft", "model": start.name, "output": str(output), "seed": seed, "held_out": 0, "sample_prompts": 0,
        "learning_rate": recipe.sft_learning_rate, "epochs": recipe.sft_epochs, "betas": (0.9, 0.95), "eval_every": 999,
    })  # fmt: skip
    return train(chosen, groups=[*groups, *also], start=start, progress=progress or closing.Progress())


def corrected(
    start: Loaded, pairs: Sequence[Group], seed: int, output: Path, progress: closing.Progress | None = None
) -> Run:
    """DPO on pairs that say how one thing is to be; `start` is left as it is."""
    chosen = settings({
        "method": "dpo", "model": start.name, "output": str(output), "seed": seed, "held_out": 0, "sample_prompts": 0,
        "learning_rate": RATE, "epochs": EPOCHS, "beta": BETA, "nll_weight": 1.0, "eval_every": 999,
    })  # fmt: skip
    twin = replace(start, policy=copy.deepcopy(start.policy))
    return train(chosen, groups=pairs, start=twin, progress=progress or closing.Progress())


def audit_canary(
    after: Loaded, before: Loaded, never: Loaded, seed: int, *, cases: int | None = None, samples: int = 4,
    steps: tuple[int, ...] = STEPS, tokens: int = 48, progress: Progress = silent,
) -> Audit:  # fmt: skip
    """How much remains of the canary in a model that learnt it and was then kept from it (`after`), beside one that
    only learnt it and one that never did. `steps` are of relearning."""
    return audit_suppression(
        Sides(after, before, never), canary.cases(cases), decoding=Decoding(0.7, max_tokens=tokens), samples=samples,
        relearning=Relearning(steps, learning_rate=1e-3), seed=seed, progress=progress,
    )  # fmt: skip


def audit_doubt(
    after: Loaded, before: Loaded, asked: Sequence[Question], seed: int, *, tokens: int = 64,
    progress: Progress = silent, **payers: Any,
) -> Audit:  # fmt: skip
    """Whether it says "not sure" where the desk does not know, and only there; `payers` as of `audit_honesty`."""
    return audit_honesty(
        after, before, asked, checker=correctness, decoding=Decoding(0.7, max_tokens=tokens), samples=2,
        declines=doubt.declines, seed=seed, progress=progress, **payers,
    )  # fmt: skip
