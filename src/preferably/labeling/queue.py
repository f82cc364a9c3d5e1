"""What is asked of whom: tasks are given out on leases, to nobody twice and to no more people than are wanted.

Whoever gives out or takes in works alone on the store for that moment (SQLite's writers do anyway, on PostgreSQL a lock
sees to it), so that what was looked at still holds when it is written.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from random import Random
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, func, select, tuple_, update

from preferably.errors import DataError
from preferably.feedback.records import Group
from preferably.feedback.store.checking import odd_group
from preferably.feedback.store.codec import digest_of, group_content, group_of, text_of
from preferably.feedback.store.labeling_tables import people, tasks, turns
from preferably.feedback.store.store import Store
from preferably.feedback.store.tables import items
from preferably.feedback.views import SETTLED
from preferably.labeling.answers import AnswerError, Asked, id_of, is_right, judgments_of, places
from preferably.labeling.clock import Clock
from preferably.labeling.people import Person
from preferably.labeling.project import MOST_PEOPLE, Kind, Project


class NotYoursError(DataError):
    """A turn that is another person's, or that there is not."""


class AnsweredError(DataError):
    """A turn that was answered already, and that the answer does not say it corrects."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be queued: a group, how it is asked about, and how urgent it is."""

    group: Group
    kind: Kind = "pair"
    overlap: int = 1
    priority: float = 0.0
    gold: Mapping[str, Any] | None = None  # {"expected": {"choice": 0}, "why": "..."}; then everybody may get it


