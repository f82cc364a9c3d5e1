"""Rows of files as tasks: every row becomes one, or is told why not."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from preferably.data.accounting import Accounting, Reject
from preferably.data.columns import Row
from preferably.data.formats import parse_row
from preferably.data.load import rows_of
from preferably.errors import ConfigError
from preferably.feedback.records import Group, Judged, Preference, Ranking
from preferably.labeling.project import Kind
from preferably.labeling.queue import Task, fault_of


def tasks_in(
    paths: Sequence[str | Path], *, kind: str | None = None, overlap: int = 1, priority: float = 0.0,
    gold: bool = False, max_rejected: float = 0.01,
) -> tuple[list[Task], Accounting]:  # fmt: skip
    """The tasks of the rows of `paths`, and what became of every row. Without a `kind` two completions are a pair, and
    more a ranking. With `gold` what a row says is better is what a labeler should say. Rows of one group count once.
    Raises `ConfigError`, and `DataError` as `load_feedback` does."""
    if kind is not None and kind not in get_args(Kind):
        raise ConfigError(f"--kind is {', '.join(get_args(Kind))}; got {kind!r}.")
    accounting, made, known = Accounting(), [], set()
    for place, columns in rows_of(paths, accounting):
        row = Row({} if isinstance(columns, Reject) else columns, None)
        judged = columns if isinstance(columns, Reject) else parse_row(columns, None, place, row)
        if isinstance(judged, Judged):
            asked = kind or ("ranking" if len(judged.group.completions) > 2 else "pair")
            task = Task(judged.group, asked, overlap, priority, _gold(judged) if gold else None)  # type: ignore[arg-type]
            reason = fault_of(task) or ("it says nothing that gold could be" if gold and not task.gold else None)
            if reason is None:
                key = _key(judged.group)
                if key in known:
                    accounting.deduplicate()
                else:
                    known.add(key)
                    accounting.use()
                    made.append(task)
                continue
            judged = Reject(*place, "row", "wrong_type", reason)
        accounting.reject(judged)
    accounting.enforce(max_rejected)
    return made, accounting


def _key(group: Group) -> tuple[Any, ...]:
    return group.prompt, frozenset(completion.messages for completion in group.completions)


def _gold(judged: Judged) -> dict[str, Any] | None:
    for said in judged.judgments:
        if isinstance(said, Preference) and said.choice not in (None, "unsure"):
            return {"expected": {"choice": said.choice}, "why": ""}
        if isinstance(said, Ranking):
            best = [place for place, rank in enumerate(said.ranks) if rank == 1]
            return {"expected": {"best": best}, "why": ""}
    return None
