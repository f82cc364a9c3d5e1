"""Five minutes without a network, and without a server: what people answer meanwhile is there afterwards, once."""

import json
import os
import re
import time
from contextlib import contextmanager

import pytest
from sites import Site, group, running
from voting import Server

SECONDS = int(os.environ.get("PREFERABLY_OFFLINE", "0"))
pytestmark = pytest.mark.skipif(not SECONDS, reason="make crash: it takes five minutes")

# What the page says of answers, and the receipts it gets, in their order and of all tabs.
WITNESS = """(() => {
  const note = (what) => {
    const all = JSON.parse(localStorage.getItem("witness") ?? "[]");
    localStorage.setItem("witness", JSON.stringify([...all, what]));
  };
  const ask = window.fetch;
  window.fetch = async (...given) => {
    const response = await ask(...given);
    if (String(given[0]).startsWith("/answers/") && response.status === 200)
      note({ receipt: (await response.clone().json()).saved });
    return response;
  };
  let last = "";
  new MutationObserver(() => {
    const text = document.getElementById("outbox")?.innerText ?? "";
    if (text !== last && text) note({ said: text });
    last = text;
  }).observe(document, { subtree: true, childList: true, characterData: true });
})()"""


class Labeler:
    """Somebody with the third task on the page, and their first two answers open to be changed."""

    def __init__(self, site, visitor, name):
        self.site, self.name = site, name
        self.visit = visitor(site, token=site.person(name)[1])
        self.visit.context.add_init_script(WITNESS)
        task = self.visit.page()
        for number in (1, 2):
            self.shows(task, number)
            self.press(task, "1")
        self.shows(task, 3)
        own = self.visit.page("/mine")
        first = sorted(link.get_attribute("href") for link in own.locator("a.entry").all())
        own.close()
        self.tabs = [task, *(self.visit.page(address) for address in first)]
        assert len(self.tabs) == 3 and len(self.said()) == 2

    def shows(self, tab, number):
        tab.locator(".prompt p", has_text=f"q{number}").wait_for()
        tab.locator("#task[data-ready]").wait_for()

    def press(self, tab, key):
        tab.keyboard.press(key)
        tab.keyboard.press("Enter")

    def answer_all(self):
        for tab in self.tabs:
            self.press(tab, "t")
            tab.locator("#outbox").get_by_text(re.compile("answers? waits? in this browser")).wait_for()
            self.press(tab, "7")  # the page lets nobody answer twice
        self.tabs[-1].locator("#outbox").get_by_text("3 answers wait in this browser").wait_for()

    def finds_nothing(self):
        tab = self.visit.context.new_page()
        with pytest.raises(Exception, match="ERR_INTERNET_DISCONNECTED|ERR_CONNECTION_REFUSED"):
            tab.goto(self.site.url + "/task")
        tab.close()

    def said(self):
        return [entry for entry in self.site.said() if entry.judgment.labeler == self.name]

    def check(self):
        """Three answers more, each once and as it was given; and none was called saved before its receipt."""
        first, second, *more = self.said()
        assert [one.judgment.choice for one in more] == ["tie"] * 3
        assert {one.supersedes for one in more} == {None, first.id, second.id}
        assert {one.group.prompt_text for one in more} == {"q1", "q2", "q3"}
        tab = self.visit.page("/guidelines")
        seen = json.loads(tab.evaluate("localStorage.getItem('witness')"))
        receipts, told = 0, 0
        for one in seen:
            receipts += "receipt" in one
            if many := re.search(r"(\d+) answers that waited are saved|waited is saved|Saved", one.get("said", "")):
                told += int(many[1] or 1)
                assert told <= receipts, seen
        assert {one["receipt"] for one in seen if "receipt" in one} == {one.id for one in (first, second)} | {
            one.id for one in more
        }


@contextmanager
def served(folder):
    """A site whose server is another process."""
    folder.mkdir()
    server, site = Server(str(folder / "labels.db"), folder), Site(folder / "labels.db")
    site.url = f"http://127.0.0.1:{server.port}"
    server.start()
    try:
        yield site, server
    finally:
        server.stop()
        site.close()


def test_what_is_answered_in_five_minutes_offline_is_there_once_and_was_not_called_saved(visitor, tmp_path):
    (tmp_path / "network").mkdir()
    with running(tmp_path / "network") as there, served(tmp_path / "server") as (here, server):
        for site in (there, here):
            site.put(*(("pair", group(f"q{number}", "left", "right")) for number in range(1, 5)), overlap=2)
        people = [Labeler(site, visitor, name) for site in (there, here) for name in ("ada", "ben")]
        closing = people[1::2]
        for one in people[:2]:
            one.visit.context.set_offline(True)
        server.kill()
        began = time.monotonic()
        for one in people:
            one.answer_all()
        for one in closing:
            for tab in one.tabs:
                tab.close()
            one.finds_nothing()
        while time.monotonic() - began < SECONDS:
            people[0].tabs[0].wait_for_timeout(1000)
        for one in people:
            assert len(one.said()) == 2
        for one in closing:
            one.finds_nothing()
        print(f"\n{len(people)} people were offline for {time.monotonic() - began:.0f} s")
        for one in people[:2]:
            one.visit.context.set_offline(False)
        server.start()
        for one in people:
            if one in closing:
                tab = one.visit.page("/guidelines")
                tab.locator("#outbox").get_by_text("3 answers that waited are saved.").wait_for()
            else:
                one.shows(one.tabs[0], 4)
                for tab in one.tabs[1:]:
                    tab.wait_for_url("**/mine", timeout=90_000)
            one.check()
