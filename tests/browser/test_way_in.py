"""From the invitation to the first task, and out again."""

import pytest
from sites import group

from preferably.labeling.demographics import Demographics

EXAMPLE = {"prompt": "How do I stop?", "completions": ["Tap stop.", "Buy more."], "chosen": 0, "why": "It *answers*."}
ITEMS = [
    {"prompt": f"question {n}", "completions": [f"right {n}", f"wrong {n}"], "chosen": 0, "why": f"because {n}"}
    for n in range(4)
]
QUALIFIES = {"qualification": {"items": ITEMS, "passed": 0.75, "tries": 2}}


def test_an_invitation_leads_over_guidelines_and_examples_to_the_first_task(site, visitor):
    questions = [{"ask": "How old are you?", "choices": ["under 30", "30 or more"]}]
    here = site({"guidelines": "Be *fair*.", "version": "2", "examples": [EXAMPLE], "demographics": questions})
    here.put(("pair", group("q", "left", "right")))
    code = here.people.invite("labeler", "careful")
    visit = visitor(here)
    page = visit.page(f"/join#{code}")
    page.get_by_label("Your name").fill("ada")
    page.get_by_label("Your name").press("Enter")
    page.wait_for_url("**/welcome")
    assert page.locator(".guidelines em").inner_text() == "fair"
    page.get_by_role("button", name="I have read them").click()
    page.get_by_text("Step 2 of 3").wait_for()
    assert "It answers" not in page.content() and "It <em>" not in page.content()
    texts = page.locator(".answer .text").all_inner_texts()
    right = "AB"[texts.index("Tap stop.")]
    page.get_by_role("button", name="Both are bad").click()
    told = page.locator("main .notice")
    assert "Not here." in told.inner_text() and f"{right} is better" in told.inner_text()
    assert told.locator("em").inner_text() == "answers"
    page.locator("main button:focus").wait_for()
    page.keyboard.press("Enter")
    page.get_by_label("How old are you?").select_option("30 or more")
    page.get_by_role("button", name="Begin").click()
    page.wait_for_url("**/task")
    (ada,) = here.people.all()
    assert (ada.name, ada.labeler_group, ada.read) == ("ada", "careful", "2")
    kept = Demographics(here.store, here.project)
    assert kept.of(ada.id) == {"How old are you?": "30 or more"}
    page.goto(here.url + "/me")
    page.get_by_role("button", name="Erase what I said").click()
    page.wait_for_url("**/me#about")
    assert kept.of(ada.id) == {} and page.get_by_role("button", name="Erase what I said").count() == 0


def test_the_code_of_an_invitation_is_in_no_request_line_and_not_in_the_history(site, visitor):
    here = site()
    code = here.people.invite("labeler")
    visit = visitor(here)
    seen = []
    visit.context.on("request", lambda request: seen.append(f"{request.url} {request.headers}"))
    page = visit.page(f"/join#{code}")
    page.get_by_label("Your name").fill("ada")
    page.get_by_role("button", name="Come in").click()
    page.wait_for_url("**/task")
    assert seen and not [one for one in seen if code in one.replace(f"#{code}", "")]
    assert page.evaluate("history.length") <= 2
    page.go_back()
    assert code not in page.url


@pytest.mark.parametrize("which", ["used", "unknown", "none"])
def test_an_invitation_that_is_not_good_says_so(site, visitor, which):
    here = site()
    code = here.people.invite("labeler")
    if which == "used":
        here.people.accept(code, "ben")
    page = visitor(here).page("/join" + {"used": f"#{code}", "unknown": "#abc", "none": ""}[which])
    text = "lacks its last part" if which == "none" else "is not good"
    page.get_by_role("alert").get_by_text(text).wait_for()


def test_a_name_that_is_taken_can_be_changed_before_the_invitation_is_used(site, visitor):
    here = site()
    here.person("ada")
    page = visitor(here).page(f"/join#{here.people.invite('labeler')}")
    page.get_by_label("Your name").fill("ada")
    page.get_by_role("button", name="Come in").click()
    page.get_by_role("alert").get_by_text("called 'ada' already").wait_for()
    page.get_by_label("Your name").fill("ben")
    page.get_by_role("button", name="Come in").click()
    page.get_by_text("Nothing to label yet").wait_for()


