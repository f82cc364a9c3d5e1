"""A trained model in plain Hugging Face form, and the proof that it is the model it was made from.

The weights of a checkpoint are put on the model that the run started from, written, and loaded again by plain
transformers in a process of its own. The logits of both must be equal to the last bit, or nothing is exported.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from preferably.config import TrainSettings, read_yaml, settings
from preferably.data.load import load_feedback
from preferably.data.tokens import encode
from preferably.errors import CheckpointError, ConfigError, ModelError
from preferably.models.adapters import add_adapters
from preferably.models.loading import REWARD, Loaded, load, padding_of, write_model
from preferably.models.policy import weights_digest
from preferably.models.scorer import Scorer
from preferably.training import plain_forward
from preferably.training.checkpoint import Manifest, environment_facts, name_of, newest_valid, verify
from preferably.training.disk import sync, telling
from preferably.training.plain_forward import last_logits
from preferably.training.ranked import center
from preferably.training.reading import read_data
from preferably.training.run_directory import RunDirectory
from preferably.training.state import State, load_weights

DTYPES = ("same", "float32", "bfloat16")
PROMPTS, POSITIONS = 4, 32  # held-out rows of the proof, and how many of their last positions are compared
# Largest difference of a log-prob between adapters merged and adapters on, nats. Rounding in float32 gives 1e-6 on
# small models; an adapter that was not merged, or merged twice, gives 1e-2 and more.
MERGING = 1e-3


@dataclass(frozen=True, slots=True)
class Export:
    """What was exported: the directory, and what its export.json says."""

    path: Path
    facts: dict[str, Any]


def export(
    run: Path,
    output: Path,
    *,
    adapter: bool = False,
    dtype: str = "same",
    checkpoint: str | int | None = None,
    card: str = "",
) -> Export:
    """Write the model of `run` to the new directory `output`, prove it, and say in export.json what was done.

    `adapter` writes the adapters of a LoRA run alone; otherwise they are merged. `dtype` is that of the file: `same`
    (as trained, float32), `float32` or `bfloat16`. `checkpoint` is `best`, `last` or a step; by default the one that
    the run itself would make its model. `card` becomes README.md. All of it runs on the processor.

    Raises `ConfigError` for what cannot be asked for, `CheckpointError` for a checkpoint that does not verify or a
    directory that cannot be written, `ModelError` for a model that cannot be loaded or is not proved. A reward model
    loads with `AutoModelForSequenceClassification`; reward.json says what its scores mean, centered as by the run.
    """
    made, run_id = _run(run)
    _refuse(made, run, output, adapter, dtype)
    path, manifest = _checkpoint(run / "checkpoints", run_id, made, checkpoint)
    base = str(Path(made.model).resolve()) if Path(made.model).exists() else made.model
    loaded = _model(run, made, path, manifest, base)
    if isinstance(loaded.policy, Scorer):
        loaded.policy.inner.config.pad_token_id = padding_of(loaded)  # a score is read at the last token that is none
        _center(loaded, loaded.policy, run, made, is_last=path == _checkpoint(path.parent, run_id, made, None)[0])
    rows, source = _rows(run, made, loaded)
    facts: dict[str, Any] = {
        "run": run.resolve().name, "run_id": run_id, "method": made.method, "step": manifest.step, "base": base,
        "form": "adapter" if adapter else "merged" if made.lora else "full",
        "dtype": "bfloat16" if dtype == "bfloat16" else "float32", "stop_ids": sorted(loaded.stop_ids),
    }  # fmt: skip
    prompts = [{"text": loaded.tokenizer.decode(ids), "tokens": len(ids)} for ids in rows]
    with _beside(output) as folder:
        wanted, distances = _written(loaded, rows, folder, merge=made.lora and not adapter, dtype=facts["dtype"])
        del loaded  # the second process needs the room
        (folder / "README.md").write_text(card, encoding="utf-8")
        difference = _proved(folder, base if adapter else None, rows, wanted, scores=made.row.scores)
        proof = {"max_difference": difference, "positions": POSITIONS, "source": source, "prompts": prompts}
        environment = environment_facts(device="cpu", dtype=facts["dtype"], threads=torch.get_num_threads())
        facts |= {"proof": proof} | distances | {"files": _files(folder), "environment": environment}
        RunDirectory(folder).write_json("export.json", facts)
    return Export(output, facts)


def distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> dict[str, float]:
    """How far two lists of logits [P, V] are apart: the largest |difference| of a logit and of a log-prob (nats), and
    KL(one || other) in nats, the mean over all positions."""
    a, b = torch.cat(list(one)).double(), torch.cat(list(other)).double()
    p, q = a.log_softmax(-1), b.log_softmax(-1)
    return {
        "logit": float((a - b).abs().max()),
        "log_prob": float((p - q).abs().max()),
        "kl": float((p.exp() * (p - q)).sum(-1).mean()),
    }


def score_distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> dict[str, float]:
    """The same for two lists of scores [A]: the largest |difference|."""
    return {"score": float((torch.cat(list(one)).double() - torch.cat(list(other)).double()).abs().max())}


def _run(run: Path) -> tuple[TrainSettings, str]:
    """The settings and the id of the run."""
    known = run / "run-id"
    if not known.is_file() or not (run / "config.yaml").is_file():
        raise ConfigError(
            f"{run} is not the directory of a training run: it holds no run-id and config.yaml; "
            "give the --output of `preferably train`."
        )
    return settings(read_yaml(run / "config.yaml")), known.read_text(encoding="utf-8").strip()


def model_at(run: Path, step: int) -> Loaded:
    """The model of a run as it was at the checkpoint of `step`, on the CPU in float32. Raises what `export` does."""
    made, run_id = _run(run)
    path, manifest = _checkpoint(run / "checkpoints", run_id, made, step)
    return replace(_model(run, made, path, manifest, made.model), name=f"{run} at step {step}")


def _refuse(made: TrainSettings, run: Path, output: Path, adapter: bool, dtype: str) -> None:
    """Raise `ConfigError` for what cannot be asked for."""
    if output.exists():
        raise ConfigError(f"{output} is there already and was not changed; give another --output.")
    if dtype not in DTYPES:
        raise ConfigError(f"dtype {dtype!r} is not one to export in; expected {', '.join(DTYPES)}.")
    if adapter and not made.lora:
        raise ConfigError(f"{run} trained all weights, so there is no adapter to export; leave --adapter out.")
    if adapter and made.row.scores:
        raise ConfigError("Adapters alone are no reward model: its head is not theirs; leave --adapter out.")
    if adapter and dtype == "bfloat16":
        raise ConfigError("An adapter is exported in float32, as peft computes with it; leave --dtype out, or merge.")


def _checkpoint(directory: Path, run_id: str, made: TrainSettings, wanted: str | int | None) -> tuple[Path, Manifest]:
    """The checkpoint that is asked for, verified."""
    if isinstance(wanted, int):
        path = directory / name_of(wanted)
        if not path.is_dir():
            there = [one.name for one in sorted(directory.glob("step-*"))]
            raise ConfigError(f"{directory} has no {path.name}; there are: {', '.join(there) or 'none'}.")
        return path, verify(path, run_id=run_id)
    if wanted not in (None, "best", "last"):
        raise ConfigError(f"checkpoint is best, last or a step; got {wanted!r}.")
    newest = newest_valid(directory, run_id)
    if newest.refused:
        raise CheckpointError(f"The newest checkpoint cannot be used: {newest.refused[0][1]} Name another by its step.")
    if newest.path is None or newest.manifest is None:
        raise CheckpointError(f"{directory} holds no checkpoint, so there is nothing to export.")
    state = State(**json.loads((newest.path / "state.json").read_text(encoding="utf-8")))
    if wanted == "best" and state.best_step is None:
        raise ConfigError("No held-out loss was measured up to now, so no checkpoint is the best; ask for the last.")
    if wanted == "last" or state.best_step is None or (wanted is None and not (made.chooses_best or state.turned)):
        return newest.path, newest.manifest
    return _checkpoint(directory, run_id, made, state.best_step)


def _model(run: Path, made: TrainSettings, path: Path, manifest: Manifest, base: str) -> Loaded:
    """The model with the weights of the checkpoint in `path`, with transformers' own attention."""
    # A full run's checkpoint holds every weight, so the model that the run saved does as well as the one it began with.
    kept = run / "model"
    start = made.lora or not (kept / "config.json").exists()
    torch.manual_seed(made.seed)  # a new head has the weights that it had when training began
    origin = made.model if start else kept
    loaded = load(origin, device="cpu", dtype="float32", attention="padded", axes=made.heads)
    if start and weights_digest(loaded.policy) != manifest.facts["start_weights"]:
        raise CheckpointError(
            f"{made.model} is not the model that {run} started from: its weights have changed. Put it back."
        )
    if made.lora:
        add_adapters(loaded.policy, r=made.lora_r, alpha=made.lora_alpha, targets=made.lora_targets)
        loaded.policy.model.peft_config["default"].base_model_name_or_path = base
    load_weights(loaded.policy, path)
    return loaded


