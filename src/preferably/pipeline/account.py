"""The account of a job: what `align.json` holds, and the report is made of."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from preferably.judging.parts import weighted
from preferably.judging.settings import is_judge_file
from preferably.pipeline.keeping import Kept
from preferably.pipeline.stages import Stage


@dataclass(slots=True)
class Entry:
    """One stage as it stands."""

    stage: Stage
    state: Literal["new", "begun", "done"] = "new"
    cached: bool = False  # found done when the job last passed
    kept: Kept = field(default_factory=Kept)

    def as_json(self, root: Path) -> dict[str, Any]:
        """The stage in the account; paths are as seen from the folder of the job."""
        stage, kept = self.stage, self.kept
        return {
            "name": stage.name, "kind": stage.kind, "round": stage.round, "road": stage.road, "method": stage.method,
            "state": self.state, "cached": self.cached, "digest": kept.digest, "output": kept.output,
            "seconds": kept.seconds, "tries": kept.tries, "needs": stage.needs, "command": stage.command,
            "folder": os.path.relpath(stage.folder, root), "figures": kept.figures,
        }  # fmt: skip


@dataclass(slots=True)
class Account:
    """The whole job."""

    settings: dict[str, Any]
    entries: list[Entry]
    prompts: list[dict[str, Any]] = field(default_factory=list)  # files of them, and what became of their rows
    state: str = "running"
    reason: str = ""
    gates: list[dict[str, Any]] = field(default_factory=list)  # closed ones, and whether the job went on

    def as_json(self, root: Path) -> dict[str, Any]:
        """The contents of `align.json`, but for `schema`."""
        return {
            "state": self.state, "reason": self.reason, "settings": self.settings,
            "seconds": round(sum(one.kept.seconds for one in self.entries), 2), "asked": self._asked(),
            "uncounted": self._uncounted(),
            "prompts": self.prompts, "gates": self.gates, "rounds": self._rounds(root),
            "stages": [one.as_json(root) for one in self.entries],
        }  # fmt: skip

    def _rounds(self, root: Path) -> list[dict[str, Any]]:
        """Each policy that was trained, round by round: how well it, and the reward model that it learnt from, fit
        their data, and apart from that how good its answers are."""
        found = []
        for entry in self.entries:
            stage = entry.stage
            if stage.kind != "train" or entry.kept.figures.get("scores") or entry.state != "done":
                continue
            beside = {
                one.stage.name.rpartition("/")[2]: one.kept.figures for one in self.entries
                if one.stage.road == stage.road and one.stage.round == stage.round and one.state == "done"
            }  # fmt: skip
            reward = next((figures for figures in beside.values() if figures.get("scores")), None)
            found.append({
                "round": stage.round, "road": stage.road, "method": stage.method,
                "run": os.path.relpath(stage.folder, root), "began_from": stage.model, "training": entry.kept.figures,
                "reward": reward, "quality": beside.get(f"evaluate-{stage.road}"),
                "over_previous": beside.get(f"evaluate-{stage.road}-over-previous"),
            })  # fmt: skip
        return found

    def _uncounted(self) -> list[str]:
        """The models on servers that were asked by a training, for a reward, or for answers: how often is not known."""
        return sorted({
            one.name for entry in self.entries if entry.state == "done" for one in entry.stage.inputs
            if one.role in ("reward", "guard", "model") and is_judge_file(weighted(one.name)[0].removeprefix("judge:"))
        })  # fmt: skip

    def _asked(self) -> list[dict[str, Any]]:
        """What models on servers were asked, by model: requests, tokens, and cost where there are prices. Of what was
        asked in a try that was killed only the tokens of its last one are known."""
        sums: dict[tuple[str, str], Counter[str]] = {}
        for entry in self.entries:
            for one in _deciders(entry.kept.figures):
                spent = sums.setdefault((one["model"], one["server"]), Counter())
                spent.update({name: one[name] or 0 for name in ("requests", "tokens", "cost")})
        return [{"model": model, "server": server, **spent} for (model, server), spent in sums.items()]


def _deciders(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Models on servers that are named in the figures of a stage."""
    told = [figures, *figures.get("judges", ())]
    return [one for part in told for one in part.get("judged_by") or () if one.get("server")]