def test_a_password_opens_the_door_again_after_logging_out(site, visitor):
    here = site()
    visit = visitor(here, *(), **{"token": here.person("lee", "lead", password="long enough it is")[1]})
    page = visit.page("/me")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.get_by_label("Name").fill("lee")
    page.get_by_label("Password").fill("not this one at all")
    page.get_by_role("button", name="Log in").click()
    assert "do not go together" in page.get_by_role("alert").inner_text()
    page.get_by_label("Password").fill("long enough it is")
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin")


def qualify(page, right):
    """Answer the round, as many of it right as are wanted."""
    page.get_by_role("button", name="Send all 4").wait_for()
    for at, question in enumerate(page.locator(".question").all()):
        texts = question.locator(".answer .text").all_inner_texts()
        good = [text.startswith("right") for text in texts].index(True)
        question.get_by_role("radio", name=f"{'AB'[good if at < right else 1 - good]} is better").check()
    page.get_by_role("button", name="Send all 4").click()


def test_a_round_that_is_passed_opens_the_tasks(site, visitor):
    here = site(QUALIFIES)
    here.put(("pair", group("q", "left", "right")))
    page = visitor(here, "ada").page()
    assert page.url.endswith("/qualify")
    assert "because" not in page.content()
    qualify(page, 3)
    page.get_by_text("3 of 4 right").wait_for()
    page.get_by_role("link", name="Begin").click()
    page.wait_for_url("**/task")
    told = here.people.all()[0].qualification
    assert (told["right"], told["asked"], told["passed"], told["tries"]) == (3, 4, True, 1)


def test_a_round_that_is_failed_may_be_taken_as_often_as_the_project_says(site, visitor):
    here = site(QUALIFIES)
    here.put(("pair", group("q", "left", "right")))
    visit = visitor(here, "ada")
    page = visit.page()
    qualify(page, 2)
    page.get_by_text("Not yet").wait_for()
    stale = visit.page("/qualify?again=yes")
    page.get_by_role("link", name="Try again").click()
    qualify(page, 0)
    page.get_by_text("Thank you for trying").wait_for()
    qualify(stale, 4)  # a form of before: it does not count
    stale.get_by_text("Thank you for trying").wait_for()
    page.goto(here.url + "/task")
    page.get_by_text("Thank you for trying").wait_for()
    told = here.people.all()[0].qualification
    assert (told["right"], told["passed"], told["tries"]) == (0, False, 2)


def test_new_guidelines_are_read_before_the_next_task(site, visitor, tmp_path):
    here = site({"guidelines": "Be fair.", "version": "2"})
    here.put(("pair", group("q", "left", "right")))
    visit = visitor(here, "ada")
    here.people.note(visit.person.id, read="1")
    page = visit.page()
    page.get_by_text("This is version 2; you read version 1.").wait_for()
    page.get_by_role("button", name="I have read them").click()
    page.wait_for_url("**/task")


@pytest.mark.parametrize(
    "project, tasks, says",
    [
        ({}, 0, "Nothing to label yet"),
        ({"quotas": {"": 0}}, 1, "Your group has given what was wanted"),
        ({}, 1, "Others have the last ones"),
    ],
)
def test_where_there_is_nothing_it_says_why(site, visitor, project, tasks, says):
    here = site(project)
    if tasks:
        here.put(("pair", group("q", "left", "right")))
        here.queue.next(here.person("ben")[0])
    page = visitor(here, "ada").page()
    page.get_by_role("heading", name=says).wait_for()


def test_without_scripts_the_page_says_what_is_missing(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    visit = visitor(here, "ada", java_script_enabled=False)
    page = visit.context.new_page()
    page.goto(here.url + "/task")
    assert page.locator("noscript p").is_visible() and not page.locator("#task").is_visible()


def test_the_appearance_is_kept_in_this_browser(site, visitor):
    here = site()
    page = visitor(here, "ada").page("/me")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_label("dark").check()
    dark = page.evaluate(colour)
    page.goto(here.url + "/guidelines")
    assert page.evaluate(colour) == dark != light
