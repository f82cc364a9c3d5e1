"""A store of judgments to rows: each judgment that was not corrected is a row, by its number, to be shown or split.

What is learnt from a store is read from its records (`data.load`): a row for each judgment cannot say that two of them
are by one labeler about one group.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from preferably.data.accounting import Reject
from preferably.data.json_values import problem_in
from preferably.data.writers import spoken
from preferably.feedback.records import Flag, Label, Preference, Ranking, Rating

if TYPE_CHECKING:
    from preferably.feedback.store.entry import Entry


def store_rows(name: str) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """The judgments of the store at a path or URL, as rows of the shapes that files have (`data.formats`).

    What ended in no verdict (invalid, refused, failed) is a `Reject`. What else the row of a prompt held is left out:
    it could be taken for a verdict. Raises what opening a store raises.
    """
    from preferably.feedback.store.store import Store

    with Store(name, create=False) as store:
        for entry in store.entries(superseded=False):
            number, state = entry.number, entry.judgment.state
            if state != "ok" or isinstance(entry.judgment, Flag):
                why = f"the judgment is {state}" if state != "ok" else "a flag decides nothing"
                yield number, Reject(name, number, "state", "unjudged", why)
                continue
            row = _row_of(entry)
            problem = problem_in(row)
            yield number, Reject(name, number, "row", *problem) if problem else row


def _row_of(entry: "Entry") -> dict[str, Any]:
    group, said = entry.group, entry.judgment
    prompt, answers = spoken(group)
    row: dict[str, Any] = {"prompt": prompt} if group.prompt else {}
    if isinstance(said, Preference) and isinstance(said.choice, int) and not entry.shown:
        worse = next(at for at in said.order if at != said.choice)
        row |= {"chosen": answers[said.choice], "rejected": answers[worse], "strength": said.strength}
    elif isinstance(said, Preference):  # in the order in which they were shown
        choice = said.order.index(said.choice) if isinstance(said.choice, int) else said.choice
        row |= {"completions": [answers[at] for at in said.order], "choice": choice, "strength": said.strength}
    elif isinstance(said, Ranking):
        row |= {"completions": answers, "ranks": list(said.ranks)}
    elif isinstance(said, Label):
        row |= {"completion": answers[said.completion], "label": said.desirable}
    elif isinstance(said, Rating):
        row |= {"completions": answers, "ratings": [{said.axis: score} for score in said.scores]}
    row |= {"labeler": said.labeler or None, "labeler_group": said.labeler_group or None}
    row |= {"source": group.source or None, "tools": json.loads(group.tools or "null")}
    return {name: value for name, value in row.items() if value is not None}
