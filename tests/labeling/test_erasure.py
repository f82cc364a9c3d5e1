"""Forgetting a person: no trace of the name is left, what was judged stays, and the figures hold."""

import json
import sqlite3
from pathlib import Path

import pytest

from preferably.errors import DataError
from preferably.feedback.store.erasing import sign_anew
from preferably.feedback.store.labeling_tables import demographics
from preferably.feedback.store.labels_read import gold_in
from preferably.feedback.store.store import Store
from preferably.feedback.views import pairs
from preferably.labeling.erasure import erase_person
from preferably.labeling.people import RefusedError

NAME = "zenobia"  # that no other text holds


@pytest.fixture
def here(site):
    made = site(gold={"share": 0.5}, rubric=[{"name": "clear"}])
    made.ask(1, 2, 3, overlap=2)
    made.ask(4, batch="gold", gold={"expected": {"choice": 0}, "why": ""})
    made.ask(5, kind="edit", batch="edits")
    return made


def test_nothing_leads_from_the_judgments_to_the_person(here):
    zenobia = here.come(NAME, group="careful")
    while (turn := here.queue.next(zenobia.person)) is not None:
        sent = {"text": "a better one", "of": 0} if turn.asked.kind == "edit" else {"choice": "tie"}
        assert zenobia.answer(turn.asked.turn, **sent, rationale="it answers").status_code == 200
    with here.store.writing() as connection:
        row = {"person": zenobia.person.id, "answers": json.dumps({"age": "old"}), "said_at": ""}
        connection.execute(demographics.insert().values(**row))
    here.people.invite("labeler", by=NAME)
    before = {entry.id: (entry.judgment, entry.rationale) for entry in here.store.entries()}
    chosen = [one.completions[0].text for one in pairs(here.store.judged())]
    golden = gold_in(here.store)[NAME]
    pseudonym = erase_person(here.store, zenobia.person.id)
    after = {entry.id: entry for entry in here.store.entries()}
    assert set(after) == set(before) and len(after) == 5
    for key, entry in after.items():
        said, rationale = before[key]
        assert entry.judgment.labeler == pseudonym and entry.rationale == rationale == "it answers"
        assert getattr(entry.judgment, "choice", None) == getattr(said, "choice", None)
    assert [one.completions[0].text for one in pairs(here.store.judged())] == chosen
    assert gold_in(here.store) == {pseudonym: golden}
    here.store.close()
    with sqlite3.connect(here.store.name) as database:
        dump = "\n".join(database.iterdump())
    assert not [line for line in dump.splitlines() if NAME in line or '"old"' in line]
    assert NAME.encode() not in Path(here.store.name).read_bytes()  # nor in what SQLite left of deleted rows


def test_whoever_was_erased_is_out_and_their_name_can_be_taken_anew(here):
    zenobia, mia = here.come(NAME), here.come("mia", "admin")
    here.judge(zenobia, limit=1)
    pseudonym = erase_person(here.store, zenobia.person.id)
    assert zenobia.get("/task").status_code == 303
    assert here.people.named(zenobia.person.id).name == pseudonym
    assert mia.send(f"/admin/people/{zenobia.person.id}/state", state="in").status_code == 403
    assert here.come(NAME).person.id != zenobia.person.id


def test_the_only_admin_cannot_be_erased(here):
    mia = here.come("mia", "admin")
    with pytest.raises(RefusedError, match="only admin"):
        erase_person(here.store, mia.person.id)
    here.come("noa", "admin")
    assert erase_person(here.store, mia.person.id).startswith("erased-")


def test_the_page_wants_the_name_typed_and_another_admin(here):
    zenobia, mia = here.come(NAME), here.come("mia", "admin")
    here.come("noa", "admin")
    address = f"/admin/people/{zenobia.person.id}/erase"
    assert mia.send(address, name="zenobi").status_code == 400
    assert here.people.named(zenobia.person.id).name == NAME
    assert mia.send(f"/admin/people/{mia.person.id}/erase", name="mia").status_code == 403
    assert mia.send(address, name=NAME).headers["location"] == "/admin/people"
    assert NAME not in mia.get("/admin/people").text


def test_a_judgment_that_was_tampered_with_stops_it(tmp_path, here):
    ada = here.come("ada")
    here.judge(ada, limit=1)
    here.store.close()
    with sqlite3.connect(here.store.name) as database:
        database.execute("UPDATE judgments SET rationale = 'another'")
    with Store(here.store.name) as store, pytest.raises(DataError, match="does not hold what was sent"):
        erase_person(store, ada.person.id)
    with Store(here.store.name) as store:
        assert {entry.judgment.labeler for entry in store.entries()} == {"ada"}


def test_a_name_that_somebody_has_is_no_pseudonym(here):
    ada, ben = here.come("ada"), here.come("ben")
    here.judge(ada, limit=1)
    here.judge(ben, limit=1)
    with pytest.raises(DataError, match="by 'ben' already"), here.store.writing() as connection:
        sign_anew(connection, "ada", "ben")
