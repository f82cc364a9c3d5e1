"""What labelers say about themselves: where they want to, in a table of its own, and gone when they take it back."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import delete, select

from preferably.errors import ConfigError
from preferably.feedback.store.labeling_tables import demographics
from preferably.feedback.store.store import Store
from preferably.labeling.project import Project


class Demographics:
    """The answers to the project's questions about labelers."""

    def __init__(self, store: Store, project: Project) -> None:
        self.store, self.questions = store, project.demographics

    def of(self, person: str) -> dict[str, str]:
        """What a person said of themselves: {question: choice}; empty where nothing."""
        with self.store.snapshot() as connection:
            found = connection.execute(
                select(demographics.c.answers).where(demographics.c.person == person)
            ).scalar_one_or_none()
        return {} if found is None else dict(json.loads(found))

    def keep(self, person: str, answers: Mapping[str, str]) -> None:
        """Keep a person's answers instead of those of before; where there are none the row goes. Raises `ConfigError`
        for a choice that there is not."""
        offered = {one.ask: one.choices for one in self.questions}
        for question, choice in answers.items():
            if choice not in offered.get(question, ()):
                raise ConfigError(f"{choice!r:.60} is no answer to {question!r:.60}.")
        with self.store.writing() as connection:
            connection.execute(delete(demographics).where(demographics.c.person == person))
            if answers:
                now = datetime.now(UTC).isoformat(timespec="microseconds")
                connection.execute(
                    demographics.insert().values(person=person, answers=json.dumps(dict(answers)), said_at=now)
                )

    def erase(self, person: str) -> None:
        """Forget what a person said of themselves."""
        self.keep(person, {})
