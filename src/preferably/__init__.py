"""Align language models with what people prefer, and show that it worked."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "agreement", "by_people", "check", "compare_runs", "evaluate", "evaluate_several", "export", "load", "plan", "rank",
    "report", "sample", "train",
]  # fmt: skip

if TYPE_CHECKING:
    from preferably.api import (
        agreement,
        by_people,
        check,
        compare_runs,
        evaluate,
        evaluate_several,
        export,
        plan,
        rank,
        report,
        sample,
        train,
    )
    from preferably.models.loading import load


def __getattr__(name: str) -> Any:
    # Late, so that the torch-free parts stay so and `preferably --help` is quick.
    if name in __all__:
        return getattr(import_module("preferably.api"), name)
    raise AttributeError(f"module 'preferably' has no attribute {name!r}")
