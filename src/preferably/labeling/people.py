"""Who labels: invited by a link that works once, known by a session that can be ended, with a role that counts now."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, get_args
from unicodedata import category, normalize
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, func, select, update

from preferably.errors import ConfigError, DataError
from preferably.feedback.store.labeling_tables import invitations, people, sessions
from preferably.feedback.store.store import Store
from preferably.feedback.views import SETTLED

if TYPE_CHECKING:
    from argon2 import PasswordHasher

Role = Literal["admin", "lead", "labeler"]
LONGEST_NAME = 60  # characters
SHORTEST = 12  # characters of a password
IDLE, LONGEST = timedelta(hours=12), timedelta(days=7)  # of a session
ABOUT = ("id", "name", "role", "labeler_group", "active", "joined_at", "read")
INVITED = timedelta(days=7)  # that an invitation is good for


class RefusedError(DataError):
    """A door that stays shut: an invitation, a password or a session that is not, or no longer, good."""


class NobodyError(DataError):
    """Somebody whom there is not."""


@dataclass(frozen=True, slots=True)
class Person:
    """One of those who label, or who see to it."""

    id: str
    name: str
    role: Role
    labeler_group: str
    active: bool
    joined_at: str
    read: str
    qualification: Mapping[str, Any] | None
    has_password: bool

    def may(self, role: Role) -> bool:
        """Whether they may do what `role` may."""
        order = get_args(Role)
        return order.index(self.role) <= order.index(role)


class People:
    """The people of a store. Tokens and codes are given out once; their SHA-256 is kept alone."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @cached_property
    def _hasher(self) -> "PasswordHasher":
        from argon2 import PasswordHasher

        return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)  # argon2id, at OWASP's least

    @cached_property
    def _nobody(self) -> str:
        """The hash of a password that nobody has: an unknown name takes as long to refuse as a known one."""
        return self._hasher.hash(secrets.token_hex(16))

    def invite(
        self, role: str, labeler_group: str = "", *, by: str = "", person: str | None = None, lasts: timedelta = INVITED
    ) -> str:
        """The code of a new invitation; for `person`, where given, it is a way back in. Raises `ConfigError`."""
        if role not in get_args(Role):
            raise ConfigError(f"A role is {', '.join(get_args(Role))}; got {role!r}.")
        _check_group(labeler_group)
        code, now = secrets.token_urlsafe(32), datetime.now(UTC)
        with self.store.writing() as connection:
            connection.execute(invitations.insert().values(
                id=_digest(code), role=role, labeler_group=labeler_group, person=person, made_by=by, made_at=_iso(now),
                ends_at=_iso(now + lasts), used_by=None, revoked=False,
            ))  # fmt: skip
        return code

    def accept(self, code: str, name: str = "", password: str = "") -> tuple[Person, str]:
        """Who comes in by an invitation, and the token of their session. Raises `RefusedError` for one that is used up,
        over, revoked or unknown, and `ConfigError` for a name or password that cannot be had."""
        with self.store.alone() as connection:  # of two who come at once, one finds it used
            row = self._invitation(connection, code)
            if row["person"] is not None:
                found = self._by(connection, people.c.id == row["person"])
                if found is None or not found.active:
                    raise RefusedError("This link is for somebody who may not come in any more.")
                person = found
                if password:  # whoever knew the old one, or has a session of it, is out
                    self._set_password(connection, person.id, password)
                    connection.execute(update(sessions).where(sessions.c.person == person.id).values(revoked=True))
            else:
                person = self._join(connection, row, name, password)
            connection.execute(update(invitations).where(invitations.c.id == row["id"]).values(used_by=person.id))
            return person, self._begin(connection, person.id)

    def peek(self, code: str) -> tuple[Role, str | None]:
        """What an invitation is for: a role, and the name of the one it is for, if any. Raises `RefusedError`."""
        with self.store.snapshot() as connection:
            row = self._invitation(connection, code)
            known = self._by(connection, people.c.id == row["person"]) if row["person"] else None
            role: Role = row["role"]
            return role, known.name if known else None

    def log_in(self, name: str, password: str) -> tuple[Person, str]:
        """Who comes in by a password, and the token of a new session. Raises `RefusedError`, which does not say why."""
        from argon2.exceptions import VerificationError

        with self.store.snapshot() as connection:
            row = connection.execute(select(people).where(people.c.name == name)).mappings().first()
        kept = (row and row["password"]) or self._nobody
        try:
            self._hasher.verify(kept, password)
            good = bool(row and row["password"] and row["active"])
        except VerificationError:
            good = False
        if not good or row is None:
            raise RefusedError("That name and password do not go together.")
        with self.store.writing() as connection:
            if self._hasher.check_needs_rehash(kept):
                self._set_password(connection, row["id"], password)
            return _person(row), self._begin(connection, row["id"])

    def of_session(self, token: str) -> Person | None:
        """Whose session it is, now; None for one that is over, ended or unknown."""
        now = datetime.now(UTC)
        with self.store.snapshot() as connection:
            query = select(people, sessions.c.made_at, sessions.c.seen_at).select_from(sessions.join(people)).where(
                sessions.c.id == _digest(token), ~sessions.c.revoked, people.c.active
            )  # fmt: skip
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        made, seen = (datetime.fromisoformat(row[name]) for name in ("made_at", "seen_at"))
        if now - seen > IDLE or now - made > LONGEST:
            return None
        if now - seen > IDLE / 100:  # not a write a request
            with self.store.writing() as connection:
                seen_now = update(sessions).where(sessions.c.id == _digest(token))
                connection.execute(seen_now.values(seen_at=_iso(now)))
        return _person(row)

    def log_out(self, token: str) -> None:
        """End a session."""
        with self.store.writing() as connection:
            connection.execute(update(sessions).where(sessions.c.id == _digest(token)).values(revoked=True))

    def all(self) -> list[Person]:
        """Everybody, in the order in which they came."""
        with self.store.snapshot() as connection:
            rows = connection.execute(select(people).order_by(people.c.joined_at, people.c.id)).mappings().all()
        return [_person(row) for row in rows]

    def named(self, person: str) -> Person:
        """The person with an id. Raises `NobodyError`."""
        with self.store.snapshot() as connection:
            found = self._by(connection, people.c.id == person)
        if found is None:
            raise NobodyError("There is no such person.")
        return found

    def change(
        self, person: str, *, role: Role | None = None, active: bool | None = None, labeler_group: str | None = None
    ) -> None:
        """Give another role or group, or shut somebody out (all their sessions end) or let them in again. Judgments
        keep the group that they were made in. Raises `NobodyError`, `ConfigError` for a group that cannot be, and
        `RefusedError` for the last admin who is in, and stays one."""
        if labeler_group is not None:
            _check_group(labeler_group)
        with self.store.alone() as connection:  # two admins must not shut each other out
            found = self._by(connection, people.c.id == person)
            if found is None:
                raise NobodyError("There is no such person.")
            admins = select(func.count()).select_from(people).where(people.c.role == "admin", people.c.active)
            loses = found.role == "admin" and found.active and (active is False or role not in (None, "admin"))
            if loses and connection.execute(admins).scalar_one() == 1:
                raise RefusedError(f"{found.name} is the only admin; make somebody else one first.")
            values: dict[str, Any] = {}
            if role is not None:
                values["role"] = role
            if active is not None:
                values["active"] = active
            if labeler_group is not None:
                values["labeler_group"] = labeler_group
            connection.execute(update(people).where(people.c.id == person).values(**values))
            if active is False:
                connection.execute(update(sessions).where(sessions.c.person == person).values(revoked=True))

    def note(self, person: str, *, read: str | None = None, qualification: Mapping[str, Any] | None = None) -> None:
        """Keep that they read a version of the guidelines, or how they did in a qualification."""
        values: dict[str, Any] = {} if read is None else {"read": read}
        if qualification is not None:
            values["qualification"] = json.dumps(dict(qualification))
        with self.store.writing() as connection:
            connection.execute(update(people).where(people.c.id == person).values(**values))

    def tried(self, person: str, version: str, right: int, asked: int, *, passed: bool, tries: int) -> bool:
        """Keep how they did in a qualification; whether that counts: `tries` of a version do, and none after one that
        was passed."""
        with self.store.writing() as connection:
            query = select(people.c.qualification).where(people.c.id == person).with_for_update()
            kept = connection.execute(query).scalar_one()
            before = json.loads(kept) if kept else {}
            had = before.get("tries", 0) if before.get("version") == version else 0
            if had >= tries or before.get("passed"):
                return False
            now = {"version": version, "right": right, "asked": asked, "passed": passed, "at": _iso(), "tries": had + 1}
            now["resets"] = before.get("resets", [])
            connection.execute(update(people).where(people.c.id == person).values(qualification=json.dumps(now)))
            return True

    def try_again(self, person: str, by: str) -> None:
        """Give new tries to somebody who failed in the qualification; that `by` (an id) did, and what the tries before
        came to, stays on record. Raises `RefusedError` for somebody who has not failed, and `NobodyError`."""
        with self.store.alone() as connection:
            found = self._by(connection, people.c.id == person)
            if found is None:
                raise NobodyError("There is no such person.")
            told = dict(found.qualification or {})
            if told.get("passed") is not False:
                raise RefusedError(f"{found.name} has not failed in the qualification: there is nothing to reset.")
            before = told.pop("resets", [])
            kept = {"resets": [*before, {"at": _iso(), "by": by, "was": told}]}
            connection.execute(update(people).where(people.c.id == person).values(qualification=json.dumps(kept)))

    def open_invitations(self) -> list[RowMapping]:
        """Those that are good still: `id`, `role`, `labeler_group`, `made_by`, `ends_at`."""
        with self.store.snapshot() as connection:
            good = (~invitations.c.revoked) & invitations.c.used_by.is_(None) & (invitations.c.ends_at > _iso())
            query = select(invitations).where(good).order_by(invitations.c.made_at)
            return list(connection.execute(query).mappings().all())

    def revoke(self, invitation: str) -> None:
        """Take back an invitation, by its id."""
        with self.store.writing() as connection:
            connection.execute(update(invitations).where(invitations.c.id == invitation).values(revoked=True))

    def _invitation(self, connection: Connection, code: str) -> RowMapping:
        row = connection.execute(select(invitations).where(invitations.c.id == _digest(code))).mappings().first()
        if row is None or row["revoked"] or row["used_by"] is not None or row["ends_at"] <= _iso():
            raise RefusedError("This invitation is not good (any more). Ask whoever sent it for a new one.")
        return row

    def _join(self, connection: Connection, row: RowMapping, name: str, password: str) -> Person:
        name = " ".join(normalize("NFKC", name).split())
        if not 0 < len(name) <= LONGEST_NAME or any(category(one)[0] == "C" for one in name):
            raise ConfigError(f"A name has 1 to {LONGEST_NAME} characters, all of which can be seen; got {name!r:.80}.")
        if self._by(connection, people.c.name == name) is not None:
            raise ConfigError(f"Somebody is called {name!r} already; take another name.")
        if not password and row["role"] != "labeler":
            raise ConfigError(f"An {row['role']} needs a password, of {SHORTEST} characters or more.")
        made = {
            "id": uuid4().hex, "name": name, "role": row["role"], "labeler_group": row["labeler_group"], "password": "",
            "active": True, "joined_at": _iso(), "read": "", "qualification": "",
        }  # fmt: skip
        connection.execute(people.insert().values(**made))
        if password:
            self._set_password(connection, made["id"], password)
        return _person(made | {"password": password})

    def _set_password(self, connection: Connection, person: str, password: str) -> None:
        if not SHORTEST <= len(password) <= 1000:
            raise ConfigError(f"A password has {SHORTEST} characters or more.")
        kept = self._hasher.hash(password)
        connection.execute(update(people).where(people.c.id == person).values(password=kept))

    def _begin(self, connection: Connection, person: str) -> str:
        token, now = secrets.token_urlsafe(32), _iso()
        connection.execute(sessions.insert().values(
            id=_digest(token), person=person, made_at=now, seen_at=now, revoked=False
        ))  # fmt: skip
        return token

    def _by(self, connection: Connection, which: Any) -> Person | None:
        row = connection.execute(select(people).where(which)).mappings().first()
        return None if row is None else _person(row)


def _person(row: Mapping[str, Any] | RowMapping) -> Person:
    about: dict[str, Any] = {name: row[name] for name in ABOUT}
    told = json.loads(row["qualification"]) if row["qualification"] else None
    return Person(**about, qualification=told, has_password=bool(row["password"]))


def _check_group(name: str) -> None:
    if name == SETTLED or len(name) > 60:
        raise ConfigError(f"A group has a name of up to 60 characters, and not {SETTLED!r}; got {name!r}.")


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def _iso(when: datetime | None = None) -> str:
    return (when or datetime.now(UTC)).isoformat(timespec="microseconds")
