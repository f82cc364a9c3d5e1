"""Groups that people disagree on, or that somebody flagged, as the queue of whoever settles them."""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from preferably.feedback.records import Flag, Group
from preferably.feedback.store.codec import digest_of, group_content, group_of
from preferably.feedback.store.labeling_tables import tasks
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import items
from preferably.feedback.views import SETTLED

if TYPE_CHECKING:
    from preferably.feedback.questions import Said
    from preferably.feedback.worth import Worth


@dataclass(frozen=True, slots=True)
class Disputed:
    """A group that is to be settled, unless its answer is known. What it says is in the store: these lists are long."""

    item: str  # its id there
    gold: bool  # whether people were asked it as a question of known answer
    labelers: int  # who judged it; 0 where nobody but one did, and flagged it
    disagreement: float  # as in `feedback.disputes`, and so are the reasons
    reasons: tuple[str, ...]
    flags: tuple[tuple[str, int], ...]  # each flag, and how many raised it


def disputed_of(worth: "Worth", said: "Sequence[Said]", gold: Collection[str] = ()) -> list[Disputed]:
    """The groups in `said` with unlike verdicts or a flag: as `Worth.disputes` has them, the most doubtful first, and
    after them those that carry other flags alone. `gold` are the ids of those whose answer is known."""
    flags: dict[Group, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in said:
        if isinstance(one.judgment, Flag) and one.judgment.raised and one.judgment.labeler_group != SETTLED:
            flags[one.group][one.judgment.name].add(one.judgment.labeler)
    disputes = {one.group: one for one in worth.disputes.prompts}
    order = [one.group for one in worth.disputes.prompts if one.disagreement or one.group in flags]
    order += [group for group in flags if group not in disputes]
    found = []
    for group in order:
        item, dispute = digest_of(group_content(group)[0]), disputes.get(group)
        about = (dispute.labelers, dispute.disagreement, dispute.reasons) if dispute else (0, 0.0, ())
        raised = tuple((name, len(who)) for name, who in sorted(flags.get(group, {}).items()))
        found.append(Disputed(item, item in gold, *about, raised))
    return found


def known_in(store: Store) -> set[str]:
    """The ids of groups that were queued with a known answer."""
    with store.snapshot() as connection:
        return set(connection.execute(select(tasks.c.item).where(tasks.c.gold != "")).scalars())


def groups_in(store: Store, some: Sequence[str]) -> dict[str, Group]:
    """The groups of a store with these ids."""
    with store.snapshot() as connection:
        rows = connection.execute(select(items.c.id, items.c.content).where(items.c.id.in_(some))).all()
    return {row.id: group_of(json.loads(row.content)) for row in rows}
