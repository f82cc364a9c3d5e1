"""What a run would hold in memory, from its settings, its data and its model's configuration, before it begins."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from preferably.batches.packing import packed_size
from preferably.config import TrainSettings
from preferably.errors import ConfigError
from preferably.models.loading import Loaded, choose_device, load, model_directory
from preferably.training.company import Company, company_of
from preferably.training.offline import TrainData
from preferably.training.rehearsal import Rehearsal, rehearse
from preferably.training.room import available, held
from preferably.training.rough import rough_size
from preferably.training.workload import Workload, count_work

GB = 1e9
# What a process takes beside its tensors, bytes, as measured on Linux (bench/estimate.py).
COMPUTING = 60_000_000  # code and buffers of the kernels, once they have run
REPORT = 150_000_000  # drawing the charts of the report, at the end
# Blocks below 32 MB come from a heap that is never filled without holes: what it holds, as a multiple of what is alive.
HEAP = 1.35
PLENTY = 1.25  # times what a run does not reach: where so much is free, nothing finer needs to be known
STEP, EVALUATION, SAMPLING, DRAWING = "a training step", "an evaluation", "sampling", "drawing completions"
NOBODY = Company()

UNKNOWN = (DataDependentOutputException, DynamicOutputShapeException)  # what asks for values of fake tensors


@dataclass(frozen=True, slots=True)
class Memory:
    """The estimated peak, bytes: by part in the phase of the run that holds most, and the sum in every phase."""

    phase: str
    parts: dict[str, int]
    phases: dict[str, int]

    @property
    def peak(self) -> int:
        """The most that the run holds, bytes."""
        return self.phases[self.phase]

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {size / GB:.2f}" for name, size in self.parts.items() if size >= 0.005 * GB)
        return f"{self.peak / GB:.2f} GB in {self.phase} ({parts})"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would compute and hold; `limit` is what it may hold, None where that is not known."""

    work: Workload
    rehearsal: Rehearsal
    memory: Memory
    limit: int | None
    company: Company = NOBODY

    @property
    def fits(self) -> bool:
        """Whether the peak is within the limit, as far as that is known."""
        return self.limit is None or self.memory.peak <= self.limit


def estimate(settings: TrainSettings, model: Loaded, data: TrainData) -> Estimate | str:
    """The estimate for a run on `data`, or why there is none. `model` may be hollow; its configuration is what counts.

    Memory is that of the device: of the process where the device is the processor.
    """
    policy = model.policy
    real = not hasattr(next(policy.parameters()), "fake_mode")
    device = policy.device if real else choose_device(settings.device)
    work = count_work(settings, data, model.context)
    try:
        found = rehearse(policy.inner.config, settings, work, compute=policy.compute, packed=policy.packed)
        company = company_of(settings, model, work)
    except ConfigError as error:
        if not isinstance(error.__cause__, UNKNOWN):
            raise
        return "the objective looks at values, which a rehearsal does not have"
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
        return f"{type(policy.inner).__name__} cannot be rehearsed ({' '.join(str(error).split())[:160]})"
    process = 0
    if device.type == "cpu":
        weights = sum(p.nbytes for p in policy.parameters()) if real else 0
        process = max(0, held() - weights)
    free = available(device)
    limit = None if free is None else free + (held() if device.type == "cpu" else 0)
    if settings.memory_limit is not None:
        limit = round(settings.memory_limit * GB)
    other = None
    if settings.reference_model:
        outline = load(model_directory(settings.reference_model), device=settings.device, weights=False)
        other = 4 * sum(p.numel() for p in outline.policy.parameters())
    return Estimate(work, found, memory_of(settings, found, process, other, company), limit, company)


