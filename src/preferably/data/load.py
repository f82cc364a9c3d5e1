"""Files to groups, with every row accounted for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from preferably.data.accounting import Accounting, Reject
from preferably.data.formats import Feedback, parse_row
from preferably.data.readers import read_rows
from preferably.data.sources import sources
from preferably.data.suspicious import Watch
from preferably.feedback import views
from preferably.feedback.records import Completion, Group, Message

VIEWS = {"pairs": views.pairs, "demonstrations": views.demonstrations, "prompts": views.prompts}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The groups that can be used, in the order of the files, and what became of every row."""

    groups: list[Group]
    accounting: Accounting


def load_feedback(
    paths: Sequence[str | Path], feedback: Feedback, *, max_rejected: float = 0.01, limit: int | None = None
) -> Loaded:
    """The groups that `paths` hold: pairs (chosen first), demonstrations, or prompts without completions.

    A path is a file, a directory of files, or a data set of the hub (`data.readers`, `data.sources`).

    A group that says exactly what an earlier one said is counted as a duplicate. `limit` stops reading after so many
    groups. Raises `DataError` for a file that cannot be read, for no usable row, and where more than the share
    `max_rejected` (0 to 1) of the rows is rejected.
    """
    groups: list[Group] = []
    accounting = Accounting()
    seen: set[tuple[tuple[Message, ...], tuple[Completion, ...]]] = set()
    watch = Watch(accounting)
    for file in (file for path in paths for file in sources(path, accounting)):
        for line, row in read_rows(file, accounting):
            parsed = row if isinstance(row, Reject) else parse_row(row, feedback, (file, line))
            if isinstance(parsed, Reject):
                accounting.reject(parsed)
                continue
            (group,) = VIEWS[feedback]([parsed])  # one row holds one record, and one record gives one group
            said = (group.prompt, group.completions)
            if said in seen:
                accounting.deduplicate()
                continue
            seen.add(said)
            watch.look([group])
            groups.append(group)
            accounting.use()
            if len(groups) == limit:
                break
        if len(groups) == limit:
            break
    accounting.enforce(max_rejected)
    return Loaded(groups, accounting)
