"""Audits of a trained model that a job can name: an empty table until there are some."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

# (run that is audited, model that it is held against, file of held-out prompts, folder to write to) -> figures.
Audit = Callable[[Path, str, str, Path], dict[str, Any]]
AUDITS: dict[str, Audit] = {}