@dataclass(frozen=True, slots=True)
class Turn:
    """A person's turn with a task."""

    asked: Asked
    task: int
    batch: str
    state: str
    late: bool
    gold: Mapping[str, Any] | None
    said: Mapping[str, Any]  # {"now": {what: judgment}, "answers": [{"id", "digest", "answer"}]}

    @property
    def answer(self) -> Mapping[str, Any] | None:
        """What was answered last; None where nothing was yet."""
        return self.asked.earlier


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known to be on the disk."""

    answer: str  # its id
    late: bool
    right: bool | None  # of gold: whether it was answered as expected
    why: str = ""  # of gold: what its maker says about it


class Queue:
    """The tasks of a store."""

    def __init__(self, store: Store, project: Project, clock: Clock | None = None) -> None:
        self.store, self.project, self.clock = store, project, clock or Clock.of_machine()

    def add(self, asked: Sequence[Task], batch: str) -> dict[str, int]:
        """Queue tasks, all or none, and return how many were `queued`, and how many were `known` (a batch has a group
        once for each kind): these keep their priority, and go to more people where more are wanted now. Raises
        `DataError` for a group that cannot be asked about."""
        rows: dict[str, dict[str, Any]] = {}
        contents: dict[str, str] = {}
        now = self.clock.now()
        for task in asked:
            if fault := fault_of(task):
                raise DataError(f"{fault}: {task.group.prompt_text!r:.80}.")
            content, moved_to = group_content(task.group)
            item = digest_of(content)
            contents[item] = text_of(content)
            gold = dict(task.gold) if task.gold else None
            if gold is not None:
                gold["expected"] = _moved(gold["expected"], moved_to)
            name = digest_of([batch, item, task.kind])
            rows.setdefault(name, {
                "id": name, "batch": batch, "item": item, "kind": task.kind, "overlap": task.overlap,
                "free": task.overlap, "priority": float(task.priority), "gold": text_of(gold) if gold else "",
                "open": True, "queued_at": now,
            })  # fmt: skip
        with self.store.alone() as connection:
            about = select(tasks.c.id, tasks.c.overlap).where(tasks.c.batch == batch)
            known: dict[str, int] = {row.id: row.overlap for row in connection.execute(about)}
            self.store.insert(connection, items, [{"id": key, "content": contents[key]} for key in sorted(contents)])
            new = [row for name, row in rows.items() if name not in known]
            self.store.insert(connection, tasks, new)
            for name, row in rows.items():
                if (more := row["overlap"] - known.get(name, row["overlap"])) > 0:
                    connection.execute(update(tasks).where(tasks.c.id == name).values(
                        overlap=row["overlap"], free=tasks.c.free + more, open=True
                    ))  # fmt: skip
        return {"queued": len(new), "known": len(asked) - len(new)}

    def next(self, person: Person) -> Turn | None:
        """The turn that the person has open, or a new one; None where there is nothing for them now."""
        with self.store.alone() as connection:
            self._lapse(connection)
            mine = (turns.c.person == person.id) & (turns.c.state == "leased") & ~turns.c.deciding
            found = connection.execute(select(turns.c.id).where(mine)).scalar()
            if found is not None:
                until = self.clock.steady() + 60 * self.project.lease_minutes
                connection.execute(update(turns).where(turns.c.id == found).values(until=until))
                return self._turn(connection, found)
            task = None if self._is_full(connection, person) else self._pick(connection, person)
            return None if task is None else self._turn(connection, self._give(connection, person, task))

    def turn(self, person: Person, name: str) -> Turn:
        """A turn of this person. Raises `NotYoursError`."""
        with self.store.snapshot() as connection:
            return self._own(connection, person, name)

    def answer(self, person: Person, name: str, answer: Mapping[str, Any]) -> Receipt:
        """Keep an answer; what is sent twice is kept once. Once this returns it is on the disk.

        `corrects: true` in the answer changes what was answered before. Raises `NotYoursError`, `AnsweredError`, and
        `AnswerError` for one that cannot be kept.
        """
        with self.store.alone() as connection:
            self._lapse(connection)
            turn = self._own(connection, person, name)
            answer = dict(answer) | {"id": id_of(answer)}
            digest = digest_of(answer)
            known = [one for one in turn.said["answers"] if one["id"] == answer["id"]]
            if known:
                if known[0]["digest"] != digest:
                    raise AnswerError(
                        "An answer with this id is there already and differs; a change has an id of its own."
                    )
                return self._receipt(connection, turn, str(answer["id"]))
            if turn.state == "answered" and answer.get("corrects") is not True:
                raise AnsweredError("This was answered already; to change it, open it from your answers.")
            made = judgments_of(turn.asked, answer, self.project)
            try:
                self.store.say_in(connection, list(made.values()))
            except DataError as error:  # what it says cannot be kept, however often it is sent
                raise AnswerError(str(error)) from error
            now = dict(turn.said["now"]) | {key: entry.id for key, entry in made.items()}
            told = {"id": answer["id"], "digest": digest, "answer": answer}
            said = {"now": now, "answers": [*turn.said["answers"], told]}
            values: dict[str, Any] = {"state": "answered", "done_at": self.clock.now(), "said": text_of(said)}
            if turn.gold is not None and turn.answer is None:  # not once they were told what is right
                values["right"] = is_right(turn.gold["expected"], turn.asked, made)
            if turn.state in ("lapsed", "skipped"):
                values["late"] = turn.state == "lapsed"
                if turn.asked.labeler_group != SETTLED:
                    self._take_place(connection, turn.task)
            connection.execute(update(turns).where(turns.c.id == name).values(**values))
            self._close_if_done(connection, turn.task)
            return self._receipt(connection, self._own(connection, person, name), str(answer["id"]))

    def skip(self, person: Person, name: str) -> None:
        """Leave a turn to others. Raises `NotYoursError`, and `AnsweredError` for one that was answered."""
        with self.store.alone() as connection:
            turn = self._own(connection, person, name)
            if turn.state == "answered":
                raise AnsweredError("This was answered already, and cannot be skipped any more.")
            if turn.state == "leased":
                self._give_back(connection, turns.c.id == name, "skipped")

    def is_full(self, person: Person) -> bool:
        """Whether the person's group has given as many judgments as are wanted of it."""
        with self.store.snapshot() as connection:
            return self._is_full(connection, person)

    def settle(self, person: Person, task: int) -> Turn:
        """A turn for somebody who settles what others disagree on: it takes nobody's place, and what they say decides.

        Raises `NotYoursError` for a task that there is not, `AnsweredError` for one that they had as a labeler.
        """
        with self.store.alone() as connection:
            row = connection.execute(select(tasks).where(tasks.c.number == task)).mappings().first()
            if row is None:
                raise NotYoursError(f"There is no task {task}.")
            had = (turns.c.task == task) & (turns.c.person == person.id)
            found = connection.execute(select(turns.c.id, turns.c.deciding).where(had)).first()
            if found is not None and not found.deciding:
                raise AnsweredError("You answered this one as a labeler; somebody else must settle it.")
            return self._turn(connection, found.id if found else self._give(connection, person, row, deciding=True))

    # Inside a transaction

    def _lapse(self, connection: Connection) -> None:
        """Take back what was not answered in time, also what was given out before the machine was started again."""
        over = (turns.c.boot != self.clock.boot) | (turns.c.until < self.clock.steady())
        self._give_back(connection, (turns.c.state == "leased") & ~turns.c.deciding & over, "lapsed")

    def _give_back(self, connection: Connection, which: Any, state: str) -> None:
        for row in connection.execute(select(turns.c.id, turns.c.task, turns.c.deciding).where(which)).all():
            connection.execute(update(turns).where(turns.c.id == row.id).values(state=state))
            if not row.deciding:
                freed = update(tasks).where((tasks.c.number == row.task) & (tasks.c.gold == ""))
                connection.execute(freed.values(free=tasks.c.free + 1))

    def _is_full(self, connection: Connection, person: Person) -> bool:
        quota = self.project.quotas.get(person.labeler_group)
        if quota is None:
            return False
        given = select(func.count()).select_from(turns.join(people).join(tasks)).where(
            people.c.labeler_group == person.labeler_group, turns.c.state.in_(("leased", "answered")),
            tasks.c.gold == "", ~turns.c.deciding,
        )  # fmt: skip
        return connection.execute(given).scalar_one() >= quota

    def _pick(self, connection: Connection, person: Person) -> RowMapping | None:
        before = tasks.alias("before")  # of another batch, too: nobody judges the same completions twice
        had = select(before.c.item, before.c.kind).join(turns, turns.c.task == before.c.number).where(
            turns.c.person == person.id
        )  # fmt: skip
        new = tuple_(tasks.c.item, tasks.c.kind).not_in(had)
        count = connection.execute(select(func.count()).where(turns.c.person == person.id)).scalar_one()
        golden = Random(f"{person.id} {count}").random() < self.project.gold.share
        for gold in (True, False) if golden else (False,):
            which = tasks.c.gold != "" if gold else (tasks.c.gold == "") & (tasks.c.free > 0)
            may = select(tasks).where(tasks.c.open, new, which).limit(1)
            # The most urgent, then the first of these: in one order of both the index could not be walked along.
            top = connection.execute(may.order_by(tasks.c.priority.desc())).mappings().first()
            if top is not None:
                same = may.where(tasks.c.priority == top["priority"])
                return connection.execute(same.order_by(tasks.c.number)).mappings().one()
        return None

    def _give(self, connection: Connection, person: Person, task: RowMapping, *, deciding: bool = False) -> str:
        group = self._group(connection, task["item"])
        name, seed = uuid4().hex, secrets.randbits(62)
        shown = places(len(group.completions), seed)
        connection.execute(turns.insert().values(
            id=name, task=task["number"], person=person.id, shown=text_of(shown), seed=seed,
            state="leased", boot=self.clock.boot, until=self.clock.steady() + 60 * self.project.lease_minutes,
            given_at=self.clock.now(), done_at="", late=False, deciding=deciding,
            said=text_of({"now": {}, "answers": []}), right=None,
        ))  # fmt: skip
        if not deciding:
            self._take_place(connection, task["number"])
        return name

    def _take_place(self, connection: Connection, task: int) -> None:
        free = (tasks.c.number == task) & (tasks.c.gold == "") & (tasks.c.free > 0)
        connection.execute(update(tasks).where(free).values(free=tasks.c.free - 1))

    def _close_if_done(self, connection: Connection, task: int) -> None:
        answered = select(func.count()).where(
            turns.c.task == task, turns.c.state == "answered", ~turns.c.deciding
        )  # fmt: skip
        done = (tasks.c.number == task) & (tasks.c.gold == "") & (tasks.c.overlap <= answered.scalar_subquery())
        connection.execute(update(tasks).where(done).values(open=False))

    def _group(self, connection: Connection, item: str) -> Group:
        content = connection.execute(select(items.c.content).where(items.c.id == item)).scalar_one()
        return group_of(json.loads(content))

    def _own(self, connection: Connection, person: Person, name: str) -> Turn:
        turn = self._turn(connection, name, person.id)
        if turn is None:
            raise NotYoursError("There is no such task among yours.")
        return turn

    def _turn(self, connection: Connection, name: str, person: str | None = None) -> Any:
        query = select(
            turns, tasks.c.kind, tasks.c.item, tasks.c.batch, tasks.c.gold, people.c.name, people.c.labeler_group
        ).select_from(turns.join(tasks).join(people)).where(turns.c.id == name)  # fmt: skip
        row = connection.execute(query if person is None else query.where(turns.c.person == person)).mappings().first()
        if row is None:
            return None
        said = json.loads(row["said"])
        asked = Asked(
            row["id"], row["kind"], self._group(connection, row["item"]), tuple(json.loads(row["shown"])), row["seed"],
            row["name"], SETTLED if row["deciding"] else row["labeler_group"], said["now"],
            said["answers"][-1]["answer"] if said["answers"] else None,
        )  # fmt: skip
        gold = json.loads(row["gold"]) if row["gold"] else None
        return Turn(asked, row["task"], row["batch"], row["state"], row["late"], gold, said)

    def _receipt(self, connection: Connection, turn: Turn, answer: str) -> Receipt:
        right = connection.execute(select(turns.c.right).where(turns.c.id == turn.asked.turn)).scalar_one()
        return Receipt(answer, turn.late, right, turn.gold.get("why", "") if turn.gold else "")


