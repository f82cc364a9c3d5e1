"""Pairs that say which subset of a test they belong to: RewardBench's rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from preferably.data.accounting import Accounting, Reject
from preferably.data.chat import is_text
from preferably.data.columns import BadRow, Row, text_of
from preferably.data.formats import parse_row
from preferably.data.parsing import read_as
from preferably.feedback.records import Completion, Group, Message, Place


def read_subsets(paths: Sequence[str | Path], *, limit: int | None = None) -> tuple[list[Group], Accounting]:
    """Pairs, the chosen one first, with their subset as `Group.source`: rows with `prompt`, `chosen`, `rejected` and
    `subset`. Text is read as a user's turn and answers to it, as the published figures come of chat templates.

    Nothing is merged: a pair that two subsets have counts in both. Raises `DataError` where no row can be used.
    """
    return read_as(paths, _pair, limit=limit)


def _pair(row: Row, place: Place) -> Group:
    subset = text_of(row.need("subset"), "subset")
    shown = {name: row.need(name) for name in ("prompt", "chosen", "rejected")}
    judged = parse_row(shown, "pairs", place)
    if isinstance(judged, Reject):
        raise BadRow(judged.field, judged.code, judged.reason)
    group = judged.group
    if is_text(group.prompt):
        prompt = tuple(Message("user", message.content) for message in group.prompt)
        answers = tuple(Completion((Message("assistant", one.text),)) for one in group.completions)
        group = replace(group, prompt=prompt, completions=answers)
    return replace(group, source=subset)
