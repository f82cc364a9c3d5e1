"""The two gates: a model that cannot do the task yet, and preferences that are not fit to be trained on: where answers
are drawn for them, and where all of them are checked."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from preferably.data.accounting import NO_FAULT
from preferably.errors import ConfigError, PreferablyError
from preferably.pipeline.keeping import read_kept
from preferably.pipeline.plan import AlignSettings, Check
from preferably.pipeline.stages import FINDINGS, Stage

GATES = ("ready", "check")


class GateError(PreferablyError):
    """A gate is closed: nothing is trained on what is not ready."""

    exit_code = 7


@dataclass(frozen=True, slots=True)
class Closed:
    """Why a gate is closed, and what to do."""

    gate: str
    stage: str
    reasons: tuple[str, ...]
    advice: str

    def __str__(self) -> str:
        return f"{self.stage}: {'; '.join(self.reasons)}. {self.advice}"

    def error(self) -> GateError:
        """What ends a job that it stops."""
        return GateError(f"The {self.gate} gate is closed. {self} To go on anyway: --skip-gate {self.gate}.")


def check_gates(names: Collection[str]) -> None:
    """`ConfigError` for a name of no gate."""
    if unknown := [name for name in names if name not in GATES]:
        raise ConfigError(f"There is no gate {unknown[0]!r} to skip; there are: {', '.join(GATES)}.")


def closed(stage: Stage, settings: AlignSettings) -> Closed | None:
    """Why the gate of a stage that is done is closed; None where it is open, or the stage is no gate."""
    if stage.kind == "ready":
        found = json.loads((stage.folder / "readiness.json").read_text(encoding="utf-8"))
        if found["ready"]:
            return None
        return Closed("ready", stage.name, (found["verdict"],),
                      "Fine-tune more, with demonstrations of the whole task, or look with other limits.")  # fmt: skip
    if stage.kind == "sample" and settings.check is not None:
        reasons = tuple(_at_fault(read_kept(stage).figures.get("accounting"), settings.check))
        advice = "Have the model answer otherwise (sft, temperature, max_tokens), or change max_rejected of check."
        return Closed("check", stage.name, reasons, advice) if reasons else None
    if stage.kind == "check" and settings.check is not None:
        told = json.loads((stage.folder / FINDINGS).read_text(encoding="utf-8"))["findings"]
        reasons = tuple(why for found in told.values() for why in _wrong(found, settings.check))
        advice = (
            "Mend the data (`preferably data check` shows what is wrong, and where), or change the limits of check."
        )
        return Closed("check", stage.name, reasons, advice) if reasons else None
    return None


def stops(stage: Stage, settings: AlignSettings) -> bool:
    """Whether the gate of this stage stops the job, rather than warning."""
    gate = settings.ready if stage.kind == "ready" else settings.check
    return gate is not None and gate.gate == "stop"


def _at_fault(counted: dict[str, Any] | None, limits: Check) -> Iterator[str]:
    """Of rows that were drawn: those at fault come into no store, so the check of that does not see them."""
    if counted is None:  # drawn by an earlier version
        return
    codes = {code: count for code, count in counted["rejected"].items() if code not in NO_FAULT}
    faults, read = sum(codes.values()), counted["read"]
    if faults > limits.max_rejected * read:
        named = ", ".join(f"{code} {count}" for code, count in codes.items())
        yield (
            f"{faults} of {read} rows ({faults / read:.1%}) are at fault ({named}), more than max_rejected "
            f"{limits.max_rejected:g} allows; first: {counted['rejects'][0]}"
        )


def _wrong(found: dict[str, Any], limits: Check) -> Iterator[str]:
    for remark in found["remarks"]:
        if remark["stops"]:
            yield remark["text"].rstrip(".").replace("--max-rejected ", "check: max_rejected: ")
    rows = found["rows"]
    conflicts = rows["warned"].get("conflict", {}).get("count", 0)
    if rows["read"] and conflicts > limits.max_conflicts * rows["read"]:
        yield (
            f"{conflicts} of {rows['read']} rows ({conflicts / rows['read']:.1%}) contradict an earlier one, more than "
            f"max_conflicts {limits.max_conflicts:g} allows"
        )
    if found["groups"] < limits.least:
        yield f"there are {found['groups']} {found['feedback']}, fewer than least {limits.least}"
    longer = (found["lengths"] or {}).get("longer", {}).get("value")
    if longer is not None and limits.max_longer is not None and longer > limits.max_longer:
        yield f"the longer answer is the chosen one in {longer:.0%} of pairs, above max_longer {limits.max_longer:g}"
    if longer is not None and limits.min_longer is not None and longer < limits.min_longer:
        yield f"the longer answer is the chosen one in {longer:.0%} of pairs, below min_longer {limits.min_longer:g}"
