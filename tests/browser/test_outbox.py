"""Whatever becomes of the network, the tab or the session: no answer is lost, and none is told saved before it is."""

import json

import pytest
from sites import group, running

WAITS = "waits in this browser"


def answer(page, key="1"):
    page.keyboard.press(key)
    page.keyboard.press("Enter")


def outbox(page):
    return page.locator("#outbox")


def waits(page, count=1):
    text = "1 answer waits" if count == 1 else f"{count} answers wait"
    outbox(page).get_by_text(text).wait_for()
    assert "Saved" not in outbox(page).inner_text()


def test_offline_an_answer_waits_outlives_its_tab_and_is_sent_when_the_network_is_back(site, visitor):
    here = site()
    here.put(("pair", group("q1", "left", "right")), ("pair", group("q2", "one", "two")))
    visit = visitor(here, "ada")
    page = visit.page()
    visit.context.set_offline(True)
    answer(page)
    waits(page)
    answer(page, "t")  # nothing can be answered twice meanwhile
    page.close()
    assert not here.said()
    visit.context.set_offline(False)
    page = visit.page("/guidelines")  # whatever page it is
    outbox(page).get_by_text("The answer that waited is saved.").wait_for()
    (entry,) = here.said()
    assert entry.judgment.strength == 3
    page.goto(here.url + "/task")
    page.locator(".prompt p", has_text="q2").wait_for()


def test_back_online_it_is_sent_by_itself_and_the_next_task_comes(site, visitor):
    here = site()
    here.put(("pair", group("q1", "left", "right")), ("pair", group("q2", "one", "two")))
    visit = visitor(here, "ada")
    page = visit.page()
    visit.context.set_offline(True)
    answer(page)
    waits(page)
    visit.context.set_offline(False)
    page.locator(".prompt p", has_text="q2").wait_for()
    assert len(here.said()) == 1


def test_a_page_of_a_task_whose_answer_waits_sends_it_first(site, visitor):
    here = site()
    here.put(("pair", group("q1", "left", "right")), ("pair", group("q2", "one", "two")))
    visit = visitor(here, "ada")
    page = visit.page()
    page.route("**/answers/*", lambda route: route.abort())
    answer(page)
    waits(page)
    page.close()
    page = visit.page()
    page.locator(".prompt p", has_text="q2").wait_for()
    assert len(here.said()) == 1


def test_a_server_that_goes_away_and_comes_back_gets_everything(visitor, tmp_path):
    with running(tmp_path) as here:
        here.put(("pair", group("q1", "left", "right")))
        visit = visitor(here, "ada")
        page = visit.page()
        port = here.port
    answer(page)
    waits(page)
    with running(tmp_path, port=port) as here:
        outbox(page).get_by_role("button", name="Try now").click()
        page.get_by_text("All done").wait_for()
        assert len(here.said()) == 1


def test_saved_is_not_said_before_the_server_has_said_so(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    visit = visitor(here, "ada")
    page = visit.page()
    held = []
    page.route("**/answers/*", lambda route: held.append(route))
    answer(page)
    outbox(page).get_by_text("Saving").wait_for()
    while not held:
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)
    assert outbox(page).inner_text() == "Saving…" and not here.said()
    held[0].continue_()
    outbox(page).get_by_text("Saved").wait_for()
    assert len(here.said()) == 1


@pytest.mark.parametrize(
    "status, body",
    [
        (200, "<html>Welcome to the hotel's network</html>"), (200, json.dumps({"saved": "another"})),
        (200, ""), (500, "oops"), (502, "<html>"), (404, "<html>no such page</html>"), (401, "<html>log in</html>"),
    ],
)  # fmt: skip
def test_what_is_not_the_apps_own_receipt_saves_nothing(site, visitor, status, body):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    page = visitor(here, "ada").page()
    page.route("**/answers/*", lambda route: route.fulfill(status=status, body=body))
    answer(page)
    waits(page)
    page.unroute("**/answers/*")
    outbox(page).get_by_role("button", name="Try now").click()
    page.get_by_text("All done").wait_for()
    assert len(here.said()) == 1


