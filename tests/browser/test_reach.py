"""Whoever comes, with whatever: names for screen readers, a phone, large letters, contrast, the keyboard alone."""

import re

import pytest
from sites import group, messages

RUBRIC = [{"name": "clear", "question": "Can one follow it?", "worst": "muddled", "best": "plain"}, {"name": "kind"}]
PROJECT = {
    "guidelines": "# Fair\n\nSay *what* helps. " + "word " * 80,
    "rubric": RUBRIC,
    "demographics": [{"ask": "Age?", "choices": ["x", "y"]}],
    "examples": [{"prompt": "p", "completions": ["one", "two"], "chosen": 0, "why": "so"}],
    "title": "A project with a rather long title, for once",
    "qualification": {"items": [{"prompt": "p", "completions": ["one", "two"], "chosen": 0}]},
}
WIDE = (
    "a" * 300
    + "\n\n```\n"
    + "x = "
    + "1234567890" * 30
    + "\n```\n\n| a | b |\n|---|---|\n| "
    + "c" * 90
    + " | "
    + "d" * 90
    + " |"
)
TALK = messages(("system", "s " * 40), ("user", WIDE), ("assistant", "sure"), ("user", "go on"))
KINDS = ("pair", "ranking", "rating", "thumbs", "edit")


def filled(site, *kinds):
    """A site in which ada passed the round and has one task of each kind, the first the most urgent."""
    here = site(PROJECT)
    count = {"ranking": 9}
    here.put(*[(kind, group(TALK, *[f"{WIDE} {n}" for n in range(count.get(kind, 2))])) for kind in kinds])
    person, token = here.person("ada " + "long " * 10)
    here.people.tried(person.id, "1", 1, 1, passed=True, tries=1)
    return here, token


def sideways(page):
    return page.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth")


