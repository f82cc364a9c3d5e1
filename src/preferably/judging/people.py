"""People as a judge: their comparisons wait in the labeling queue, and are taken up once they are in.

What people see is drawn anew for each of them, so each pair is asked once and not in both orders.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group, Judgment, Preference
from preferably.feedback.store.codec import digest_of
from preferably.feedback.store.store import Store
from preferably.feedback.views import SETTLED, deciding
from preferably.labeling.project import Project
from preferably.labeling.queue import Queue, Task

NAME = "people"
DEFAULT = "preferably.db"
PAUSE = 2.0  # seconds between two looks at the store

Wait = Callable[[int, int], bool]  # told how many pairs are judged, of how many; whether to go on waiting


class WaitingError(DataError):
    """Comparisons wait for people. They are queued, and what was judged is kept."""


class PeopleJudge:
    """A judge that queues pairs in a store and gives what people say of them.

    `overlap` people are asked about each, and what most of them say holds; without a majority it is a tie. `wait` is
    told how it goes every two seconds, and may end it: `WaitingError`. Two equal answers are a tie that nobody is asked
    about.
    """

    labeler_kind = "human"
    __name__ = NAME

    def __init__(self, store: str | Path = DEFAULT, *, overlap: int = 1, wait: Wait | None = None) -> None:
        if overlap < 1:
            raise ConfigError(f"At least one person judges each pair; got {overlap}.")
        self.store, self.overlap, self.wait = store, overlap, wait or (lambda done, of: False)

    def __call__(self, groups: Sequence[Group]) -> list[Preference]:
        """One preference for each group of two completions."""
        asked = [group for group in groups if not _are_equal(group)]
        with Store(self.store) as store:
            batch = f"evaluate-{digest_of([group.prompt_text for group in asked])[:8]}"
            Queue(store, Project()).add([Task(group, overlap=self.overlap, priority=1.0) for group in asked], batch)
            while True:
                said = store.about(asked)
                done = sum(_is_done(some, self.overlap) for some in said)
                if done == len(asked):
                    break
                if not self.wait(done, len(asked)):
                    raise WaitingError(
                        f"{done:,} of {len(asked):,} pairs are judged; the others wait for people, as the batch "
                        f"{batch}: `preferably label serve --store {self.store}`. Then run the same command again."
                    )
                time.sleep(PAUSE)
        verdicts = iter(_preferences(some) for some in said)
        return [Preference("tie", labeler=NAME) if _are_equal(group) else _joined(next(verdicts)) for group in groups]


def named_store(name: str) -> str | None:
    """The store of `people` or `people:STORE`; None for another judge's name."""
    kind, _, place = name.partition(":")
    return (place or DEFAULT) if kind == NAME else None


def _are_equal(group: Group) -> bool:
    one, other = group.completions
    return one.text.strip() == other.text.strip()


def _is_done(said: Sequence[Judgment], overlap: int) -> bool:
    """Whether as many people as are wanted have compared it, or somebody settled it."""
    verdicts = [one for one in said if isinstance(one, Preference) and one.state == "ok"]
    settled = any(one.labeler_group == SETTLED for one in verdicts)
    return settled or len({one.labeler for one in verdicts}) >= overlap


def _preferences(said: Sequence[Judgment]) -> list[Preference]:
    return [one for one in deciding(said) if isinstance(one, Preference) and one.state == "ok"]


def _joined(said: Sequence[Preference]) -> Preference:
    """What most people say of a pair; those who cannot tell count only where nobody can."""
    votes = Counter("tie" if one.choice == "both_bad" else one.choice for one in said if one.choice != "unsure")
    if not votes:
        return Preference("unsure", labeler=NAME)
    (first, most), *others = votes.most_common()
    choice = first if all(count < most for _, count in others) else "tie"
    strengths = [one.strength for one in said if one.choice == choice and one.strength is not None]
    strength = sum(strengths) / len(strengths) if strengths else None
    return Preference(choice, strength, NAME, order=said[0].order)
