"""The account of a quickstart, in the shape of `align.json`, of which the page of the whole job is made."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from preferably.evaluation.audit import Audit
from preferably.pipeline.fit import fit_of
from preferably.pipeline.labelers import labelers_behind
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.stages import JUDGE
from preferably.reporting.alignment import render_alignment
from preferably.training.run import Run
from preferably.training.run_directory import RunDirectory

ACCOUNT = "align.json"


@dataclass(slots=True)
class Account:
    """What was done, stage by stage, as it is done."""

    root: Path
    stages: list[dict[str, Any]] = field(default_factory=list)
    last: float = field(default_factory=time.perf_counter)

    def done(
        self, name: str, kind: str, *, folder: str = "", needs: Sequence[str] = (), road: str = "", method: str = "",
        waited: float = 0.0, figures: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """A stage has ended; its time is what has gone by since the one before, less what was waited for somebody."""
        now = time.perf_counter()
        seconds, self.last = round(now - self.last - waited, 2), now
        self.stages.append({
            "name": name, "kind": kind, "round": 1, "road": road, "method": method, "state": "done", "cached": False,
            "digest": "", "output": "", "seconds": seconds, "tries": 1, "needs": list(needs), "command": "",
            "folder": folder or name, "figures": dict(figures or {}),
        })  # fmt: skip

    def trained(self, run: Run, *, kind: str = "train", road: str = "", method: str, needs: Sequence[str] = ()) -> None:
        """A training has ended."""
        found: dict[str, Any] = {"steps": run.state.step, "warnings": sorted({one["code"] for one in run.warnings})}
        found |= fit_of(run.path)
        if method == "reward":
            found["scores"] = True
        self.done(run.path.name, kind, road=road, method=method, needs=needs, figures=found)

    def evaluated(self, road: str, stored: Mapping[str, Any], against: str = "sft") -> None:
        """A road was judged; `stored` is what its `win_rate.json` holds."""
        self.done(
            f"evaluate-{road}", "evaluate", folder=road, needs=[road, against], road=road, figures=quality(stored)
        )

    def labelers(self, store: str, seed: int) -> None:
        """What the labelers are worth whose verdicts are in `store`, as a check of a job tells it; no gate looked."""
        run = RunDirectory(self.root / "labelers")
        run.make()
        run.write_json("labelers.json", labelers_behind([str(self.root / store)], seed=seed))
        self.done("labelers", "labelers", needs=["labels"])

    def audited(self, audit: Audit, road: str) -> None:
        """An audit has ended; it is kept with the run that it is of."""
        RunDirectory(self.root / road).write_json(f"evaluation/audit_{audit.name}.json", audit.as_json())
        told = [one.as_json() for one in audit.findings]
        figures = {"audit": audit.name, "outcome": audit.outcome, "verdict": audit.verdict, "findings": told}
        self.done(f"audit-{audit.name}-{road}", "audit", folder=road, needs=[road], road=road, figures=figures)

    def write(self, settings: Mapping[str, Any], roads: Mapping[str, str]) -> Path:
        """Write the account and its page, and return the latter. `roads` are the trained policies, by road the model
        that it began from."""
        record = {
            "state": "finished", "reason": "", "settings": dict(settings),
            "seconds": round(sum(one["seconds"] for one in self.stages), 2), "asked": [], "prompts": [], "gates": [],
            "rounds": [self._round(road, start) for road, start in roads.items()], "stages": self.stages,
        }  # fmt: skip
        RunDirectory(self.root).write_json(ACCOUNT, record)
        return render_alignment(self.root, record)

    def _round(self, road: str, start: str) -> dict[str, Any]:
        own = next(one for one in self.stages if one["name"] == road)
        rewards = [one["figures"] for one in self.stages if one["road"] == road and one["figures"].get("scores")]
        judged = next((one["figures"] for one in self.stages if one["name"] == f"evaluate-{road}"), None)
        return {
            "round": 1, "road": road, "method": own["method"], "run": road, "began_from": start,
            "training": own["figures"], "reward": next(iter(rewards), None), "quality": judged, "over_previous": None,
        }  # fmt: skip


def quality(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of an evaluation, of what `win_rate.json` holds."""
    names = ("win_rate", "interval", "confidence", "n", "wins", "ties", "losses", "missing")
    return {name: stored[name] for name in names}


def settings_of(recipe: Recipe, seed: int, audits: Sequence[str] = ()) -> dict[str, Any]:
    """What was done, as a job's settings say it, and the numbers of the recipe."""
    return {
        "model": "scratch", "seed": seed, "sft": {"demonstrations": recipe.demonstrations},
        "ready": {"checker": "preferably.quickstart.stages:correctness"},
        "preferences": [{"store": "preferably.db"}],
        "train": [{"method": "dpo"}, {"reward": {}, "ppo": {}}],
        "evaluate": {"judge": JUDGE, "samples": recipe.samples, "temperature": recipe.temperature}, "audit": [*audits],
        "recipe": asdict(recipe),
    }  # fmt: skip