def test_a_receipt_that_is_lost_on_the_way_makes_no_second_judgment(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    page = visitor(here, "ada").page()

    def loses(route):
        route.fetch()  # the server has it
        route.abort()

    page.route("**/answers/*", loses, times=1)
    answer(page)
    page.get_by_text("All done").wait_for()
    assert len(here.said()) == 1


def test_a_busy_server_is_left_alone_for_as_long_as_it_wants(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    page = visitor(here, "ada").page()
    busy = {"status": 503, "headers": {"Retry-After": "600"}, "body": json.dumps({"error": "busy"})}
    calls = []
    page.route("**/answers/*", lambda route: (calls.append(1), route.fulfill(**busy)))
    answer(page)
    waits(page)
    page.wait_for_timeout(2500)  # longer than the first pause of its own
    assert len(calls) == 1


def test_enter_twice_is_one_answer(site, visitor):
    here = site()
    here.put(("pair", group("q1", "left", "right")), ("pair", group("q2", "one", "two")))
    page = visitor(here, "ada").page()
    page.keyboard.press("1")
    page.evaluate(
        "() => { for (let n = 0; n < 5; n += 1) document.body.dispatchEvent("
        "new KeyboardEvent('keydown', {key: 'Enter', bubbles: true, cancelable: true})) }"
    )
    page.locator(".prompt p", has_text="q2").wait_for()
    assert len(here.said()) == 1


def test_two_tabs_the_second_answer_is_shown_and_not_dropped(site, visitor):
    here = site()
    here.put(("pair", group("q1", "left", "right")), ("pair", group("q2", "one", "two")))
    visit = visitor(here, "ada")
    first, second = visit.page(), visit.page()
    answer(first, "1")
    first.locator(".prompt p", has_text="q2").wait_for()
    answer(second, "7")
    second.locator(".prompt p", has_text="q2").wait_for()
    second.locator("#refused", has_text="answered already").wait_for()
    assert len(here.said()) == 1
    second.get_by_role("button", name="Send it as a change").click()
    second.locator("#refused").wait_for(state="hidden")
    before, after = here.said()
    assert after.supersedes == before.id and after.judgment.choice == 1 - before.judgment.choice


def test_the_button_back_shows_no_task_that_was_answered(site, visitor):
    here = site()
    here.put(("pair", group("q1", "left", "right")), ("pair", group("q2", "one", "two")))
    page = visitor(here, "ada").page()
    answer(page)
    page.locator(".prompt p", has_text="q2").wait_for()
    page.goto(here.url + "/mine")
    page.go_back()
    page.locator(".prompt p", has_text="q2").wait_for()
    assert len(here.said()) == 1


def test_a_session_that_ended_keeps_the_answer_until_the_same_person_is_back(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")), overlap=2)
    visit = visitor(here, "ada")
    page = visit.page()
    here.people.log_out(visit.context.cookies()[0]["value"])
    answer(page)
    outbox(page).get_by_text("Your session is over").wait_for()
    waits(page)
    page.close()

    def come_in(token):
        visit.context.clear_cookies()
        visit.context.add_cookies([{"name": "preferably", "value": token, "url": here.url}])
        return visit.page("/mine")

    _, other = here.person("ben")  # at the same browser
    page = come_in(other)
    assert outbox(page).inner_text() == "" and page.get_by_text("No answers yet").is_visible() and not here.said()
    page.close()
    code = here.people.invite("labeler", person=visit.person.id)
    page = come_in(here.people.accept(code)[1])
    outbox(page).get_by_text("The answer that waited is saved.").wait_for()
    assert [entry.judgment.labeler for entry in here.said()] == ["ada"]


def test_a_form_of_another_session_sends_nothing_in_its_name(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")), overlap=2)
    visit = visitor(here, "ada")
    page = visit.page()
    _, other = here.person("ben")
    visit.context.clear_cookies()
    visit.context.add_cookies([{"name": "preferably", "value": other, "url": here.url}])
    answer(page)
    outbox(page).get_by_text("load the page").first.wait_for()
    assert not here.said()


def test_what_cannot_be_kept_is_shown_until_it_is_thrown_away(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    page = visitor(here, "ada").page()
    page.locator("input[name=verdict]").first.evaluate("one => one.value = '0:9'")
    answer(page)
    page.locator("#refused").get_by_text("strength is 1 to 3").wait_for()
    page.goto(here.url + "/me")
    page.locator("#refused").get_by_text("strength is 1 to 3").wait_for()
    page.get_by_role("button", name="Throw it away").click()
    page.locator("#refused").wait_for(state="hidden")
    assert not here.said()


def test_a_browser_that_keeps_nothing_says_so(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    visit = visitor(here, "ada")
    visit.context.add_init_script("delete IDBFactory.prototype.open; IDBFactory.prototype.open = () => { throw 1 }")
    page = visit.page()
    page.route("**/answers/*", lambda route: route.abort())
    answer(page)
    outbox(page).get_by_text("on this page: leave it open").wait_for()
    page.unroute("**/answers/*")
    outbox(page).get_by_role("button", name="Try now").click()
    page.get_by_text("All done").wait_for()
    assert len(here.said()) == 1


def test_seconds_are_of_somebody_who_looks(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    visit = visitor(here, "ada")
    page = visit.context.new_page()
    page.clock.install()
    page.goto(here.url + "/task")
    page.locator("#task[data-ready]").wait_for()
    page.keyboard.press("1")
    page.clock.run_for(10_000)
    page.keyboard.press("2")
    page.clock.run_for(300_000)  # nobody is there after the first minute of it
    page.evaluate("Object.defineProperty(document, 'visibilityState', {value: 'hidden', configurable: true})")
    page.mouse.move(5, 5)
    page.clock.run_for(40_000)
    page.evaluate("delete document.visibilityState")
    page.keyboard.press("Enter")
    page.get_by_text("All done").wait_for()
    assert 68 <= here.said()[0].seconds <= 72
