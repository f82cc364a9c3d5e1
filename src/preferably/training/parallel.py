"""Several processes that train one model together. On one process, everything here does nothing.

torchrun (and `--processes`) starts them and tells each who it is (RANK, WORLD_SIZE and the like in the environment).
All of them read the same data, so that each can tell what the others do; weights are shared out in `sharding`. The
main process alone writes files and speaks. What decides the course of the run is agreed here.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from preferably.batches.packing import divide, packed_size, split_by_tokens
from preferably.config import TrainSettings
from preferably.data.tokens import TokenGroup
from preferably.errors import ConfigError, PreferablyError, ToldElsewhereError, TrainingError

# How long one process waits for another, as for a large checkpoint to be written. A process that died is noticed at
# once, by its closed connection.
WAIT = timedelta(hours=1)
LOST = (
    "Another process of this run ended without a word: killed, or out of memory. The last good checkpoint is kept; "
    "go on with the same command and --resume."
)

_store: dist.Store | None = None  # where the first process that fails says why

T = TypeVar("T")


def world() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if dist.is_initialized() else int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0")) if world() > 1 else 0


def is_main() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0


@contextmanager
def together() -> Iterator[None]:
    """The processes begin and end together: one that fails takes the others with it, and one alone says why.

    Inside, those that only follow raise `ToldElsewhereError`. Does nothing where it was entered already.
    """
    global _store
    if world() == 1 or dist.is_initialized():
        yield
        return
    store, number, count = next(rendezvous("env://", timeout=WAIT))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(
        backend, store=dist.PrefixStore("group", store), rank=number, world_size=count, timeout=WAIT
    )
    _store = store
    try:
        yield
    except BaseException as error:
        reason = explained(error)
        if reason is error:
            raise
        raise reason from None
    finally:
        _store = None
        dist.destroy_process_group()  # whoever still waits for this process is told so


def explained(error: BaseException) -> BaseException:
    """What this process has to raise for `error`: itself, words for a lost connection, or `ToldElsewhereError`.

    The first process that asks is the one that tells; a lost connection is the echo of what happened there.
    """
    if _store is None or isinstance(error, ToldElsewhereError):
        return error
    lost = isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))
    if lost:
        error = TrainingError(LOST)
    told = mine = f"{rank()} {getattr(error, 'exit_code', 1)} {str(error) or type(error).__name__}"
    with suppress(Exception):  # whoever kept the store may be gone too
        told = _store.compare_set("failed", "", mine).decode()
    teller, code, reason = told.split(" ", 2)
    if teller == str(rank()):
        return error
    return ToldElsewhereError(reason if lost else str(error), int(code))


def confirmed(settings: TrainSettings) -> TrainSettings:
    """`settings` with the number of processes that there are; a `ConfigError` where another was asked for."""
    if settings.processes not in (1, world()):
        raise ConfigError(
            f"processes = {settings.processes} was asked for, but this program runs as {world()}. The command "
            f"`preferably train` starts them itself; start your own by torchrun --nproc-per-node {settings.processes}."
        )
    return settings.model_copy(update={"processes": world()})


def on_main(function: Callable[[], T]) -> T:
    """What `function` returns on the main process, on all of them; likewise a `PreferablyError` that it raises."""
    if not dist.is_initialized():
        return function()
    answer: list[tuple[T | None, PreferablyError | None]] = [(None, None)]
    if is_main():
        try:
            answer = [(function(), None)]
        except PreferablyError as error:
            answer = [(None, error)]
    dist.broadcast_object_list(answer, src=0)
    result, problem = answer[0]
    if problem is not None:
        raise problem
    return result  # type: ignore[return-value]


def any_of(flag: bool) -> bool:
    """Whether `flag` is true on any process."""
    return any(from_all(flag))


def from_all(value: T) -> list[T]:
    """What each process gives, in their order."""
    if not dist.is_initialized():
        return [value]
    values: list[T | None] = [None] * world()
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def total(loss: float, sums: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Both added up over all processes, which give sums of the same names."""
    if not dist.is_initialized():
        return loss, dict(sums)
    names = sorted(sums)
    values = torch.tensor([loss, *(sums[name] for name in names)], dtype=torch.float64)
    dist.all_reduce(values)
    first, *rest = values.tolist()
    return first, dict(zip(names, rest, strict=True))


def share(groups: Sequence[TokenGroup], budget: int) -> list[tuple[list[TokenGroup], float]]:
    """This process's micro-batches of `groups`, of at most `budget` tokens, and what each counts.

    Every process gets as many, for all of them take part in gathering the weights of each. Where there is less to do,
    the shortest group is done again and counts 0; all others count 1.
    """
    if not dist.is_initialized():
        return [(run, 1.0) for run in split_by_tokens(groups, budget)]
    cuts = [split_by_tokens(part, budget) for part in divide(groups, world())]
    own = [(run, 1.0) for run in cuts[rank()]]
    return own + [([min(groups, key=packed_size)], 0.0)] * (max(map(len, cuts)) - len(own))
