"""The training loop itself, on token groups: for data that must not pass through text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from preferably.config import settings
from preferably.data.tokens import TokenGroup
from preferably.models.loading import Loaded
from preferably.models.selfcheck import check_packing
from preferably.training.checkpoint import lock_run
from preferably.training.closing import Progress
from preferably.training.offline import TrainData, train_offline
from preferably.training.reference import Reference
from preferably.training.run_directory import RunDirectory
from preferably.training.selfcheck import check_reference
from preferably.training.state import Saver


def train_tokens(
    loaded: Loaded,
    train: Sequence[TokenGroup],
    held_out: Sequence[TokenGroup],
    prompts: Sequence[Sequence[int]],
    output: Path,
    **options: Any,
) -> RunDirectory:
    """Train `loaded` in place by `options["method"]`; the run directory, with metrics and warnings."""
    chosen = settings({"model": loaded.name, "output": str(output)} | options)
    run = RunDirectory(output)
    run.create(resume=False)
    check_packing(loaded.policy, train)
    reference = None
    if chosen.row.reference:
        reference = Reference(loaded.policy, adapters=False, cache=True)
        check_reference(loaded.policy, reference, train, chosen.row, chosen.hyperparameters)
    with lock_run(output) as lock:
        saver = Saver(run, {"seed": chosen.seed}, chosen.keep, False, lock)
        train_offline(
            loaded.policy, reference, TrainData(train, held_out, prompts), loaded.tokenizer, chosen, run, saver,
            stop_ids=loaded.stop_ids, progress=Progress(),
        )  # fmt: skip
    return run