def memory_of(
    settings: TrainSettings, found: Rehearsal, process: int, other: int | None = None, company: Company = NOBODY
) -> Memory:
    """The parts of each phase added up. `process`: bytes that the process itself holds, 0 on a device of its own.

    Weights, gradients, moments and reference are float32: 4 bytes a parameter, and 8 for the two moments of AdamW. The
    reference is a copy of the model, with adapters it is the model itself; `other` bytes where it is another model.
    What an online run has beside these (`company`) is there from beginning to end.
    """
    reference = found.weights if settings.row.reference and not settings.lora else 0
    reference = reference if other is None else other
    start = {"weights": found.weights}
    beside = {"reference": reference, "critic": company.critic, "reward models": company.rewards}
    beside["copy to draw with"] = company.resident
    trained = start | beside | {"moments": 2 * (found.gradients + company.critic)}
    saved = beside | {"weights": found.weights * (2 if settings.lora else 1)}  # adapters merge into a copy
    phases = {
        "the self-check": start | beside | {"activations": found.check},
        SAMPLING: trained | {"activations": found.sampling},
        EVALUATION: trained | {"activations": max(found.evaluation, company.critic_forward)},
        STEP: trained | {kind: size + company.critic_step.get(kind, 0) for kind, size in found.step.items()},
        "saving the model": saved,
    }
    if settings.row.online:
        phases[DRAWING] = trained | {"cache and logits": found.drawing}
        phases["scoring"] = trained | {"activations": company.scoring}
    if process:
        rest = process + COMPUTING
        holes = {STEP: found.small, EVALUATION: found.evaluation, SAMPLING: found.sampling, DRAWING: found.drawing}
        phases = {
            name: parts | {"holes in the heap": round((HEAP - 1) * holes.get(name, 0)), "the rest": rest}
            for name, parts in phases.items()
        }
        phases["the report"] = start | {"the rest": rest + REPORT}
    totals = {name: sum(parts.values()) for name, parts in phases.items()}
    worst = max(totals, key=totals.__getitem__)
    return Memory(worst, {name: size for name, size in phases[worst].items() if size}, totals)


def refuse_what_does_not_fit(
    settings: TrainSettings, model: Loaded, data: TrainData, tell: Callable[[str], object]
) -> None:
    """Raise `ConfigError` for a run that would not fit, with what would; `tell` why where that cannot be known.

    A run that is tiny beside what is free is not rehearsed, which would take longer than many such runs.
    """
    free = available(choose_device(settings.device))
    if settings.memory_limit is None and free and PLENTY * rough_size(settings, model, data) < free:
        return
    found = estimate(settings, model, data)
    if isinstance(found, str):
        tell(f"How much memory this run takes is not known: {found}.")
    elif found.limit is None:
        tell(f"This run is estimated to hold {found.memory}; how much there is cannot be read on this system.")
    elif not found.fits:
        raise ConfigError(why_not(settings, model, data, found))


def why_not(settings: TrainSettings, model: Loaded, data: TrainData, found: Estimate) -> str:
    """What a run that does not fit would hold, and what would fit."""
    assert found.limit is not None
    wanted = found.memory
    ways, least = [], wanted
    for adapters in dict.fromkeys((settings.lora, True)):
        changes, memory = _reduced(settings.model_copy(update={"lora": adapters}), model, data, found.limit)
        changes = ({"lora": "true"} if adapters != settings.lora else {}) | changes
        least = min(least, memory, key=lambda one: one.peak)
        if memory.peak <= found.limit:
            flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in changes.items())
            ways.append(f"{flags} ({memory.peak / GB:.2f} GB)")
    advice = (
        f"What fits: {', or '.join(ways)}."
        if ways
        else (
            f"Smaller micro-batches, fewer samples and adapters come to no less than {least.peak / GB:.2f} GB"
            + (
                ", most of which is the process itself: give it more."
                if least.parts.get("the rest", 0) > found.limit
                else ": take a smaller model, or a larger machine."
            )
        )
    )
    return (
        f"This run is estimated to hold {wanted}, and it may hold {found.limit / GB:.2f} GB. {advice} "
        f"To go on anyway: --memory-limit {wanted.peak / GB + 0.005:.2f}."
    )


def _reduced(settings: TrainSettings, model: Loaded, data: TrainData, limit: int) -> tuple[dict[str, Any], Memory]:
    """Halve what the worst phase depends on until it fits or nothing can be halved: the changes, and what is held."""
    changes: dict[str, Any] = {}
    while True:
        found = estimate(settings, model, data)
        assert isinstance(found, Estimate)
        phase, tokens, prompts = found.memory.phase, settings.tokens_per_microbatch, len(data.prompts)
        longest = max(map(packed_size, found.work.rolled or [*data.train, *data.held_out]))
        fewest = 1 if settings.row.advantage == "gae" else 2
        if found.memory.peak <= limit:
            return changes, found.memory
        if phase in (STEP, EVALUATION) and tokens > longest:
            tokens = min(tokens, max(found.work.largest_tokens, longest))
            changes["tokens_per_microbatch"] = max(longest, tokens // 2)
        elif phase in (STEP, EVALUATION, DRAWING) and settings.row.online and settings.samples > fewest:
            changes["samples_per_prompt"] = max(fewest, settings.samples // 2)
        elif phase == DRAWING and settings.batch_size > 1:
            changes["batch_size"] = settings.batch_size // 2
        elif phase == SAMPLING and prompts:
            changes["sample_prompts"] = prompts // 2
            data = replace(data, prompts=data.prompts[: prompts // 2])
        else:
            return changes, found.memory
        settings = settings.model_copy(update=changes)
