"""The pages of leads and admins in a real browser: nothing sticks out on a phone, everything has a name, all works."""

from uuid import uuid4

import pytest
from sites import group

PAGES = ("", "/agreement", "/disagreements", "/disagreements?state=settled", "/tasks?batch=b", "/tasks/1", "/train",
         "/people", "/demographics")  # fmt: skip
LONG = "a" * 200 + " " + "word " * 60
UNNAMED = """() => [...document.querySelectorAll('button, a[href], input:not([type=hidden]), select, nav, svg')]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.getAttribute('aria-label') || one.labels?.length || one.innerText?.trim()
    || document.getElementById(one.getAttribute('aria-labelledby'))?.innerText))
  .map((one) => one.outerHTML.slice(0, 120))"""


@pytest.fixture
def judged(site):
    """A site in which three people with long names disagree."""
    here = site({"title": LONG[:110], "overlap": 3, "pay": {"per_judgment": 1}, "quotas": {"g" * 60: 1},
                 "demographics": [{"ask": "Where?", "choices": ["north", "south"]}]})  # fmt: skip
    here.put(("pair", group(LONG, f"left {LONG}", "right")), ("pair", group("short", "left", "right")), overlap=3)
    for number, name in enumerate(("ada " + "x" * 50, "ben", "chloe")):
        person, _ = here.person(name, labeler_group="g" * 60 if number else "careful")
        while (turn := here.queue.next(person)) is not None:
            place = turn.asked.shown.index(min(number, 1))
            said = {"id": str(uuid4()), "choice": place, "strength": 1, "seconds": 9.0, "rationale": LONG}
            here.queue.answer(person, turn.asked.turn, said)
    return here


@pytest.mark.parametrize("width, scheme", [(390, "dark"), (1280, "light")])
def test_every_page_fits_and_names_what_it_has(judged, visitor, width, scheme):
    _, token = judged.person("mia", "admin")
    tab = visitor(judged, token=token, color_scheme=scheme).page("/admin")
    tab.set_viewport_size({"width": width, "height": 844})
    for page in PAGES:
        tab.goto(f"{judged.url}/admin{page}")
        wider = tab.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth")
        assert wider <= 0, (page, wider)
        assert tab.evaluate(UNNAMED) == [], page
        assert tab.locator("h1").count() == 1 and tab.locator(".tabs [aria-current]").count() == 1, page


def test_an_admin_invites_settles_and_copies_a_command(judged, visitor):
    _, token = judged.person("mia", "admin")
    mia = visitor(judged, token=token, permissions=["clipboard-read", "clipboard-write"])
    tab = mia.page("/admin/people")
    tab.get_by_label("Group (may be empty)").fill("careful")
    tab.get_by_role("button", name="Make links").press("Enter")
    link = tab.locator("pre").inner_text()
    tab.get_by_role("button", name="Copy").click()
    tab.get_by_role("button", name="Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()") == link
    guest = visitor(judged).page(link.removeprefix(judged.url))
    guest.get_by_label("name").first.fill("dev")
    guest.keyboard.press("Enter")
    guest.wait_for_url("**/welcome*")
    assert next(one for one in judged.people.all() if one.name == "dev").labeler_group == "careful"
    tab.goto(f"{judged.url}/admin/disagreements")
    tab.get_by_role("button", name="Settle it").first.press("Enter")
    tab.locator("#task[data-ready]").wait_for()
    tab.keyboard.press("t")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/admin/disagreements")
    said = judged.said()[-1].judgment
    assert (said.choice, said.labeler, said.labeler_group) == ("tie", "mia", "adjudication")
