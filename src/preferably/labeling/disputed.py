"""Groups that people disagree on, or that somebody flagged, as the queue of whoever settles them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from preferably.feedback.disputes import Dispute
from preferably.feedback.questions import Said
from preferably.feedback.records import Flag, Group
from preferably.feedback.store.codec import digest_of, group_content
from preferably.feedback.views import SETTLED
from preferably.feedback.worth import Worth


@dataclass(frozen=True, slots=True)
class Disputed:
    """A group that is to be settled."""

    item: str  # its id in the store
    group: Group
    dispute: Dispute | None  # None where only one person judged it
    flags: tuple[tuple[str, int], ...]  # each flag, and how many raised it


def disputed_of(worth: Worth, said: Sequence[Said]) -> list[Disputed]:
    """The groups in `said` with unlike verdicts or a flag: as `Worth.disputes` has them, the most doubtful first, and
    after them those that carry other flags alone."""
    flags: dict[Group, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in said:
        if isinstance(one.judgment, Flag) and one.judgment.raised and one.judgment.labeler_group != SETTLED:
            flags[one.group][one.judgment.name].add(one.judgment.labeler)
    disputes = {one.group: one for one in worth.disputes.prompts}
    order = [one.group for one in worth.disputes.prompts if one.disagreement or one.group in flags]
    order += [group for group in flags if group not in disputes]
    return [
        Disputed(
            digest_of(group_content(group)[0]), group, disputes.get(group),
            tuple((name, len(who)) for name, who in sorted(flags.get(group, {}).items())),
        )
        for group in order
    ]  # fmt: skip
