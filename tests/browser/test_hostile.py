"""Texts of models and people do nothing: no script of theirs runs, nothing of theirs is asked of another server."""

import re
from html import escape
from uuid import uuid4

from payloads import AWAY, HIT, payloads
from sites import MARK, group, messages

from preferably.labeling.markdown import TAGS, rendered

ALL = payloads()
NOT_OURS = (
    "iframe, object, embed, base, form[action^=http], meta[http-equiv], [onerror], [onload], [onfocus], [ontoggle], "
    "[style], svg [onbegin], a[href^=javascript], a[href^=http], img, video, audio, .text :is(script, style, link)"
)


def harmless(page):
    """Nothing of the payloads became an element, and none ran."""
    assert page.evaluate("window.hit") is None
    assert page.locator(NOT_OURS).count() == 0
    assert page.locator("script:not([src^='/static/'])").count() == 0


def test_there_are_two_hundred_and_they_bite_where_nothing_holds_them(chromium):
    assert len(set(ALL)) == len(ALL) == 200
    context = chromium.new_context()
    bit = set()
    context.route("**/*", lambda route: (bit.update(re.findall(rf"^{AWAY}/(\d+)", route.request.url)), route.abort()))
    page = context.new_page()
    page.on("console", lambda message: bit.update(re.findall(r"^ran (\d+)", message.text)))
    frames = ""
    for number, payload in enumerate(ALL[:40]):
        loud = payload.replace(f"parent.{HIT}", HIT).replace(HIT, f"console.log(`ran {number}`)")
        frames += f'<iframe srcdoc="{escape(loud.replace(AWAY, f"{AWAY}/{number}"))}"></iframe>'
    page.set_content(f"<!doctype html><title>x</title>{frames}", wait_until="commit")
    page.wait_for_timeout(1500)
    context.close()
    assert len(bit) >= 30


def test_none_of_two_hundred_does_anything_in_prompts_and_completions(site, visitor):
    here = site()
    tasks = []
    for at in range(0, 200, 10):
        some = ALL[at : at + 10]
        talk = messages(("system", some[0]), ("user", some[1]), ("assistant", some[2]), ("user", some[3]))
        tasks.append(
            ("pair" if at % 20 else "ranking", group(talk, *(["\n\n".join(some[4:7]), "\n\n".join(some[7:])])))
        )
    here.put(*tasks)
    page = visitor(here, "ada").page()
    seen = ""
    for number in range(20):
        page.locator("#task[data-ready]").wait_for()
        page.keyboard.press("d" if number % 2 else "m")
        harmless(page)
        seen += page.locator("#main").inner_text()
        turn = page.locator("#task").get_attribute("data-turn")
        page.keyboard.press("s")
        if number < 19:
            page.locator(f"#task:not([data-turn='{turn}'])").wait_for()
    page.get_by_text("All done").wait_for()
    assert seen.count(HIT) >= 200  # they were there to be read, as text


def test_none_does_anything_as_what_people_wrote(site, visitor):
    """Rationales, edits, names, groups and all that a project's file says."""
    short = [one for one in ALL if len(one) <= 60 and "\n" not in one]
    project = {
        "title": ALL[0][:120],
        "version": ALL[3][:64],
        "guidelines": "\n\n".join(ALL),
        "flags": ALL[40:60],
        "strengths": ALL[:3],
        "rubric": [
            {"name": short[at][:60], "question": ALL[at], "worst": ALL[at + 1], "best": ALL[at + 2]} for at in range(5)
        ],
        "examples": [
            {"prompt": ALL[at], "completions": ALL[at + 1 : at + 3], "chosen": 0, "why": ALL[at + 3]}
            for at in range(0, 40, 4)
        ],
        "demographics": [{"ask": one, "choices": ALL[60:70]} for one in ALL[70:75]],
        "gold": {"share": 1.0},
    }
    here = site(project)
    here.put(("pair", group("q", "left", "right")), gold={"expected": {"choice": 0}, "why": ALL[5]})
    here.put(*[("thumbs", group(one, "x")) for one in ALL[:20]], ("rating", group("q", "x")), batch="c")
    person, token = here.person(short[1][:60], labeler_group=short[2][:60])
    visit = visitor(here, token=token)
    page = visit.page()
    page.keyboard.press("1")
    page.locator("#rationale").fill("\n".join(ALL))
    page.keyboard.press("Control+Enter")
    page.locator("#gold").get_by_text("known answer").wait_for()
    assert HIT in page.locator("#gold-why").inner_text()
    harmless(page)
    while (turn := here.queue.next(person)) is not None:
        said = {"id": str(uuid4()), "rationale": "\n".join(ALL), "flags": ALL[40:60]}
        kind = turn.asked.kind
        scores = {axis.name: [1] for axis in here.project.rubric}
        here.queue.answer(
            person, turn.asked.turn, said | ({"thumbs": [True]} if kind == "thumbs" else {"scores": scores})
        )
    turns = [row.turn for row in _history(here, person)]
    for path in (
        "/mine",
        "/mine?page=2",
        "/me",
        "/guidelines",
        f"/turns/{turns[0]}",
        f"/turns/{turns[-1]}",
        "/welcome",
        "/welcome?step=2",
        "/welcome?step=12",
    ):
        page.goto(here.url + path)
        page.wait_for_load_state()
        harmless(page)
        assert HIT in page.content()
    page.keyboard.press("g")
    harmless(page)


