"""A store of judgments to rows: each judgment that was not corrected is a row, by its number."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from preferably.data.accounting import Reject
from preferably.data.json_values import problem_in
from preferably.data.writers import spoken
from preferably.feedback.records import Group, Judgment, Label, Preference, Ranking, Rating

if TYPE_CHECKING:
    from preferably.feedback.store.entry import Entry


def store_rows(name: str) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """The judgments of the store at a path or URL, as rows of the shapes that files have (`data.formats`).

    A labeler's ratings on several axes, given together, are one row. What ended in no verdict (invalid, refused,
    failed) is a `Reject`. Raises what opening a store raises.
    """
    from preferably.feedback.store.store import Store

    with Store(name, create=False) as store:
        for entry in _axes_together(store.entries(superseded=False)):
            first = entry[0]
            if first.judgment.state != "ok":
                reason = f"the judgment is {first.judgment.state}"
                yield first.number, Reject(name, first.number, "state", "unjudged", reason)
                continue
            row = _row_of(first.group, [one.judgment for one in entry])
            problem = problem_in(row)
            yield first.number, Reject(name, first.number, "row", *problem) if problem else row


def _axes_together(entries: Iterable["Entry"]) -> Iterator[list["Entry"]]:
    """Entries one by one, but ratings of one group by one labeler that follow each other, on several axes, as one."""
    some: list[Entry] = []
    for entry in entries:
        if some and not _goes_with(some, entry):
            yield some
            some = []
        some.append(entry)
    if some:
        yield some


def _goes_with(some: Sequence["Entry"], entry: "Entry") -> bool:
    last, said = some[-1], entry.judgment
    return (
        isinstance(said, Rating)
        and isinstance(last.judgment, Rating)
        and (said.labeler, said.state, last.judgment.state) == (last.judgment.labeler, "ok", "ok")
        and entry.group == last.group
        and said.axis not in {one.judgment.axis for one in some if isinstance(one.judgment, Rating)}
    )


def _row_of(group: Group, judgments: Sequence[Judgment]) -> dict[str, Any]:
    said = judgments[0]
    prompt, answers = spoken(group)
    row = {"prompt": prompt} if group.prompt else {}
    if isinstance(said, Preference):
        one, other = sorted(said.order)
        choice = (one, other).index(said.choice) if isinstance(said.choice, int) else said.choice
        row |= {"completions": [answers[one], answers[other]], "choice": choice, "strength": said.strength}
    elif isinstance(said, Ranking):
        row |= {"completions": answers, "ranks": list(said.ranks)}
    elif isinstance(said, Label):
        row |= {"completion": answers[said.completion], "label": said.desirable}
    else:
        axes = {one.axis: one.scores for one in judgments if isinstance(one, Rating)}
        ratings = [{axis: scores[at] for axis, scores in axes.items()} for at in range(len(answers))]
        row |= {"completions": answers, "ratings": ratings}
    row |= {"labeler": said.labeler or None, "labeler_group": said.labeler_group or None}
    row |= {"source": group.source or None, "tools": json.loads(group.tools or "null")} | _columns(group)
    return {name: value for name, value in row.items() if value is not None}


def _columns(group: Group) -> dict[str, Any]:
    """What else the row of a prompt held."""
    found: dict[str, Any] = json.loads(group.columns or "{}")
    return found