UNNAMED = """() => [...document.querySelectorAll(
    'button, a[href], input:not([type=hidden]), select, textarea, dialog, nav, [tabindex="0"]')]
  .filter((one) => one.checkVisibility() && !one.closest('[inert]'))
  .filter((one) => !(one.getAttribute('aria-label') || one.labels?.length || one.innerText?.trim()
    || document.getElementById(one.getAttribute('aria-labelledby'))?.innerText))
  .map((one) => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_on_a_phone_and_for_a_screen_reader(site, visitor, kind):
    here, token = filled(site, kind)
    phone = visitor(here, token=token, has_touch=True, is_mobile=True, color_scheme="dark")
    page = phone.context.new_page()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(here.url + "/task")
    page.locator("#task[data-ready]").wait_for()
    assert sideways(page) == 0
    assert not page.evaluate(UNNAMED)
    assert page.locator("main").count() == page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("lang") == "en"
    bar = page.locator("#bar").bounding_box()
    assert bar["y"] + bar["height"] <= 845 and bar["height"] < 280  # there without scrolling, and not in the way
    small = page.evaluate(
        "[...document.querySelectorAll('#bar button, #bar .cell, #bar .chip, .point, .thumb')]"
        ".filter((one) => one.checkVisibility())"
        ".map((one) => one.getBoundingClientRect()).filter((box) => box.width < 24 || box.height < 24).length"
    )
    assert small == 0  # WCAG 2.2, 2.5.8
    page.set_viewport_size({"width": 320, "height": 640})  # what 400% make of 1280
    assert sideways(page) == 0


@pytest.mark.parametrize(
    "path", ["/mine", "/me", "/guidelines", "/welcome", "/welcome?step=2", "/welcome?step=3", "/qualify"]
)
def test_a_page_on_a_phone_and_for_a_screen_reader(site, visitor, path):
    here, token = filled(site, "thumbs")
    phone = visitor(here, token=token)
    page = phone.context.new_page()
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(here.url + path)
    page.wait_for_load_state()
    assert sideways(page) == 0 and not page.evaluate(UNNAMED)
    assert page.locator("h1").count() == 1
    levels = page.evaluate(
        "[...document.querySelectorAll('main :is(h1,h2,h3,h4,h5,h6)')].map((one) => Number(one.tagName[1]))"
    )
    assert all(later - earlier <= 1 for earlier, later in zip(levels, levels[1:], strict=False)), levels


@pytest.mark.parametrize("kind", KINDS)
def test_letters_of_twice_the_size_push_nothing_out(site, visitor, kind):
    here, token = filled(site, kind)
    page = visitor(here, token=token).page()
    page.locator("html").evaluate("one => { one.style.fontSize = '200%' }")
    assert sideways(page) == 0
    page.get_by_role("button", name="Send").scroll_into_view_if_needed()
    cut = page.evaluate(
        "[...document.querySelectorAll('button, .chip, .cell')]"
        ".filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1)"
        ".map((one) => one.outerHTML.slice(0, 90))"
    )
    assert not cut


def test_the_keyboard_gets_everywhere_and_one_sees_where_it_is(site, visitor):
    here, token = filled(site, "pair")
    page = visitor(here, token=token).page()
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "(() => { const one = document.activeElement; const drawn = one.closest('.cell, .chip') ?? one;"
            "const name = one === document.body ? 'BODY' : one.id || one.name || one.className;"
            "return [name, getComputedStyle(drawn).outlineStyle] })()"
        )
        if told[0] == "BODY":
            break
        seen.append(told[0])
        assert told[1] != "none", told
    for part in (
        "to-content",
        "who",
        "as-diff",
        "as-raw",
        "open-guidelines",
        "open-help",
        "rationale",
        "flag",
        "verdict",
        "skip",
        "send",
    ):
        assert part in seen, (part, seen)
    assert seen.count("verdict") == 1  # one group, with arrows inside


def test_what_is_said_aloud(site, visitor):
    here, token = filled(site, "pair")
    page = visitor(here, token=token).page()
    told = page.locator("body").aria_snapshot()
    for line in (
        "banner",
        'navigation "Pages"',
        "main",
        'heading "Which answer is better?" [level=1]',
        'radio "A is much better"',
        'radio "tie"',
        'radio "B is slightly better"',
        'textbox "Why?',
        'checkbox "harmful"',
        'group "Which answer is better?"',
        "status",
    ):
        assert line in told, (line, told)
    live = page.locator("#outbox")
    assert (live.get_attribute("role"), live.get_attribute("aria-live")) == ("status", "polite")


def lightness(colour):
    """Relative luminance, WCAG 2.2."""
    parts = [int(one) / 255 for one in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_stand_out_from_what_is_behind_them(site, visitor, scheme):
    """AA: 4.5 to 1 for text; 3 to 1 for the edges of what one types into, and for the mark of the focus."""
    here = site()
    page = visitor(here, "ada", color_scheme=scheme).page("/me")
    names = [
        "page",
        "surface",
        "wash",
        "tint",
        "ink",
        "quiet",
        "accent",
        "on-accent",
        "good",
        "good-tint",
        "bad",
        "bad-tint",
        "warn",
        "warn-tint",
        "edge",
    ]
    colours = page.evaluate(
        "names => names.map((name) => { const one = document.createElement('i'); one.style.color = `var(--${name})`;"
        "document.body.append(one); return getComputedStyle(one).color })",
        names,
    )
    light = {name: lightness(colour) for name, colour in zip(names, colours, strict=True)}
    assert light["ink"] != light["page"]

    def contrast(one, other):
        high, low = sorted((light[one], light[other]), reverse=True)
        return (high + 0.05) / (low + 0.05)

    texts = [(text, behind) for text in ("ink", "quiet", "accent") for behind in ("page", "surface", "wash", "tint")]
    texts += [("on-accent", "accent"), ("page", "ink"), *[(one, f"{one}-tint") for one in ("good", "bad", "warn")]]
    texts += [("ink", f"{one}-tint") for one in ("good", "bad", "warn")] + [
        (one, "surface") for one in ("good", "bad", "warn")
    ]
    assert not {pair: round(contrast(*pair), 2) for pair in texts if contrast(*pair) < 4.5}
    assert not {
        pair: round(contrast(*pair), 2)
        for pair in (("edge", "surface"), ("edge", "page"), ("accent", "surface"))
        if contrast(*pair) < 3
    }


def test_nothing_moves_for_those_who_want_it_so(site, visitor):
    here = site()
    page = visitor(here, "ada", reduced_motion="reduce").page("/me")
    assert page.evaluate(
        "[...document.querySelectorAll('*')].map((one) => getComputedStyle(one))"
        ".every((one) => one.transitionDuration === '0s' && one.animationName === 'none')"
    )