def _center(loaded: Loaded, scorer: Scorer, run: Path, made: TrainSettings, *, is_last: bool) -> None:
    """What the run measured when it ended; of a checkpoint that is not its model, what it would have measured then."""
    kept = run / "model" / REWARD
    state = json.loads((run / "status.json").read_text(encoding="utf-8"))["state"]
    if is_last and kept.exists() and state in ("finished", "stopped"):
        known = json.loads(kept.read_text(encoding="utf-8"))
        scorer.mean, scorer.spread = tuple(known["mean"]), known["spread"]
        return
    data, _, _ = read_data(made, None, loaded, None)
    center(scorer, data.train, made.tokens_per_microbatch)


def _rows(run: Path, made: TrainSettings, loaded: Loaded) -> tuple[list[list[int]], str]:
    """Token ids for the proof, held-out prompts with their (first) completion, and where they are from."""
    file = run / "held_out.jsonl"
    if file.exists() and file.stat().st_size:
        groups = load_feedback([file], made.row.feedback, max_rejected=1.0, limit=PROMPTS).groups
        length = loaded.context or sys.maxsize
        found = encode(groups, loaded.tokenizer, max_length=length, truncation="keep_start").groups
        rows = [
            [*group.prompt.tolist(), *completion.tolist()]
            for group in found
            # A scorer says one thing of a row, so it is asked for more of them. Prompts have no completions.
            for completion in (group.completions[: None if made.row.scores else 1] or (group.prompt[:0],))
        ]
        if rows:
            return rows, file.name
    words = len(loaded.tokenizer)
    return [[(number * POSITIONS + at) % words for at in range(POSITIONS)] for number in range(PROMPTS)], (
        "token ids in order, for nothing was held out"
    )


