"""The page of a whole job in real Chromium: on a phone and a desk, light and dark."""

from pathlib import Path
from typing import Any

import pytest

DRAWN = (
    "(all => all.length && all.every(one => one.dataset.drawn === 'yes'))"
    "([...document.querySelectorAll('[data-chart]')])"
)
# Of the text that is seen, in HTML and in charts, what has a contrast below 4.5 to what is behind it (WCAG 2.2, 1.4.3).
FAINT = """(() => {
  const parse = text => {
    const found = (text.match(/[\\d.]+/g) || []).map(Number);
    return found.length > 2 ? found : null;
  };
  const light = colour => colour.slice(0, 3).map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = node => {
    for (let one = node; one; one = one.parentElement) {
      const found = parse(getComputedStyle(one).backgroundColor);
      if (found && found[3] !== 0) return found;
    }
    return null;
  };
  const told = new Set(); let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest('script, style')) continue;
    const style = getComputedStyle(node), ink = parse(node.closest('svg') ? style.fill : style.color);
    const paper = behind(node);
    if (!ink || !paper) { told.add('no colour: ' + node.tagName); continue; }
    const [low, high] = [light(ink), light(paper)].sort((a, b) => a - b), ratio = (high + 0.05) / (low + 0.05);
    seen += 1;
    if (ratio < 4.5) told.add(`${node.tagName} ${walker.currentNode.data.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return [seen, [...told], light(parse(getComputedStyle(document.body).backgroundColor))];
})()"""
# Elements that reach beyond the window, though nothing scrolls there: text that is cut.
CUT = """[...document.querySelectorAll('main *')].filter(one => one.checkVisibility() && !one.closest('svg, .live')
  && one.getBoundingClientRect().right > innerWidth + 1).map(one => one.tagName + ' ' + one.textContent.slice(0, 40))"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_of_a_job_is_drawn_fits_and_can_be_read(whole_job: Path, browser: Any, dark: bool) -> None:
    seen = browser(width=1280, dark=dark)
    for width in (1280, 390):
        seen.resize(width)
        seen.open((whole_job / "report.html").as_uri())
        seen.wait(DRAWN)
        assert seen.value("document.documentElement.scrollWidth") <= width
        assert seen.value(CUT) == []
        texts, faint, paper = seen.value(FAINT)
        assert texts > 500 and faint == []
        assert paper < 0.1 if dark else paper > 0.9, "the page follows the scheme that is asked for"
    assert seen.console == []
