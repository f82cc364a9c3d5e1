"""Being asked to stop: Ctrl-C, a scheduler's SIGTERM, a terminal that is closed."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from preferably.models.policy import Policy
from preferably.training import parallel

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopAsked(BaseException):
    """A stop was asked for in the middle of a step or an evaluation, neither of which has changed anything yet."""


class Stop:
    """Whether this process was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.waits = False  # whether a signal is only noted, for there is something to save first

    def asked(self) -> bool:
        """Whether it was."""
        return self.number is not None


def leave(number: int) -> NoReturn:
    """End the program as the signal asks: exit code 128 + its number."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


@contextmanager
def listening() -> Iterator[Stop]:
    """Notes SIGINT, SIGTERM and SIGHUP; before `Stop.waits` is set they end the body, and the program, at once.

    So does a Ctrl-C after any other of them. A second SIGTERM or SIGHUP changes nothing: a closing terminal sends
    several, and who is in a hurry has SIGKILL. What was ignored (nohup) stays ignored.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield stop
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    terminal = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]  # after a hangup it is none

    def ask(number: int, frame: object) -> None:
        first, stop.number = stop.number is None, stop.number or number
        if signal.SIGINT in before:
            signal.signal(signal.SIGINT, before[signal.SIGINT])
        if number == getattr(signal, "SIGHUP", None):
            _let_go_of(terminal)
        if first and not stop.waits:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    except KeyboardInterrupt:
        if stop.number is not None:
            leave(stop.number)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def until_stopped(policies: Sequence[Policy], asked: Callable[[], bool]) -> Iterator[None]:
    """Ends its body before the next forward pass of one of `policies` once a stop was asked for.

    Steps, evaluations and sampling all consist of forward passes, so none of them has to be waited for. Several
    processes make each pass together, so they cannot end in the middle of one: they agree between two steps.
    """
    if parallel.world() > 1:
        yield
        return

    def check(*_: object) -> None:
        if asked():
            raise StopAsked

    # The body is what the sampler and the packed forward share.
    hooks = [policy.body.register_forward_pre_hook(check) for policy in policies]
    try:
        yield
    except StopAsked:
        pass
    finally:
        for hook in hooks:
            hook.remove()


def _let_go_of(terminal: Sequence[int]) -> None:
    """Print to nowhere: after a hangup every line would be an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in terminal:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
