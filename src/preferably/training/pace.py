"""How long a run would take: a short probe of the real model on the real data, and arithmetic."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch

from preferably.batches.group import collate
from preferably.batches.packing import packed_size
from preferably.config import TrainSettings
from preferably.models.adapters import add_adapters
from preferably.models.loading import Loaded, load
from preferably.models.policy import to_draw_with
from preferably.models.sampler import Decoding, sample
from preferably.models.selfcheck import check_packing
from preferably.training.company import Company
from preferably.training.offline import TrainData
from preferably.training.optimizer import adamw
from preferably.training.rehearsal import Rehearsal, blank_losses
from preferably.training.workload import Workload

ENOUGH = 1.0  # seconds of a measurement after which a longer one would say nothing new
PROMPTS, DRAWN = 32, 8  # prompts where the run samples none; tokens that are drawn for each prompt
REPORT = 3.0  # seconds that drawing the report takes, with loading what draws
DISK = 32 << 20  # bytes written to see how fast a checkpoint is


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, as measured on this machine."""

    load: float  # the model, and the checks before step 1
    step: float  # a packed token, forward and backward
    look: float  # a packed token, forward
    update: float  # clipping and the optimizer
    read: float  # a prompt, by the sampler
    draw: float  # one token more for a prompt
    write: float  # a byte of a checkpoint: hashed, written, synced, read back
    probe: float  # what all this took


def measure_pace(settings: TrainSettings, data: TrainData, work: Workload) -> Pace:
    """Load the model, take a part of the first step on it and sample a little. The model is thrown away."""
    began = time.perf_counter()
    loaded = load(
        settings.model, device=settings.device, dtype=settings.dtype, attention=settings.attention, axes=settings.heads
    )
    check_packing(loaded.policy, work.checked)
    loading = time.perf_counter() - began
    if settings.lora:
        add_adapters(loaded.policy, r=settings.lora_r, alpha=settings.lora_alpha, targets=settings.lora_targets)
    step, look = _tokens(settings, loaded, work)
    prompts = data.prompts or [group.prompt.tolist() for group in (data.held_out or data.train)[:PROMPTS]]
    read, draw = sampling_pace(loaded, prompts) if prompts and not settings.row.scores else (0.0, 0.0)
    update, write = _update(settings, loaded), _writing(Path(settings.output))
    return Pace(loading, step, look, update, read, draw, write, time.perf_counter() - began)


def seconds_of(
    settings: TrainSettings, work: Workload, found: Rehearsal, pace: Pace, ready: tuple[int, int]
) -> dict[str, float]:
    """Seconds of each part of the run. Samples are taken to be as long as they may be, so that part is at most so.

    `ready`: prompts and tokens that are sampled once before training.
    """
    drawn = work.evaluations * work.prompts * (pace.read + settings.sample_tokens * pace.draw)
    drawn += ready[0] * (pace.read + ready[1] * pace.draw)
    looks, visits = work.evaluations * work.held_out_tokens, 0
    if settings.row.reference:
        cache = settings.reference == "cache"
        looks += work.held_out_tokens * (1 if cache else work.evaluations)
        visits = work.first_tokens if cache else work.tokens
    if settings.row.baseline:
        visits += 2 * work.tokens  # prompts with completions of others, by policy and reference
    scored = 2 * work.sampled_tokens if settings.row.reference else 0
    kept = 3 * found.gradients  # trained weights and two moments
    return {
        "loading and checks": pace.load,
        "training": work.tokens * pace.step + visits * pace.look + work.steps * pace.update,
        "evaluations": looks * pace.look,
        "sampling": drawn + work.evaluations * scored * pace.look,
        "the report": REPORT,
        "checkpoints": (work.checkpoints * kept + found.weights) * pace.write,
    }