def _moved(expected: Mapping[str, Any], to: Sequence[int]) -> dict[str, Any]:
    """What is expected of gold, in the places that the stored group has for its completions."""
    moved = {name: [to[place] for place in value] if name == "best" else value for name, value in expected.items()}
    if isinstance(choice := moved.get("choice"), int):
        moved["choice"] = to[choice]
    return moved


def fault_of(task: Task) -> str | None:
    """Why a task cannot be asked, as a sentence without its full stop; None for one that can."""
    count = len(task.group.completions)
    if task.kind == "pair" and count != 2:
        return f"A pair has two completions, this group has {count}"
    if task.kind == "ranking" and not 2 <= count <= 9:
        return f"A ranking is of 2 to 9 completions, this group has {count}"
    if odd := odd_group(task.group):
        return f"A group {odd}"
    if task.kind in ("pair", "ranking") and len({one.text.strip() for one in task.group.completions}) == 1:
        return "All completions are the same, so there is nothing to compare"
    if not 1 <= task.overlap <= MOST_PEOPLE:
        return f"A task is for 1 to {MOST_PEOPLE} people, not for {task.overlap}"
    if not isfinite(task.priority):
        return f"A priority is a finite number, not {task.priority}"
    if task.gold and task.kind not in ("pair", "ranking"):
        return f"Gold is of pairs and rankings, not of {task.kind}"
    return None
