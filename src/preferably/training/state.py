"""Where a run is, and how that is saved and taken up again: safetensors and JSON, nothing else."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import BaseFileLock
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from preferably.errors import CheckpointError
from preferably.models.policy import Policy
from preferably.training import checkpoint, parallel
from preferably.training.disk import NoSpaceError
from preferably.training.reference import Reference
from preferably.training.run_directory import RunDirectory
from preferably.training.sharding import like, to_main

FAILURES = 3  # checkpoints in a row that a full disk did not take: the run stops
# What a digest says, in words.
_OTHER = "are not the same (other rows, another order or another tokenizer)"
CHANGED = {
    "data.train.digest": f"data: the tokens to train on {_OTHER}",
    "data.held_out.digest": f"data: the held-out tokens {_OTHER}",
    "start_weights": "model: its weights are not those that the run started from",
    "reference_weights": "reference_model: its weights are not those that the run was held to",
}


@dataclass(slots=True)
class State:
    """Everything about a run that is not a tensor. The order of data and all seeds are functions of `step`."""

    step: int = 0
    tokens: int = 0
    # The metrics of a step that was made but not yet evaluated and logged; step 0 is the model before any update.
    line: dict[str, Any] | None = field(default_factory=lambda: {"step": 0, "epoch": 0.0})
    logs: dict[str, int] = field(default_factory=dict)  # bytes of each log at the last checkpoint; none before it
    start: dict[str, float] = field(default_factory=dict)  # the evaluation before any update
    best_loss: float | None = None  # held-out
    best_step: int | None = None
    evaluations_without_gain: int = 0
    bad_steps: int = 0  # in a row
    kl_coef: float | None = None  # of an online run, where it is adapted
    guard: list[float] = field(default_factory=list)  # the best [score of the guard, its error, score] so far
    alarms: list[str] = field(default_factory=list)  # codes that have spoken
    reason: str = ""  # why the run ended early, where it did

    @property
    def turned(self) -> bool:
        """Whether a guard ended the run: then the weights that it liked best are what is kept."""
        return "overoptimized" in self.alarms

    def judge(self, loss: float | None, patience: int | None) -> None:
        """Take in a held-out loss: note the best, and end the run after `patience` evaluations without a better one."""
        if loss is None:
            return
        if not math.isnan(loss) and (self.best_loss is None or loss < self.best_loss):
            self.best_loss, self.best_step, self.evaluations_without_gain = loss, self.step, 0
            return
        self.evaluations_without_gain += 1
        if patience is not None and self.evaluations_without_gain >= patience:
            self.reason = f"the held-out loss did not improve for {patience} evaluations"

    def watch(self, seen: dict[str, float]) -> str:
        """Take in what a guard says of samples: end the run where it turned down while the reward still climbs.

        The turn has to be larger than twice the standard error of the difference. Gives the reason, or nothing.
        """
        guard, error = seen.get("eval_guard/scores"), seen.get("eval_guard/scores_se", 0.0)
        score = seen.get("eval_objective/scores")
        if guard is None or score is None:
            return ""
        if not self.guard or guard > self.guard[0]:
            self.guard, self.best_step = [guard, error, score], self.step
            return ""
        best, best_error, score_then = self.guard
        if guard >= best - 2 * math.hypot(error, best_error) or score <= score_then:
            return ""
        self.reason = (
            f"the guard's score of own samples fell from {best:.3f} to {guard:.3f} while the reward rose from "
            f"{score_then:.3f} to {score:.3f}; the model is that of step {self.best_step}, which the guard liked best"
        )
        return self.reason


@dataclass(slots=True)
class Saver:
    """Writes and reads the checkpoints of one run."""

    run: RunDirectory
    facts: dict[str, Any]  # of the machine, versions, settings and data: kept in every manifest
    keep: int
    resume: bool
    lock: BaseFileLock | None  # of the run directory; the main process has it
    warn: Callable[[str, str, str], None] = lambda code, message, advice: None
    saved: int | None = None  # the step of the newest checkpoint
    critic: tuple[nn.Module, torch.optim.Optimizer] | None = None  # of an online run, with its optimizer
    failures: int = 0  # in a row

    @property
    def directory(self) -> Path:
        """Where the checkpoints are."""
        return self.run.path / "checkpoints"

    def save(
        self,
        policy: Policy,
        optimizer: torch.optim.Optimizer,
        reference: Reference | None,
        state: State,
        *,
        must: bool = False,
    ) -> None:
        """Write a checkpoint of everything, unless this step has one, then prune older ones (never the best).

        A full disk is warned of, for there will be another time; `NoSpaceError` where it `must` be now, and when it was
        the third time in a row.
        """
        if state.step == self.saved:
            return
        try:
            state.logs = parallel.on_main(self.run.mark)
            self._write(policy, optimizer, reference, state)
        except NoSpaceError as error:
            self.failures += 1
            if must or self.failures == FAILURES:
                newest = "it has no checkpoint" if self.saved is None else f"its newest checkpoint is step {self.saved}"
                todo = "Make room and go on with it by --resume."
                raise NoSpaceError(f"{error} The run stops at step {state.step}; {newest}. {todo}") from error
            advice = f"make room: the next checkpoint is the next try, and after {FAILURES} in a row the run stops"
            self.warn("disk_full", str(error), advice)
        else:
            self.saved, self.failures = state.step, 0

    def _write(
        self, policy: Policy, optimizer: torch.optim.Optimizer, reference: Reference | None, state: State
    ) -> None:
        files = {
            "weights.safetensors": _writer(_trainable(policy)),
            "optimizer.safetensors": _writer(_moments(policy, optimizer)),
            "reference.safetensors": _writer(reference.state() if reference is not None else {}),
            "state.json": lambda path: path.write_text(json.dumps(asdict(state)), encoding="utf-8"),
        }
        if self.critic is not None:
            files["critic.safetensors"] = _writer(_trainable(self.critic[0]))
            files["critic_optimizer.safetensors"] = _writer(_moments(*self.critic))
        parallel.on_main(
            lambda: checkpoint.write_checkpoint(
                self.directory, state.step, files, self.facts,
                run_id=self.run.id, keep=self.keep, best=state.best_step, lock=self.lock,
            )
        )  # fmt: skip

    def restore(self, policy: Policy, optimizer: torch.optim.Optimizer, reference: Reference | None) -> State:
        """Take up the newest checkpoint that verifies, naming the ones refused; a fresh state if there is none."""
        if not self.resume:
            return State()
        found = parallel.on_main(lambda: checkpoint.newest_valid(self.directory, self.run.id))
        for path, reason in found.refused:
            self.warn("checkpoint_refused", f"{path.name}: {reason}", "an older one is used")
        if found.path is None or found.manifest is None:
            if found.refused:
                raise CheckpointError(
                    f"None of the {len(found.refused)} checkpoints in {self.directory} can be used (the newest: "
                    f"{found.refused[0][1]}), so there is nothing to go on with; start anew in another --output."
                )
            return State()
        refuse_changes(found.manifest.facts, self.facts, found.path)
        load_weights(policy, found.path)
        if self.critic is not None:
            load_weights(self.critic[0], found.path, "critic.safetensors")
            _restore_moments(*self.critic, load_file(found.path / "critic_optimizer.safetensors"))
        _restore_moments(policy, optimizer, load_file(found.path / "optimizer.safetensors"))
        if reference is not None:
            reference.restore(load_file(found.path / "reference.safetensors"))
        self.saved = found.manifest.step
        return State(**json.loads((found.path / "state.json").read_text(encoding="utf-8")))

    def load_best(self, policy: Policy, state: State) -> None:
        """Put the weights with the best held-out loss into the policy."""
        if state.best_step is not None and state.best_step != state.step:
            path = self.directory / checkpoint.name_of(state.best_step)
            parallel.on_main(lambda: checkpoint.verify(path, run_id=self.run.id))
            load_weights(policy, path)


def load_weights(policy: nn.Module, path: Path, name: str = "weights.safetensors") -> None:
    """Put a checkpoint's weights into the policy."""
    weights = load_file(path / name)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(like(weights[name], parameter))


