"""Work on a store that takes long, in a process of its own: in a thread it would take turns with the votes."""

import logging
import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from preferably.errors import DataError
from preferably.feedback.store.store import Store

T = TypeVar("T")
NICE = 10  # votes go first, where there is not a processor for each


def beside(make: Callable[[Store], T], store: Store) -> T:
    """What `make`, a function of a module, makes of the store. Raises `DataError` where it fails there."""
    context = get_context("spawn")  # a fork would take along locks that threads of this process hold
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, make, store.place), name="figures", daemon=True)
    process.start()
    theirs.close()
    try:
        found, fault = ours.recv()
    except EOFError:
        process.join()
        raise DataError(
            f"The process that works it out ended before it was done (exit code {process.exitcode}; -9 is mostly a "
            "lack of memory)."
        ) from None
    finally:
        ours.close()
    process.join()
    if fault:
        raise DataError(fault)
    made: T = found
    return made


def _work(theirs: Connection, make: Callable[[Store], Any], place: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this one
    if hasattr(os, "nice"):
        os.nice(NICE)
    try:
        with Store(place, create=False) as store:
            told = make(store), ""
    except Exception as error:
        logging.getLogger(__name__).exception("A figure could not be worked out.")
        told = None, str(error) or type(error).__name__
    theirs.send(told)
