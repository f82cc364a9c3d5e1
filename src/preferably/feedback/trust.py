"""How far each labeler is to be trusted when their verdicts are put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from preferably.errors import DataError
from preferably.feedback.questions import Questions, questions_in
from preferably.feedback.records import Judged
from preferably.feedback.views import Axis
from preferably.statistics.coin import Coins, Verdicts, one_coin

FEWEST = 30  # answers to what others answered too, below which a labeler is counted among the others
CROWD = 3  # labelers with so many, from which on verdicts alone tell who is right
PRIOR = 1.0  # right and wrong verdicts added to each labeler's: one who was never wrong yet is not taken for infallible


@dataclass(frozen=True, slots=True)
class Trust:
    """The chance of each labeler to pick the better of two, and that of all whose own cannot be told."""

    accuracy: Mapping[str, float]
    others: float

    def of(self, name: str) -> float:
        """The chance of a labeler."""
        return self.accuracy.get(name, self.others)

    def as_json(self) -> dict[str, object]:
        """`labelers` by name, and `others`."""
        return {"labelers": dict(self.accuracy), "others": self.others}


def trust_of(records: Sequence[Judged], axis: Axis = None) -> Trust:
    """What the verdicts in `records` tell of their labelers, one coin each (`statistics.coin`).

    Labelers with fewer than `FEWEST` shared answers have one coin in common. Ties say nothing. Raises `DataError` where
    verdicts alone cannot tell who is right.
    """
    questions = questions_in([record for record in records if len(record.group.completions) > 1], axis)
    many, known = busy(questions)
    if known < CROWD:
        raise DataError(
            f"aggregate: posterior weighs labelers by what others say of the same pairs, and needs {CROWD} labelers "
            f"with {FEWEST} shared verdicts each; this data has {known}. Take aggregate: majority, or let more people "
            "judge the same pairs."
        )
    fit = one_coin(_pooled(questions, many), prior=PRIOR)
    found = dict(zip(questions.names, fit.accuracy.tolist(), strict=False))
    named = {name: found[name] for at, name in enumerate(questions.names) if many[at]}
    rest = int((fit.answered[len(questions.names) :]).sum())
    # Of those too rare to be told one by one, and of whoever shares nothing with anybody.
    others = float(fit.accuracy[-1]) if rest else float(np.average(fit.accuracy, weights=fit.answered))
    return Trust(named, others)


def busy(questions: Questions) -> tuple[np.ndarray, int]:
    """[r]: who answered enough of what others answered too, for a side; and how many they are."""
    shared = questions.sides().shared()
    many = np.bincount(shared.labelers, minlength=shared.count) >= FEWEST
    return many, int(many.sum())


def coins_of(questions: Questions) -> Coins | None:
    """The fit on all verdicts for a side; None where verdicts alone cannot tell who is right."""
    return one_coin(questions.sides()) if busy(questions)[1] >= CROWD else None


def _pooled(questions: Questions, many: np.ndarray) -> Verdicts:
    """The verdicts with all labelers that are not among the `many` as one more, the last."""
    sides, rare = questions.sides(), len(questions.names)
    labelers = np.where(many[sides.labelers], sides.labelers, rare)
    return Verdicts(sides.units, labelers, sides.sides, sides.turnable, rare + 1)