def online_seconds(
    settings: TrainSettings, work: Workload, found: Rehearsal, company: Company, pace: Pace, ready: tuple[int, int]
) -> dict[str, float]:
    """`seconds_of` for an online run; all completions are taken to be as long as they may be. Critic and reward models
    are taken to be as fast, byte by byte, as the policy, and functions to take no time."""
    drawn = work.steps * settings.batch_size
    rolled = drawn * sum(map(packed_size, work.rolled)) / len(work.rolled)
    critic, rewards = company.critic / found.weights, company.rewards / found.weights
    looks = rolled * (2 + critic) if settings.row.learns == "tokens" else work.tokens * settings.update_epochs
    updates = work.steps * settings.update_epochs * min(settings.minibatches, settings.batch_size)
    training = settings.update_epochs * work.tokens * pace.step * (1 + critic) + looks * pace.look
    seconds = seconds_of(settings, work, found, pace, ready)
    return seconds | {
        "loading and checks": pace.load * (1 + critic + rewards),
        "drawing": drawn * (pace.read + settings.samples * settings.sample_tokens * pace.draw),
        "scoring": rolled * rewards * pace.look,
        "training": training + updates * pace.update * (1 + company.critic / max(1, found.gradients)),
        "checkpoints": seconds["checkpoints"] + work.checkpoints * 3 * company.critic * pace.write,
    }


def _timed(work: Callable[[], object], device: torch.device, at_least: float = 0.0) -> float:
    """Seconds of `work` with what it asked of the device done: the mean over `at_least` so many seconds."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    began, runs = time.perf_counter(), 0
    while not runs or time.perf_counter() - began < at_least:
        work()
        wait()
        runs += 1
    return (time.perf_counter() - began) / runs


def _tokens(settings: TrainSettings, loaded: Loaded, work: Workload) -> tuple[float, float]:
    """Seconds a token, forward and backward, and forward alone: of as much of a micro-batch as it takes to tell."""
    policy, size = loaded.policy, 1
    while True:
        groups = work.first[:size]

        def step(groups: list = groups) -> None:
            blank_losses(policy, collate(groups), settings).sum().backward()

        if size == 1:
            step()  # the first call of a kernel is slow
        spent = _timed(step, policy.device)
        if spent >= ENOUGH or size >= len(work.first):
            break
        size = min(len(work.first), size * max(2, min(8, int(ENOUGH / spent))))
    tokens = sum(map(packed_size, groups))
    if spent < ENOUGH:
        spent = _timed(step, policy.device, ENOUGH)
    with torch.no_grad():
        look = _timed(lambda: policy(collate(groups)), policy.device, ENOUGH / 4)
    return spent / tokens, look / tokens


def sampling_pace(loaded: Loaded, prompts: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Seconds to read a prompt, and to draw one token more for it, where `prompts` are sampled together."""

    drawer = to_draw_with(loaded.policy)

    def drawing(tokens: int) -> float:
        decoding = Decoding(1.0, max_tokens=tokens)
        return _timed(
            lambda: sample(drawer, loaded.tokenizer, prompts, decoding, stop_ids=set()),
            loaded.policy.device, ENOUGH / 4,
        )  # fmt: skip

    drawing(1)
    read, both = drawing(1), drawing(1 + DRAWN)
    return read / len(prompts), max(0.0, both - read) / DRAWN / len(prompts)


def _update(settings: TrainSettings, loaded: Loaded) -> float:
    """Seconds of clipping and an optimizer step, on the gradients that are there."""
    trained = [p for p in loaded.policy.parameters() if p.requires_grad]
    optimizer = adamw(loaded.policy, learning_rate=0.0, betas=settings.betas, eps=settings.eps, weight_decay=0.0)

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(trained, settings.clip)
        optimizer.step()

    update()  # makes the moments
    return _timed(update, loaded.policy.device, ENOUGH / 4)


def _writing(output: Path) -> float:
    """Seconds a byte: write and sync a file where the run will be, and hash it twice. The file is removed."""
    place = next(folder for folder in (output.absolute(), *output.absolute().parents) if folder.is_dir())
    content = bytes(DISK)
    began = time.perf_counter()
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    for _ in range(2):
        sha256(content)
    return (time.perf_counter() - began) / DISK
