"""The pages of leads and admins, over HTTP: who may what, and that what is done there counts at once."""

import re

import pytest
from sqlalchemy import select
from starlette.routing import Route

from preferably.feedback.store.labeling_tables import invitations, people, tasks, turns
from preferably.feedback.views import pairs
from preferably.labeling.admin.routes import ROUTES
from preferably.labeling.demographics import Demographics

ADMIN_ALONE = re.compile(r"/admin/people/(invite|links|1/(link|role|state|forget|erase))$|/admin/invitations")


def addresses():
    """(method, address) of every route, with something where it has a parameter."""
    for route in ROUTES:
        assert isinstance(route, Route)
        for method in sorted(route.methods - {"HEAD"}):
            yield method, re.sub(r"\{\w+(:\w+)?\}", "1", route.path)


def test_a_labeler_gets_nowhere_and_a_lead_not_to_what_is_for_admins(site):
    here = site()
    here.ask(1)
    ada, lee, mia, nobody = here.come("ada"), here.come("lee", "lead"), here.come("mia", "admin"), here.come("noa")
    nobody.client.cookies.clear()
    for method, address in addresses():

        def go(visitor):
            return (visitor.get(address) if method == "GET" else visitor.send(address)).status_code  # noqa: B023

        before = dump(here)
        assert go(ada) == 403, address
        assert go(nobody) == (303 if method == "GET" else 401), address
        if ADMIN_ALONE.match(address):
            assert go(lee) == 403, address
        assert dump(here) == before
        if method == "GET" and not ADMIN_ALONE.match(address):
            assert go(lee) == (404 if address == "/admin/people/1" else 200), address
        if method == "GET" and not address.endswith("/1"):
            assert go(mia) in (200, 303), address


def test_nothing_is_done_without_the_token_of_the_form(site):
    here = site()
    here.ask(1)
    mia, noa = here.come("mia", "admin"), here.come("noa", "admin")
    fields = {"role": "labeler", "group": "", "count": "1", "batch": "b", "do": "close", "state": "out", "name": "mia"}
    assert any(address.endswith("/group") for _, address in addresses())
    before = dump(here)
    for address in (address for method, address in addresses() if method == "POST"):
        for token in ({}, {"token": ""}, {"token": noa.token}, {"token": "x" * 64}):
            assert mia.client.post(address, data=fields | token).status_code == 403, address
    assert dump(here) == before


def dump(here):
    """What the pages could change."""
    with here.store.snapshot() as connection:
        return [connection.execute(select(table)).all() for table in (people, tasks, turns, invitations)]


def test_an_invitation_is_shown_once_lets_one_in_and_can_be_taken_back(site):
    here = site()
    mia = here.come("mia", "admin")
    sent = mia.send("/admin/people/invite", role="labeler", group=" careful ", count="2")
    assert (sent.status_code, sent.headers["location"]) == (303, "/admin/people/links")
    codes = set(re.findall(r"http://127\.0\.0\.1/join#([\w-]+)", mia.get("/admin/people/links").text))
    assert len(codes) == 2
    again = mia.get("/admin/people/links")
    assert again.status_code == 303
    page = mia.get("/admin/people").text
    assert not any(code in page for code in codes) and page.count("Take back</button>") == 2
    code, other = codes
    person, _ = here.people.accept(code, "ada")
    assert (person.role, person.labeler_group) == ("labeler", "careful")
    (left,) = here.people.open_invitations()
    assert mia.send(f"/admin/invitations/{left['id']}/revoke").status_code == 303
    with pytest.raises(Exception, match="not good"):
        here.people.accept(other, "ben")
    assert "There are none" in mia.get("/admin/people").text


@pytest.mark.parametrize(
    "fields",
    [{"role": "king"}, {"count": "0"}, {"count": "101"}, {"count": "-1"}, {"count": "x"}, {"group": "adjudication"},
     {"group": "g" * 61}],
)  # fmt: skip
def test_an_invitation_that_cannot_be_is_refused(site, fields):
    here = site()
    mia = here.come("mia", "admin")
    sent = {"role": "labeler", "group": "", "count": "1"} | fields
    assert mia.send("/admin/people/invite", **sent).status_code == 400
    assert here.people.open_invitations() == []


def test_links_behind_https_say_so_and_nobody_else_sees_them(site):
    here = site()
    object.__setattr__(here.desk, "https", True)
    mia, noa = here.come("mia", "admin"), here.come("noa", "admin")
    for one in (mia, noa):
        one.client.cookies.set("__Host-preferably", one.client.cookies["preferably"])
    mia.send("/admin/people/invite", role="lead", group="", count="1")
    assert noa.get("/admin/people/links").status_code == 303
    assert "https://127.0.0.1/join#" in mia.get("/admin/people/links").text


