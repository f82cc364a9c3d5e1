"""Forgetting a person: what was about them goes, what they judged stays, and nothing leads from one to the other."""

import secrets

from sqlalchemy import delete, func, select, update

from preferably.feedback.store.erasing import sign_anew
from preferably.feedback.store.labeling_tables import demographics, invitations, people, sessions
from preferably.feedback.store.store import Store
from preferably.labeling.people import NobodyError, RefusedError


def erase_person(store: Store, person: str) -> str:
    """Forget a person, for good, and return the pseudonym that their judgments have from now on.

    Their name (in judgments and invitations too), password, sessions, invitations, qualification, the time when they
    came and what they said of themselves are gone; the account is shut. Verdicts, rationales, times and the group of
    labelers stay. Raises `NobodyError`, and `RefusedError` for the only admin.
    """
    with store.alone() as connection:  # an answer on its way must not bring the name back
        row = connection.execute(select(people).where(people.c.id == person)).mappings().first()
        if row is None:
            raise NobodyError("There is no such person.")
        admins = select(func.count()).select_from(people).where(people.c.role == "admin", people.c.active)
        if row["role"] == "admin" and row["active"] and connection.execute(admins).scalar_one() == 1:
            raise RefusedError(f"{row['name']} is the only admin; make somebody else one first.")
        if connection.dialect.name == "sqlite":  # which else leaves what was deleted in its file for a while
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
        pseudonym = f"erased-{secrets.token_hex(4)}"
        sign_anew(connection, row["name"], pseudonym)
        connection.execute(delete(sessions).where(sessions.c.person == person))
        connection.execute(delete(demographics).where(demographics.c.person == person))
        theirs = (invitations.c.person == person) | (invitations.c.used_by == person)
        connection.execute(delete(invitations).where(theirs))
        made = update(invitations).where(invitations.c.made_by == row["name"])
        connection.execute(made.values(made_by=pseudonym))
        connection.execute(update(people).where(people.c.id == person).values(
            name=pseudonym, role="labeler", password="", active=False, joined_at="", read="", qualification="",
        ))  # fmt: skip
    return pseudonym