def refuse_changes(then: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    """Raise `CheckpointError` listing what differs between the run that wrote `path` and this one."""
    before, after = dict(_flat(then)), dict(_flat(now))
    changed = [
        CHANGED.get(key) or f"{key}: {before.get(key)!r} then, {after.get(key)!r} now"
        for key in sorted(before | after)
        if before.get(key) != after.get(key)
    ]
    if changed:
        raise CheckpointError(
            f"{path} was written under other circumstances, so going on would give neither the old run nor a new one: "
            f"{'; '.join(changed)}. Put these back, or start anew in another --output."
        )


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _trainable(policy: nn.Module) -> dict[str, Tensor]:
    return to_main({name: p for name, p in policy.named_parameters() if p.requires_grad})


def _moments(policy: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    out = {}
    for name, parameter in policy.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            out[f"{name}/{key}"] = value
    return to_main(out)


def _restore_moments(policy: nn.Module, optimizer: torch.optim.Optimizer, saved: dict[str, Tensor]) -> None:
    parameters = dict(policy.named_parameters())
    for key, value in saved.items():
        name, _, moment = key.rpartition("/")
        parameter = parameters[name]
        optimizer.state[parameter][moment] = like(value, parameter) if moment != "step" else value.to(parameter.device)


def _writer(tensors: dict[str, Tensor]) -> Callable[[Path], None]:
    # Each tensor is cloned out of shared storage by `contiguous` or is its own: safetensors refuses shared memory.
    return lambda path: save_file(tensors, path)