def test_a_role_counts_from_the_next_request_on(site):
    here = site()
    mia, ada = here.come("mia", "admin"), here.come("ada")
    address = f"/admin/people/{ada.person.id}"
    assert ada.get("/admin").status_code == 403
    for role, *codes in (("lead", 200, 403), ("admin", 200, 303), ("labeler", 403, 403)):
        assert mia.send(f"{address}/role", role=role).headers["location"] == address
        assert [ada.get(page).status_code for page in ("/admin", "/admin/people/links")] == codes
    assert mia.send(f"{address}/role", role="king").status_code == 400
    assert mia.send("/admin/people/nobody/role", role="lead").status_code == 404


def test_the_last_admin_stays_one(site):
    here = site()
    mia = here.come("mia", "admin")
    address = f"/admin/people/{mia.person.id}"
    for name, fields in (("role", {"role": "labeler"}), ("state", {"state": "out"})):
        refused = mia.send(f"{address}/{name}", **fields)
        assert refused.status_code == 403 and "only admin" in refused.text
    assert mia.get("/admin/people").status_code == 200
    here.come("noa", "admin")
    assert mia.send(f"{address}/role", role="lead").status_code == 303
    assert mia.get("/admin/people/links").status_code == 403


def test_whoever_is_shut_out_is_out_at_once_and_can_come_back_by_a_link(site):
    here = site()
    mia, ada = here.come("mia", "admin"), here.come("ada")
    address = f"/admin/people/{ada.person.id}"
    mia.send(f"{address}/state", state="out")
    assert ada.get("/task").headers["location"] == "/login"
    assert mia.send(f"{address}/link").status_code == 403
    mia.send(f"{address}/state", state="in")
    mia.send(f"{address}/link")
    page = mia.get("/admin/people/links").text
    assert "A way back in for ada" in page
    person, _ = here.people.accept(re.search(r"/join#([\w-]+)", page)[1])
    assert person.id == ada.person.id


def test_a_lead_gives_a_labeler_another_group_and_judgments_keep_theirs(site):
    here = site(gold={"share": 0.0})
    here.ask(1, 2)
    lee, mia, ada = here.come("lee", "lead"), here.come("mia", "admin"), here.come("ada", group="hasty")
    address = f"/admin/people/{ada.person.id}"
    here.judge(ada, limit=1)
    page = lee.get(address).text
    assert "Give the group" in page and "Give the role" not in page and "Make a new link" not in page
    assert lee.send(f"{address}/group", group=" very  careful ").headers["location"] == address
    ada = here.people.named(ada.person.id)
    assert ada.labeler_group == "very careful" and "in the group very careful" in lee.get(address).text
    turn = here.queue.next(ada)
    here.queue.answer(ada, turn.asked.turn, {"id": "e" * 32, "choice": "tie", "seconds": 1.0})
    assert [one.judgment.labeler_group for one in here.said()] == ["hasty", "very careful"]
    for group in ("adjudication", "g" * 61):
        assert lee.send(f"{address}/group", group=group).status_code == 400
    assert lee.send("/admin/people/nobody/group", group="").status_code == 404
    own = f"/admin/people/{lee.person.id}/group"
    assert lee.send(own, group="hasty").status_code == 403 and mia.send(own, group="hasty").status_code == 303
    assert "Give the group" not in lee.get(f"/admin/people/{mia.person.id}").text
    assert here.people.named(lee.person.id).labeler_group == "hasty"


def test_a_lead_gives_new_tries_to_whoever_failed_which_stays_on_record(site):
    item = {"prompt": "p", "completions": ["good", "bad"], "chosen": "tie"}
    here = site(qualification={"items": [item], "tries": 1})
    lee, ada = here.come("lee", "lead"), here.come("ada")
    address = f"/admin/people/{ada.person.id}"
    assert lee.send(f"{address}/requalify").status_code == 403  # who has not failed
    ada.send("/qualify", **{"verdict-0": "both_bad"})
    assert "not qualified" in lee.get("/admin/people").text and "Thank you for trying" in ada.get("/qualify").text
    assert "Give new tries" in lee.get(address).text
    assert lee.send(f"{address}/requalify").headers["location"] == address
    page = " ".join(re.sub(r"<[^>]+>", " ", lee.get(address).text).split())
    assert "0 of 1 right at the last of 1 try, not passed; new tries given by lee" in page
    assert "Give new tries" not in page and "A short round first" in ada.get("/qualify").text
    ada.send("/qualify", **{"verdict-0": "tie"})
    assert "You are in" in ada.get("/qualify").text
    (reset,) = here.people.named(ada.person.id).qualification["resets"]
    assert (reset["by"], reset["was"]["right"], reset["was"]["passed"]) == (lee.person.id, 0, False)
    assert lee.send(f"{address}/requalify").status_code == 403  # who has passed


