"""How few steps of training bring a behavior back, held against a model that never learnt it."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from preferably.config import settings
from preferably.evaluation.audit import Figure, Row, Table, Values, compared, figure, mean_by_prompt, silent
from preferably.evaluation.audit import Progress as Tell
from preferably.evaluation.unwanted import Case, Detector
from preferably.evaluation.ways import Way
from preferably.feedback.records import Group
from preferably.judging.parts import answered
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.statistics.intervals import Difference, paired_difference
from preferably.training.closing import Progress
from preferably.training.run import train

STEPS = (1, 5, 10, 50)


@dataclass(frozen=True, slots=True)
class Curve:
    """How often the behavior shows after so many steps, 0 among them: values of the prompts that are not trained on."""

    steps: tuple[int, ...]
    values: tuple[Values, ...]

    def at(self, step: int) -> Figure | None:
        """How often after `step` steps; None where nothing could be judged."""
        return figure(self.values[self.steps.index(step)])

    def rate(self, step: int) -> float | None:
        """The mean after `step` steps."""
        found = self.at(step)
        return None if found is None else found.value

    def reaches(self, share: float) -> int | None:
        """The least number of steps after which it shows at least as often as `share`; None where it never does."""
        return next((step for step in self.steps if (rate := self.rate(step)) is not None and rate >= share), None)


@dataclass(frozen=True, slots=True)
class Relearnt:
    """The curves by side, and what was trained on."""

    curves: Mapping[str, Curve]
    trained: int  # demonstrations
    given: bool  # whether they are the user's, or were made of the exhibits
    prompts: int  # that are asked
    learning_rate: float
    rank: int

    @property
    def steps(self) -> tuple[int, ...]:
        """After which it was asked, 0 among them."""
        return self.curves["after"].steps

    def over(self, other: str, step: int) -> Difference | None:
        """After less `other` at `step`, prompt by prompt."""
        curves = self.curves["after"], self.curves.get(other)
        if curves[1] is None:
            return None
        at = curves[0].steps.index(step)
        return paired_difference(curves[0].values[at], curves[1].values[at], 1 - 0.05 / len(curves[0].steps))

    def table(self) -> Table:
        """A row for each number of steps."""
        rows = []
        for at, step in enumerate(self.curves["after"].steps):
            sides = {name: curve.values[at] for name, curve in self.curves.items()}
            row = compared(
                "1 step" if step == 1 else f"{step} steps", sides["after"], sides.get("before"), sides.get("control")
            )
            rows.append(Row(row.name, row.after, row.before, row.control, row.difference))
        of = "demonstrations of yours" if self.given else "prompts that are not asked, with the behavior as the reply"
        note = f"LoRA of rank {self.rank}, learning rate {self.learning_rate:g}, on {self.trained} {of}."
        return Table("Relearning", tuple(rows), note=note)

    def as_json(self) -> dict[str, Any]:
        """Curves as `[step, rate]` by side, and how they were trained."""
        return {
            "curves": {
                name: [[step, curve.rate(step)] for step in curve.steps] for name, curve in self.curves.items()
            },
            "trained": self.trained, "given": self.given, "prompts": self.prompts,
            "learning_rate": self.learning_rate, "lora_r": self.rank,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Relearning:
    """How to train the behavior back in: SFT with LoRA, a constant learning rate, on `data` or, where there is none, on
    half of the cases with their exhibits; the other half is asked."""

    steps: tuple[int, ...] = STEPS
    data: tuple[Group, ...] = ()
    samples: int = 4
    learning_rate: float | None = None
    rank: int = 16
    batch_size: int = 16
    tell: Tell = silent  # of each step

    def curves(
        self, models: Mapping[str, Loaded], cases: Sequence[Case], exhibits: Sequence[str], detector: Detector,
        decoding: Decoding, seed: int,
    ) -> Relearnt | None:  # fmt: skip
        """One curve for each model, which is left as it is; None where there is nothing to train on, or to ask."""
        data, asked = list(self.data), list(cases)
        if not data:
            shown = [(case, text) for case, text in zip(cases, exhibits, strict=True) if text]
            data = [answered(case.prompt, [text]) for case, text in shown[::2]]
            taken = {id(case) for case, _ in shown[::2]}
            asked = [case for case in cases if id(case) not in taken]
        if not data or not asked:
            return None
        way = Way("direct", "", 0.0, decoding, [(at, case.prompt, []) for at, case in enumerate(asked)])
        chosen = self._settings(seed)

        def shows(loaded: Loaded) -> Values:
            return mean_by_prompt(detector(asked, way.draw(loaded, self.samples, seed, silent)))

        curves = {name: self._curve(loaded, data, shows, chosen) for name, loaded in models.items()}
        rate = settings(chosen | {"output": "-"}).peak_learning_rate
        return Relearnt(curves, len(data), bool(self.data), len(asked), rate, self.rank)

    def _curve(self, loaded: Loaded, data: Sequence[Group], shows: Any, chosen: dict[str, Any]) -> Curve:
        """Train a copy once, and ask it when so many steps are done."""
        twin = replace(loaded, policy=copy.deepcopy(loaded.policy))
        found: dict[int, Values] = {0: shows(twin)}

        def step(number: int, metrics: dict[str, Any]) -> None:
            self.tell(1)
            if number in self.steps:
                found[number] = shows(twin)

        with TemporaryDirectory() as folder:
            made = settings(chosen | {"output": str(Path(folder) / "run"), "model": loaded.name})
            train(made, groups=data, start=twin, progress=Progress(step=step))
        return Curve(tuple(found), tuple(found.values()))

    def _settings(self, seed: int) -> dict[str, Any]:
        total = max(self.steps)
        rate = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        return {
            "method": "sft", "model": "-", "lora": True, "lora_r": self.rank, "lora_alpha": 2.0 * self.rank,
            "max_steps": total, "schedule": "constant", "warmup": 0, "batch_size": self.batch_size, "held_out": 0,
            "sample_prompts": 0, "eval_every": total, "keep": 1, "seed": seed, "max_rejected": 1.0, **rate,
        }  # fmt: skip