def _written(
    loaded: Loaded, rows: list[list[int]], folder: Path, *, merge: bool, dtype: str
) -> tuple[list[Tensor], dict[str, Any]]:
    """Write the model, merged and cast as asked for: its logits, and how far merging and casting moved them."""
    model, apart = loaded.policy.model, score_distance if isinstance(loaded.policy, Scorer) else distance
    logits = last_logits(model, rows, POSITIONS)
    distances: dict[str, Any] = {"merging": None, "casting": None}
    if merge:
        model = model.merge_and_unload()
        merged = last_logits(model, rows, POSITIONS)
        distances["merging"] = apart(logits, merged) | {"tolerance": MERGING}
        moved = distances["merging"].get("score", distances["merging"].get("log_prob"))
        if not moved <= MERGING:
            raise ModelError(
                f"Adapters merged and adapters on differ by {moved:.2g}, more than the {MERGING:g} that rounding "
                "explains; nothing was exported. Export the adapter alone (--adapter), unless it is a reward model."
            )
        logits = merged
    if dtype == "bfloat16":
        _cast(model, torch.bfloat16)
        cast = last_logits(model, rows, POSITIONS)
        distances["casting"] = apart(logits, cast)
        logits = cast
    write_model(model, loaded, folder)
    return logits, distances


def _cast(model: nn.Module, dtype: torch.dtype) -> None:
    """Cast what is stored, as loading a file of that dtype does; tables that a model makes itself keep theirs."""
    for tensor in model.state_dict(keep_vars=True).values():
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)


def _proved(folder: Path, base: str | None, rows: list[list[int]], wanted: list[Tensor], *, scores: bool) -> float:
    """Load `folder` in plain transformers, in another process: 0.0, the largest difference; `ModelError` for others."""
    with tempfile.TemporaryDirectory() as space:
        job, output = Path(space) / "job.json", Path(space) / "logits.safetensors"
        work = {
            "directory": str(folder), "base": base, "scores": scores, "prompts": rows, "positions": POSITIONS,
            "threads": torch.get_num_threads(), "output": str(output),
        }  # fmt: skip
        job.write_text(json.dumps(work), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-P", plain_forward.__file__, str(job)],
            env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise ModelError(f"Plain transformers could not run what was to be exported, so nothing was: {said[0]}")
        found = load_file(output)
    difference = max(float((found[str(i)] - logits).abs().max()) for i, logits in enumerate(wanted))
    if not all(found[str(i)].equal(logits) for i, logits in enumerate(wanted)):
        raise ModelError(
            f"Loaded again by plain transformers, the model gives {'scores' if scores else 'logits'} that differ by up "
            f"to {difference:.2g} from those of the model in memory; nothing was exported. This is a bug; please "
            "report it with the model."
        )
    return difference


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    """Size and SHA-256 of each file."""
    entries = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            digest = file_digest(stream, "sha256").hexdigest()
        entries[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": digest}
    return entries


@contextmanager
def _beside(output: Path) -> Iterator[Path]:
    """A new directory next to `output` that becomes it at the end; where the end is not reached nothing is left."""
    place = output.absolute()
    folder = place.with_name(f"{place.name}.tmp-{secrets.token_hex(4)}")  # of no name that a user might have taken
    with telling(output, " Nothing of it is left."):
        try:
            folder.mkdir(parents=True)
            yield folder
            for path in folder.rglob("*"):
                sync(path)
            os.rename(folder, place)
            sync(place.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