def test_the_people_page_tells_what_was_planted_and_narrows_it(site):
    here = site(gold={"share": 0.0})
    here.ask(1, 2, overlap=3)
    mia = here.come("mia", "admin")
    for name, group, said in (("ada", "careful", 0), ("ben", "hasty", 0), ("chloe", "hasty", 1)):
        here.judge(here.come(name, group=group), choose=lambda number, said=said: said)
    text = mia.get("/admin/people").text
    rows = {re.search(r">(\w+)</a>", row)[1]: re.sub(r"<[^>]+>|\s+", " ", row) for row in text.split("<tr>")[2:6]}
    assert set(rows) == {"mia", "ada", "ben", "chloe"}
    # ada and ben meet each other twice and chloe twice: 2 of 4 alike; chloe none of 4
    assert re.search(r"careful 2 10 50%", " ".join(rows["ada"].split()))
    assert re.search(r"hasty 2 10 0%", " ".join(rows["chloe"].split()))
    assert (
        ">chloe<" in mia.get("/admin/people?group=hasty").text
        and ">ada<" not in mia.get("/admin/people?group=hasty").text  # bare it can stand in a number of somebody's
    )
    falling = mia.get("/admin/people?sort=-name").text
    order = re.findall(r'href="/admin/people/\w+">(\w+)</a>', falling)
    assert order == ["mia", "chloe", "ben", "ada"]


def test_the_overview_adds_up(site):
    here = site(gold={"share": 0.0}, pay={"per_judgment": 0.5, "currency": "EUR"}, quotas={"hasty": 1})
    here.ask(1, 2, 3, 4, overlap=2)
    ada, ben, lee = here.come("ada"), here.come("ben", group="hasty"), here.come("lee", "lead")
    here.judge(ada)
    here.judge(ben)
    text = " ".join(re.sub(r"<[^>]+>", " ", lee.get("/admin").text).split())
    assert "Answers 5 of 8" in text and "Tasks done 1 of 4" in text
    assert "Agreement 100%" in text and "Speed 10 seconds median of 5 answers" in text
    assert "Cost so far 2.50 EUR for 5 answers" in text and "Cost to come 1.50 EUR for 3 answers" in text
    assert "hasty has given all that is wanted of this group (1)" in text
    assert "not sure yet: it takes 3 whole days" in text


def test_what_differs_is_settled_and_decides(anywhere):
    here = anywhere()
    here.ask(1, 2, overlap=3)
    for name, said in (("ada", 0), ("ben", 0), ("chloe", 1)):
        here.judge(
            here.come(name), choose=lambda number, said=said: said if number == 1 else 0, rationale=f"says {name}"
        )
    lee = here.come("lee", "lead")
    text = lee.get("/admin/disagreements").text
    assert "question 1" in text and "question 2" not in text and "says chloe" in text and "67% unlike" in text
    (number,) = re.findall(r"/admin/tasks/(\d+)/settle", text)
    sent = lee.send(f"/admin/tasks/{number}/settle")
    turn = re.fullmatch(r"/turns/(\w+)", sent.headers["location"])[1]
    assert lee.send(f"/admin/tasks/{number}/settle").headers["location"].endswith(turn)
    asked = here.queue.turn(lee.person, turn).asked
    loser = [asked.group.completions[place].text for place in asked.shown].index("answer b to 1")
    assert lee.answer(turn, choice=loser, strength=1).status_code == 200
    chosen = {one.prompt_text: one.completions[0].text for one in pairs(here.store.judged())}
    assert chosen == {"question 1": "answer b to 1", "question 2": "answer a to 2"}
    assert "Nothing to settle" in lee.get("/admin/disagreements").text
    settled = lee.get("/admin/disagreements?state=settled").text
    assert "settled by lee" in settled and "question 1" in settled


def test_nobody_settles_what_they_answered_or_what_there_is_not(site):
    here = site()
    here.ask(1, overlap=2)
    lee, ada = here.come("lee", "lead"), here.come("ada")
    here.judge(lee)
    here.judge(ada, choose=lambda number: 1)
    assert "somebody else must settle it" in lee.get("/admin/disagreements").text
    assert lee.send("/admin/tasks/1/settle").status_code == 409
    for number, status in (("99", 404), ("x", 400), ("9" * 30, 400), ("-1", 400)):
        assert lee.send(f"/admin/tasks/{number}/settle").status_code == status
        assert lee.get(f"/admin/tasks/{number}").status_code == status


def test_what_only_one_person_flagged_waits_too(site):
    here = site()
    here.ask(1, 2)
    here.judge(here.come("ada"), limit=1, flags=["personal data"])
    text = here.come("lee", "lead").get("/admin/disagreements").text
    assert "question 1" in text and "personal data" in text and "question 2" not in text


