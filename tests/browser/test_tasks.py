"""Every kind of task, by keys alone and by pointer: what is in the store is what was meant."""

import pytest
from sites import group, messages

from preferably.feedback.records import Flag, Label, Preference, Ranking, Rating

RUBRIC = [
    {"name": "clear", "worst": "muddled", "best": "plain"},
    {"name": "kind"},
]


def place_of(entry, text):
    """Where a completion stands in the group of a judgment."""
    return [one.text for one in entry.group.completions].index(text)


def shown(page, text):
    """The place on the page of the answer with a text."""
    return page.locator(".answer .as-read").all_inner_texts().index(text)


def saved(page, count=1):
    page.get_by_role("status").get_by_text("Saved").first.wait_for()
    return page


def test_a_pair_by_keys(site, visitor):
    here = site()
    here.put(("pair", group("q1", "left", "right")), ("pair", group("q2", "one", "two")))
    page = visitor(here, "ada").page()
    at = shown(page, "right")
    page.keyboard.press("ArrowRight" if at else "ArrowLeft")  # slightly
    page.keyboard.press("ArrowRight" if at else "ArrowLeft")  # plainly
    page.keyboard.press("r")
    page.keyboard.type("t2 is no choice here")  # keys mean letters in a field
    page.keyboard.press("Escape")
    page.keyboard.press("f")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    saved(page)
    verdict, flag = here.said()
    assert isinstance(verdict.judgment, Preference)
    assert verdict.judgment.choice == place_of(verdict, "right") and verdict.judgment.strength == 2
    assert verdict.rationale == "t2 is no choice here" and verdict.seconds > 0
    assert flag.judgment == Flag("ambiguous prompt", labeler="ada")
    assert page.get_by_text("q2").first.is_visible()


@pytest.mark.parametrize(
    "key, choice, strength",
    [("1", "A", 3), ("7", "B", 3), ("3", "A", 1), ("4", "tie", None), ("t", "tie", None), ("b", "both_bad", None),
     ("u", "unsure", None)],
)  # fmt: skip
def test_every_choice_of_a_pair_has_a_key(site, visitor, key, choice, strength):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    page = visitor(here, "ada").page()
    texts = page.locator(".answer .as-read").all_inner_texts()
    page.keyboard.press(key)
    page.keyboard.press("Enter")
    saved(page)
    (entry,) = here.said()
    expected = place_of(entry, texts["AB".index(choice)]) if choice in ("A", "B") else choice
    assert (entry.judgment.choice, entry.judgment.strength) == (expected, strength)


