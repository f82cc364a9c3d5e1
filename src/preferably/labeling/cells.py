"""What labelers said of themselves, as counts in which nobody can be found."""

import json
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import select

from preferably.feedback.store.labeling_tables import demographics
from preferably.feedback.store.store import Store
from preferably.labeling.project import Project
from preferably.statistics.disclosure import LEAST, showable


@dataclass(frozen=True, slots=True)
class Cells:
    """Of each question the counts by choice, None for those that are not told; of the first `people` who answered."""

    people: int
    questions: dict[str, dict[str, int | None]]


def cells_of(store: Store, project: Project) -> Cells:
    """The counts of a project's questions.

    They are of the first 5, 10, 15 ... people by the time of their answer, so that they change by five people at once:
    who looks before and after one person answered learns nothing of them. Nothing is crossed with anything.
    """
    query = select(demographics.c.answers).order_by(demographics.c.said_at, demographics.c.person)
    with store.snapshot() as connection:
        told = [json.loads(answers) for answers in connection.execute(query).scalars()]
    told = [one for one in told if any(one.get(question.ask) in question.choices for question in project.demographics)]
    told = told[: len(told) // LEAST * LEAST]
    found = {}
    for question in project.demographics:
        said = Counter(one.get(question.ask) for one in told)
        found[question.ask] = showable({choice: said[choice] for choice in question.choices}, len(told))
    return Cells(len(told), found)