def test_gold_is_nothing_to_settle_but_a_question_that_people_miss_is_told(site):
    here = site(gold={"share": 0.0})
    here.ask(1, overlap=2)
    here.ask(2, batch="gold", gold={"expected": {"choice": 0}, "why": ""})
    ada, ben = here.come("ada"), here.come("ben")
    here.judge(ada, flags=["harmful"])
    here.judge(ben, choose=lambda number: 1)
    golden = here.project.gold.model_copy(update={"share": 1.0})
    here.queue.project = here.project.model_copy(update={"gold": golden})
    assert here.judge(ada, flags=["harmful"]) == here.judge(ben, choose=lambda number: 1) == [2]
    lee = here.come("lee", "lead")
    text = " ".join(re.sub(r"<[^>]+>", " ", lee.get("/admin/disagreements").text).split())
    assert "question 1" in text and "question 2" not in text and "Open 1" in text
    assert "as the answer is known: 1 question of gold" in text
    assert re.search(r"question 2.{0,80}known answer", " ".join(lee.get("/admin/agreement").text.split()))


def test_tasks_are_narrowed_and_batches_changed(anywhere):
    here = anywhere()
    here.ask(1, 2, batch="one")
    here.ask(3, batch="two & more")
    here.judge(here.come("ada"), limit=1)
    lee = here.come("lee", "lead")

    def prompts(query=""):
        return re.findall(r"question \d", lee.get(f"/admin/tasks{query}").text)

    assert prompts() == ["question 1", "question 2", "question 3"]
    assert prompts("?state=done") == ["question 1"] and prompts("?batch=two+%26+more") == ["question 3"]
    assert prompts("?sort=-number&state=open") == ["question 3", "question 2"]
    assert lee.send("/admin/batches", batch="one", do="close").headers["location"] == "/admin/tasks"
    assert prompts("?state=closed") == ["question 2"] and prompts("?state=open") == ["question 3"]
    lee.send("/admin/batches", batch="one", do="overlap", overlap="2")
    lee.send("/admin/batches", batch="one", do="reopen")
    lee.send("/admin/batches", batch="two & more", do="priority", priority="1.5")
    assert here.judge(here.come("ben")) == [3, 1, 2]
    for fields in ({"do": "drop"}, {"do": "overlap", "overlap": "x"}, {"do": "priority", "priority": "nan"}, {}):
        assert lee.send("/admin/batches", batch="one", **fields).status_code == 400
    assert lee.send("/admin/batches", batch="three", do="close").status_code == 400


def test_model_names_are_told_to_nobody(site):
    from preferably.feedback.records import Completion, Group, Message, Origin
    from preferably.labeling.queue import Task

    here = site()
    texts = [Completion((Message("assistant", f"text {name}"),), Origin(f"model-{name}")) for name in "xy"]
    here.queue.add([Task(Group((Message("user", "question 1"),), tuple(texts)), overlap=2)], "b")
    for name, choice in (("ada", 0), ("ben", 1)):
        visitor = here.come(name, group=name)
        turn = here.queue.next(visitor.person).asked
        visitor.answer(turn.turn, choice=turn.shown.index(choice), strength=1)
    mia = here.come("mia", "admin")
    for address in ("", "/agreement", "/disagreements", "/tasks", "/tasks/1", "/train", "/people"):
        got = mia.get(f"/admin{address}")
        assert got.status_code == 200 and "model-" not in got.text


def test_texts_of_people_and_models_are_shown_as_text(site):
    here = site()
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    here.ask(1, 2, batch=evil, overlap=2)
    here.judge(here.come("<b>ada</b>", group="<i>careful</i>"), rationale=evil)
    here.judge(here.come("ben", group="hasty"), choose=lambda number: 1)
    mia = here.come("mia", "admin")
    for address in ("", "/agreement", "/disagreements", "/tasks", "/tasks/1", "/train", "/people"):
        text = mia.get(f"/admin{address}").text
        assert not re.search(r"<script>alert|<img src=x|<b>ada|<i>careful", text), address


def test_what_somebody_said_of_themselves_is_erased_and_the_page_does_not_tell_if_they_did(site):
    here = site(demographics=[{"ask": "Where do you live?", "choices": ["north", "south"]}])
    mia, ada, ben = here.come("mia", "admin"), here.come("ada"), here.come("ben")
    told = Demographics(here.store, here.project)
    told.keep(ada.person.id, {"Where do you live?": "north"})
    pages = []
    for one in (ada, ben):
        sent = mia.send(f"/admin/people/{one.person.id}/forget")
        page = mia.get(sent.headers["location"]).text
        pages.append(
            re.sub(r"\d{4}-[\d:.T+-]+", "", page.replace(one.person.id, "ID").replace(one.person.name, "NAME"))
        )
    assert told.of(ada.person.id) == {}
    assert re.sub(r"\s+", " ", pages[0]) == re.sub(r"\s+", " ", pages[1])