def test_none_does_anything_in_an_edit(site, visitor):
    here = site()
    here.put(("edit", group("q", "\n".join(ALL[100:]))))
    page = visitor(here, "ada").page()
    page.locator("#text").fill("\n".join(ALL))
    page.locator("#changes ins").first.wait_for()
    harmless(page)
    page.keyboard.press("Control+Enter")
    page.get_by_text("All done").wait_for()
    page.goto(here.url + "/mine")
    page.locator(".entry").click()
    page.locator("#task[data-ready]").wait_for()
    harmless(page)
    assert page.locator("#text").input_value() == "\n".join(ALL)


def test_none_does_anything_at_the_door(site, visitor):
    here = site()
    page = visitor(here).page("/login")
    for payload in ALL[:8]:
        page.get_by_label("Name").fill(payload)
        page.get_by_label("Password").fill("wrong password")
        with page.expect_navigation():  # the page before has an alert too
            page.get_by_role("button", name="Log in").click()
        page.get_by_role("alert").wait_for()
        harmless(page)
    page.goto(f"{here.url}/join#{ALL[3]}")
    page.get_by_role("alert").get_by_text("not good").wait_for()
    harmless(page)


def test_none_is_more_than_text_in_what_is_rendered():
    made = "".join(str(rendered(payload)).lower() for payload in ALL)
    assert set(re.findall(r"</?([^\s/>]+)", made)) <= TAGS


def test_no_answer_of_the_server_tells_a_model(site, visitor):
    """`visitor` looks for the mark in every body and header; this walks where completions are shown."""
    here = site({"rubric": [{"name": "clear"}], "gold": {"share": 0.5}})
    kinds = ("pair", "ranking", "rating", "thumbs", "edit")
    here.put(*[(kind, group(f"q {kind}", "one", "two")) for kind in kinds])
    here.put(("pair", group("gold", "one", "two")), batch="g", gold={"expected": {"choice": 0}, "why": ""})
    visit = visitor(here, "ada")
    page = visit.page()
    for _ in range(6):
        if page.locator("#task").count() == 0:
            break
        page.locator("#task[data-ready]").wait_for()
        kind = page.locator("#task").get_attribute("data-kind")
        turn = page.locator("#task").get_attribute("data-turn")
        page.keyboard.type({"pair": "1", "ranking": "a1b2", "rating": "55", "thumbs": "yn", "edit": ""}[kind])
        if kind == "edit":
            page.locator("#text").fill("three")
        page.keyboard.press("Control+Enter")
        page.locator(f"#gold:visible, main:not(:has([data-turn='{turn}']))").first.wait_for()
        page.goto(here.url + "/task")
    page.goto(here.url + "/mine")
    for entry in page.locator(".entry").all():
        assert MARK not in visit.context.request.get(here.url + entry.get_attribute("href")).text()


def _history(here, person):
    from preferably.labeling.history import History

    history = History(here.store, here.project, person, here.desk.clock)
    return history.page(1) + history.page(2)
