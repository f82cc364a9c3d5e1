"""What the labelers behind a job's preferences are worth: the same figures as of `preferably label agreement`."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from preferably.data.importing import read_rows_in
from preferably.feedback.questions import Said
from preferably.feedback.records import Group, moved
from preferably.feedback.store.codec import group_content, group_of
from preferably.feedback.store.labels_read import gold_in, roles_in, said_in, time_in
from preferably.feedback.store.naming import is_store
from preferably.feedback.store.store import Store
from preferably.feedback.worth import worth_of


def labelers_behind(sources: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """The contents of `labelers.json`: `labelers` is what `Worth.as_json` gives of all that named labelers said in
    `sources` (files of rows, stores) together, null where nobody is named; `sources` counts the judgments and the
    labelers of each, with the `seconds` that people were busy in `timed` answers where a store has these."""
    said: list[Said] = []
    roles: dict[str, str] = {}
    gold: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
    counted: list[dict[str, Any]] = []
    for source in sources:
        if is_store(source):
            with Store(source, create=False) as store:
                found = said_in(store)
                spent = time_in(store)
                roles |= roles_in(store)
                for name, answers in gold_in(store).items():
                    gold[name] += answers
        else:
            found, spent = _in_rows(source), None
        named = [one for one in found if one.judgment.labeler]
        names = {one.judgment.labeler for one in named}
        counted.append({"source": source, "judgments": len(found), "named": len(named), "labelers": len(names)})
        if spent is not None:
            counted[-1] |= {"seconds": round(spent[0], 1), "timed": spent[1]}
        said += named
    worth = worth_of(said, roles=roles, gold=dict(gold), seed=seed).as_json() if said else None
    return {"schema": 1, "labelers": worth, "sources": counted}


def _in_rows(file: str) -> list[Said]:
    """Judgments of the rows of a file in their order, about groups as a store has them: rows with the same completions
    are about one group, whichever they name first."""
    groups: dict[Group, Group] = {}
    found = []
    for one in read_rows_in([file])[0]:
        if one.judgment.state == "ok":
            content, places = group_content(one.group)
            group = group_of(content)
            found.append(Said(groups.setdefault(group, group), moved(one.judgment, places), shown=one.shown))
    return found
