"""What both loops do with a step: count it where it could not be used, look, warn, log and save."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from preferably.config import TrainSettings
from preferably.errors import TrainingError
from preferably.models.policy import Policy
from preferably.training import parallel
from preferably.training.alarms import SHARE, Warning, raised
from preferably.training.run_directory import RunDirectory
from preferably.training.state import State
from preferably.training.stops import until_stopped

BAD_STEPS = 3  # in a row: the run stops
STOPPED = "asked to stop"
OVEROPTIMIZED = (
    "the run was ended: the policy learns what is wrong with the reward; train again with fewer steps or a larger "
    "kl_coef, or train the reward model on samples of this policy"
)
ROLLOUTS = ("objective/rollout_kl", "objective/rollout_kl_per_token")  # what alarms look at in every iteration
EVALUATIONS = 5  # a run, unless eval_every says otherwise


@dataclass(slots=True)
class Progress:
    """What the loop tells whoever watches: each step's metrics as they come."""

    start: Callable[[int], None] = field(default=lambda total: None)
    step: Callable[[int, dict[str, Any]], None] = field(default=lambda step, metrics: None)
    warn: Callable[[str, str, str], None] = field(default=lambda code, message, advice: None)

    def note(self, text: str) -> None:
        """Say what is worth knowing and no cause for worry."""
        self.warn("note", text, "")


def evaluation_every(settings: TrainSettings, total: int) -> int:
    """Steps between evaluations. There is one before any update too, and one after the last."""
    return settings.eval_every or max(1, -(-total // EVALUATIONS))


@dataclass(slots=True)
class Closing:
    """The end of a step. `look(step)` evaluates and gives its metrics; `save(state, must)` writes a checkpoint."""

    settings: TrainSettings
    total: int
    run: RunDirectory
    progress: Progress
    look: Callable[[int], dict[str, float]]
    save: Callable[[State, bool], None]

    def begin(self, state: State, at_start: Sequence[Warning]) -> None:
        """Take up the logs where `state` left them."""
        if state.reason == STOPPED:
            state.reason = ""  # who resumes wants it to go on
        self.run.rewind(state.logs)
        for warning in at_start if not state.logs else ():
            self.run.append("warnings.jsonl", warning)
        self.run.status("running", state.step, self.total)
        self.progress.start(self.total)

    def drive(
        self, policy: Policy, state: State, make: Callable[[], dict[str, Any]], stop_asked: Callable[[], bool],
        held: Callable[[], bool] = lambda: False, beside: Sequence[Policy] = (),
    ) -> State:  # fmt: skip
        """Make steps and close them until the run is done, or a stop was asked for and is saved; where it ended.

        A step is made (`make`), then closed; a stopped run can lie between the two. A stop waits while `held`, and for
        the forward pass that the policy, or one of those `beside` it, is in.
        """
        with until_stopped([policy, *beside], lambda: stop_asked() and not held()):
            while state.line is not None or (state.step < self.total and not state.reason):
                if parallel.any_of(stop_asked()):
                    break
                began = time.perf_counter()
                if state.line is None:
                    state.line = make()
                self.close(state, state.line, began)
            else:
                return state
        policy.zero_grad(set_to_none=True)
        state.reason = STOPPED
        self.save(state, True)
        return state

    def count(self, state: State, logged: dict[str, Any], rows: Sequence[int], wrong: str) -> None:
        """Take note of a step that has something `wrong`, of which no update was made; `rows` are what it was made of.

        Raises `TrainingError` at the third one in a row.
        """
        if not wrong:
            state.bad_steps = 0
            return
        state.bad_steps += 1
        logged["skipped"] = wrong
        self.run.append("warnings.jsonl", {
            "step": state.step, "code": "not_finite", "message": f"{wrong}; rows {list(rows)[:20]}",
            "advice": "no update was made of it; lower the learning rate, or look at these rows",
        })  # fmt: skip
        self.progress.warn("not_finite", wrong, "no update was made of it")
        if state.bad_steps == BAD_STEPS:
            self.run.append("metrics.jsonl", logged)
            raise TrainingError(
                f"Steps {state.step - BAD_STEPS + 1} to {state.step} could not be used, the last one because {wrong}; "
                "no update was made of what was wrong. The last good checkpoint is kept. Lower the learning rate, or "
                "look at the rows named in warnings.jsonl."
            )

    def close(self, state: State, line: dict[str, Any], began: float) -> None:
        """Look if it is time to, warn of what is seen, log the step, and save if it is time to."""
        step, settings = state.step, self.settings
        eval_every = evaluation_every(settings, self.total)
        seen: dict[str, float] = {}
        if step % eval_every == 0 or step == self.total:
            # A stop that is asked for meanwhile ends it here, with nothing changed.
            seen = self.look(step)
            line = line | {name: value for name, value in seen.items() if not name.startswith(SHARE)}
            if step == 0:
                state.start = seen
                state.watch(seen)
                if math.isnan(seen.get("eval_loss", 0.0)):
                    raise TrainingError(
                        "The held-out loss is not a number before anything was trained: the model, the data or the "
                        "objective gives NaN; nothing was changed."
                    )
            else:
                state.judge(seen.get("eval_loss"), settings.patience)
        if step > 0:
            self._warn(state, {name: line[name] for name in ROLLOUTS if name in line} | seen)
        state.reason = state.reason or self._too_far(line)  # a guard has said more: which weights are kept
        # Wall time is never the same twice, and the metrics of a resumed run are to be.
        spent = {name: value for name, value in line.items() if name.startswith("time/")}
        line = {name: value for name, value in line.items() if name not in spent}
        self.run.append("metrics.jsonl", line)
        if step > 0:
            seconds = round(time.perf_counter() - began, 4)
            self.run.append("timing.jsonl", {"step": step, "seconds": seconds} | spent)
        state.line = None
        self.progress.step(step, line)
        # Weights that give NaN are no good checkpoint to put in the place of an older one.
        due = step % (settings.save_every or eval_every) == 0 and not state.bad_steps
        if due or step in (self.total, state.best_step) or state.reason:
            best = step == state.best_step and (settings.chooses_best or settings.guard is not None)
            self.save(state, step == self.total or best or bool(state.reason))

    def _warn(self, state: State, seen: dict[str, float]) -> None:
        """Say what is alarming in what was seen at a step: of its evaluation, if it had one, and of its rollouts."""
        found = raised(state.step, seen, state.start or seen, set(state.alarms), last=state.step == self.total)
        if turned := state.watch(seen):
            found.append(Warning(state.step, "overoptimized", turned, OVEROPTIMIZED))
        for warning in found:
            state.alarms.append(warning.code)
            self.run.append("warnings.jsonl", warning)
            self.progress.warn(warning.code, warning.message, warning.advice)

    def _too_far(self, line: dict[str, Any]) -> str:
        """Why the run ends for its KL from the reference, of rollouts or of samples on held-out prompts; or nothing."""
        for setting, name, unit in (("stop_kl", "kl", "completion"), ("stop_kl_per_token", "kl_per_token", "token")):
            most = getattr(self.settings, setting)
            found = [line[key] for key in (f"objective/{name}", f"objective/rollout_{name}") if key in line]
            if most is not None and found and max(found) > most:
                return f"KL from the reference reached {max(found):.3g} nats a {unit}, more than {setting} {most:g}"
        return ""