def test_a_pair_by_touch_on_a_phone(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    phone = visitor(here, "ada", has_touch=True, is_mobile=True)
    page = phone.page()
    page.set_viewport_size({"width": 390, "height": 844})
    at = shown(page, "left")
    page.locator(".cell").nth(6 if at else 0).tap()
    assert page.locator("#chosen").inner_text() == f"{'AB'[at]} is much better"
    page.get_by_label("harmful").check()
    page.get_by_role("button", name="Send").tap()
    saved(page)
    assert here.said()[0].judgment.choice == place_of(here.said()[0], "left")
    assert [one.judgment.name for one in here.said()[1:]] == ["harmful"]


def test_nothing_is_sent_before_something_is_chosen(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    page = visitor(here, "ada").page()
    page.keyboard.press("Enter")
    assert page.get_by_role("alert").inner_text() == "Choose first: which is better?"
    assert page.evaluate("document.activeElement.name") == "verdict"
    assert not here.said()


def test_a_ranking_by_keys_with_a_tie(site, visitor):
    here = site()
    here.put(("ranking", group("q", "one", "two", "three", "four")))
    page = visitor(here, "ada").page()
    letters = {text: "abcd"[shown(page, text)] for text in ("one", "two", "three", "four")}
    for text, rank in (("one", "2"), ("two", "1"), ("three", "2"), ("four", "4")):
        page.keyboard.press(letters[text])
        page.keyboard.press(rank)
    page.keyboard.press("Enter")
    saved(page)
    (entry,) = here.said()
    assert isinstance(entry.judgment, Ranking)
    ranks = {text: entry.judgment.ranks[place_of(entry, text)] for text in letters}
    assert ranks == {"two": 1, "one": 2, "three": 2, "four": 3}


def test_an_order_is_changed_by_arrows_and_ties(site, visitor):
    here = site()
    here.put(("ranking", group("q", "one", "two", "three")))
    page = visitor(here, "ada").page()
    page.keyboard.type("a1b2c3")
    page.keyboard.press("ArrowLeft")  # C before B
    page.keyboard.type("b=")  # B with C
    texts = page.locator(".answer .as-read").all_inner_texts()
    page.keyboard.press("Enter")
    saved(page)
    (entry,) = here.said()
    assert [entry.judgment.ranks[place_of(entry, text)] for text in texts] == [1, 2, 2]


def test_a_ranking_by_dragging(site, visitor):
    here = site()
    here.put(("ranking", group("q", "one", "two", "three")))
    page = visitor(here, "ada").page()
    texts = page.locator(".answer .as-read").all_inner_texts()

    def middle(selector):
        box = page.locator(selector).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(letter, to):
        page.mouse.move(*middle(f'.piece:text-is("{letter}")'))
        page.mouse.down()
        page.mouse.move(*middle(to), steps=5)
        page.mouse.up()

    drag("B", ".board .between >> nth=0")
    drag("A", ".board .between >> nth=1")  # behind B
    drag("C", '.tier:has(.piece:text-is("A"))')  # with A
    page.get_by_role("button", name="Send").click()
    saved(page)
    (entry,) = here.said()
    assert [entry.judgment.ranks[place_of(entry, text)] for text in texts] == [2, 1, 2]


def test_a_ranking_needs_a_rank_for_each(site, visitor):
    here = site()
    here.put(("ranking", group("q", "one", "two")))
    page = visitor(here, "ada").page()
    page.keyboard.type("a1")
    page.keyboard.press("Enter")
    assert page.get_by_role("alert").inner_text() == "B has no rank yet."
    page.get_by_label("Rank of B").or_(page.locator('input[name="rank-1"]')).first.check(force=True)
    page.get_by_role("button", name="Send").click()
    saved(page)
    assert here.said()[0].judgment.ranks == (1, 1)


def test_ratings_by_number_keys(site, visitor):
    here = site({"rubric": RUBRIC})
    here.put(("rating", group("q", "one", "two")))
    page = visitor(here, "ada").page()
    texts = page.locator(".answer .as-read").all_inner_texts()
    page.keyboard.type("5031")  # clear A, kind A left out, clear B, kind B
    page.keyboard.press("Enter")
    saved(page)
    found = {entry.judgment.axis: entry for entry in here.said()}
    assert all(isinstance(entry.judgment, Rating) for entry in found.values())
    scores = {axis: [e.judgment.scores[place_of(e, text)] for text in texts] for axis, e in found.items()}
    assert scores == {"clear": [5, 3], "kind": [None, 1]}


def test_ratings_by_pointer(site, visitor):
    here = site({"rubric": RUBRIC})
    here.put(("rating", group("q", "one")))
    page = visitor(here, "ada").page()
    page.get_by_role("group", name="clear of answer A").get_by_role("radio", name="4").check(force=True)
    page.get_by_role("button", name="Send").click()
    saved(page)
    assert [entry.judgment for entry in here.said()] == [Rating("clear", (4.0,), labeler="ada")]


def test_thumbs_by_keys_and_by_pointer(site, visitor):
    here = site()
    here.put(("thumbs", group("q", "one", "two")), ("thumbs", group("q2", "alone")))
    page = visitor(here, "ada").page()
    texts = page.locator(".answer .as-read").all_inner_texts()
    page.keyboard.type("yn")
    page.keyboard.press("Enter")
    page.get_by_text("q2").first.wait_for()
    page.get_by_role("radio", name="Bad").check(force=True)
    page.get_by_role("button", name="Send").click()
    page.get_by_text("All done").wait_for()
    said = [(entry.group.completions[entry.judgment.completion].text, entry.judgment) for entry in here.said()]
    assert all(isinstance(judgment, Label) for _, judgment in said)
    assert {text: judgment.desirable for text, judgment in said} == {texts[0]: True, texts[1]: False, "alone": False}


def test_an_edit_with_what_it_changes(site, visitor):
    here = site()
    here.put(("edit", group("q", "the bill is hihg")))
    page = visitor(here, "ada").page()
    page.keyboard.press("e")
    page.keyboard.press("Control+Enter")
    assert page.get_by_role("alert").inner_text().startswith("Nothing is changed yet")
    page.keyboard.press("Control+End")
    for _ in range(4):
        page.keyboard.press("Backspace")
    page.keyboard.type("high")
    page.locator("#changes ins").wait_for()
    assert (page.locator("#changes ins").inner_text().strip(), page.locator("#changes del").inner_text().strip()) == (
        "high", "hihg",
    )  # fmt: skip
    page.keyboard.press("Control+Enter")
    saved(page)
    (entry,) = here.said()
    assert entry.group.completions[entry.judgment.choice].text == "the bill is high"
    assert {one.text for one in entry.group.completions} == {"the bill is high", "the bill is hihg"}


def test_which_of_several_is_edited(site, visitor):
    here = site()
    here.put(("edit", group("q", "one", "two")))
    page = visitor(here, "ada").page()
    at = shown(page, "two")
    page.get_by_role("radio", name="improve this one").nth(at).check()
    page.get_by_role("textbox", name="Your version").fill("two, and better")
    page.get_by_role("button", name="Send").click()
    saved(page)
    assert {one.text for one in here.said()[0].group.completions} == {"two", "two, and better"}


def test_what_was_answered_can_be_changed_and_stays_on_record(site, visitor):
    here = site()
    here.put(("pair", group("q", "left", "right")))
    page = visitor(here, "ada").page()
    page.keyboard.press("1")
    page.keyboard.press("r")
    page.keyboard.type("first thought")
    page.keyboard.press("Control+Enter")
    saved(page)
    page.goto(here.url + "/mine")
    assert page.locator(".entry .verdict").all_inner_texts() == ["A is much better"]
    page.locator(".entry").click()
    page.get_by_text("you change your answer").wait_for()
    page.locator("#task[data-ready]").wait_for()
    assert page.locator("#rationale").input_value() == "first thought"
    assert page.locator("input[name=verdict]:checked").input_value() == "0:3"
    page.keyboard.press("t")
    page.keyboard.press("Enter")
    page.wait_for_url("**/mine")
    saved(page)
    assert page.locator(".entry .verdict").all_inner_texts() == ["a tie"] and page.get_by_text("changed").is_visible()
    first, second = here.said()
    assert second.supersedes == first.id and second.judgment.choice == "tie"


@pytest.mark.parametrize(
    "kind, texts, keys, selector",
    [
        ("ranking", ("one", "two", "three"), "a2b1c2", None),
        ("rating", ("one", "two"), "5241", None),
        ("thumbs", ("one", "two"), "ny", None),
    ],
)
def test_an_earlier_answer_is_filled_in(site, visitor, kind, texts, keys, selector):
    here = site({"rubric": RUBRIC})
    here.put((kind, group("q", *texts)))
    page = visitor(here, "ada").page()
    page.keyboard.type(keys)
    before = page.locator("#task input:checked").evaluate_all("all => all.map((one) => one.name + one.value)")
    page.keyboard.press("Enter")
    saved(page)
    page.keyboard.press("z") if page.locator("#task").count() else page.get_by_role("link", name="Change it").click()
    page.get_by_text("you change your answer").wait_for()
    page.locator("#task[data-ready]").wait_for()
    assert page.locator("#task input:checked").evaluate_all("all => all.map((one) => one.name + one.value)") == before
    count = len(here.said())
    page.keyboard.press("Enter")
    page.wait_for_url("**/mine")
    assert len(here.said()) == 2 * count


def test_what_is_skipped_does_not_come_back(site, visitor):
    here = site()
    here.put(("pair", group("q1", "left", "right")), ("pair", group("q2", "one", "two")))
    page = visitor(here, "ada").page()
    page.keyboard.press("s")
    page.get_by_text("q2").first.wait_for()
    page.get_by_role("button", name="Skip").click()
    page.get_by_text("All done").wait_for()
    assert not here.said()


def test_gold_is_told_after_the_answer_and_not_before(site, visitor):
    here = site({"gold": {"share": 1.0}})
    here.put(("pair", group("q", "right", "wrong")), gold={"expected": {"choice": 0}, "why": "it *answers*"})
    page = visitor(here, "ada").page()
    assert "it *" not in page.content() and "gold" not in page.locator("#task").get_attribute("class")
    at = shown(page, "wrong")
    page.keyboard.press("7" if at else "1")
    page.keyboard.press("Enter")
    told = page.locator("#gold")
    told.wait_for()
    assert "Not as expected." in told.inner_text() and f"{'BA'[at]} is better" in told.inner_text()
    assert "it *answers*" in told.inner_text()
    page.keyboard.press("Enter")
    page.get_by_text("All done").wait_for()


def test_gold_says_nothing_where_the_project_wants_it_so(site, visitor):
    here = site({"gold": {"share": 1.0, "feedback": False}})
    here.put(("pair", group("q", "right", "wrong")), gold={"expected": {"choice": 0}, "why": "it answers"})
    visit = visitor(here, "ada")
    page = visit.page()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    page.get_by_text("All done").wait_for()
    for path in ("/mine", "/me"):
        page.goto(here.url + path)
        assert "as expected" not in page.content() and "known answers" not in page.content()


def test_conversations_plain_text_and_differences_are_shown(site, visitor):
    here = site()
    talk = messages(("system", "be brief"), ("user", "hello"), ("assistant", "hi"), ("user", "help"))
    here.put(("pair", group(talk, "open **Settings** now", "open **Settings** later")))
    page = visitor(here, "ada").page()
    assert page.locator(".talk .role").all_inner_texts() == ["System", "User", "Assistant", "User"]
    assert page.locator(".answer strong").first.inner_text() == "Settings"
    page.keyboard.press("d")
    assert sorted(page.locator(".diff mark").all_inner_texts()) == [" later", " now"]
    assert not page.locator(".answer strong").first.is_visible()
    page.keyboard.press("m")
    assert page.get_by_text("**Settings**").first.is_visible()
    assert page.get_by_role("button", name="Plain text").get_attribute("aria-pressed") == "true"


def test_guidelines_and_keys_are_a_key_away_and_single_keys_can_be_turned_off(site, visitor):
    here = site({"guidelines": "# Be fair\n\nSay what helps.", "version": "9"})
    here.put(("pair", group("q", "left", "right")))
    page = visitor(here, "ada").page()
    page.keyboard.press("g")
    over = page.get_by_role("dialog", name="Guidelines version 9")
    over.get_by_text("Say what helps.").wait_for()
    page.keyboard.press("t")  # under the dialog nothing happens
    page.keyboard.press("Escape")
    over.wait_for(state="hidden")
    assert page.locator("input[name=verdict]:checked").count() == 0
    page.keyboard.press("?")
    page.get_by_label("Single keys work").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    assert page.locator("input[name=verdict]:checked").count() == 0
    page.reload()
    page.locator("#task[data-ready]").wait_for()
    page.keyboard.press("t")
    assert page.locator("input[name=verdict]:checked").count() == 0


def test_a_long_answer_scrolls_inside_and_says_that_there_is_more(site, visitor):
    here = site()
    here.put(("pair", group("q", "\n\n".join(f"line {n}" for n in range(100)), "short")))
    page = visitor(here, "ada").page()
    at = shown(page, "short")
    page.locator(".answer.longer").wait_for()
    boxes = [page.locator(".answer").nth(n).bounding_box() for n in (0, 1)]
    assert boxes[0]["height"] == boxes[1]["height"] < 800
    assert page.locator(".answer.longer").count() == 1
    page.locator(".answer .pane").nth(1 - at).focus()
    page.keyboard.press("End")
    page.locator(".answer.longer").wait_for(state="detached")
