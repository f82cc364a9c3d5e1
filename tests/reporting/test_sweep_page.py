"""The page of a sweep, from its record alone."""

import json
import re

import pytest

from preferably.reporting.sweep import render_sweep

POINT = {
    "settings": {"beta": 0.1}, "path": "runs/beta=0.1", "state": "finished", "reason": "", "win_rate": 0.8,
    "interval": [0.76, 0.84], "kl": 4.0, "kl_se": 0.1, "warnings": [],
}  # fmt: skip
WILD = POINT | {
    "settings": {"beta": 0.01},
    "path": "runs/beta=0.01",
    "win_rate": 0.7,
    "kl": 40.0,
    "warnings": ["kl_high"],
    "flags": ["near_duplicate"],
}
FAILED = {"settings": {"beta": 1e-9}, "path": "runs/x", "state": "failed", "reason": "loss is <nan>"}
RECORD = {
    "method": "dpo", "model": "m", "judge": "rules.py:score", "grid": {"beta": [0.1, 0.01, 1e-9]},
    "points": [POINT, WILD, FAILED], "frontier": ["runs/beta=0.1"],
    "options": {"epochs": 2}, "evaluation": {"samples": 4},
    "recommendation": {"path": "runs/beta=0.1", "reason": "win rate 0.800 at 4.00 nats.", "hints": ["look beyond it."]},
}  # fmt: skip


def test_every_run_is_in_the_table_and_what_was_measured_in_the_chart(tmp_path):
    page = render_sweep(tmp_path, RECORD).read_text()
    assert page.count('scope="row"') == 6  # in either reading
    for told in ("80.0%", "76.0% to 84.0%", "4 ± 0.2", "kl high", "near duplicate",
                 "loss is &lt;nan&gt;", "<strong>take this</strong>",
                 "win rate 0.800 at 4.00 nats.", "Look beyond it."):  # fmt: skip
        assert told in page, told
    chart = json.loads(re.search(r'id="specs">(.*?)</script>', page, re.DOTALL)[1])["frontier"]
    drawn = {value["label"]: value["colour"] for value in chart["data"]["values"]}
    assert drawn == {"start": "var(--second)", "1: beta 0.1": "var(--accent)", "2: beta 0.01": "var(--second)"}


@pytest.mark.parametrize("points", [[], [FAILED]])
def test_a_sweep_without_a_figure_says_so(tmp_path, points):
    nothing = {"path": None, "reason": "no point was measured.", "hints": []}
    page = render_sweep(tmp_path, RECORD | {"points": points, "frontier": [], "recommendation": nothing}).read_text()
    assert "Nothing to draw" in page and "None of these settings: no point was measured." in page


def test_a_link_leads_to_the_report_of_a_run(tmp_path):
    run = tmp_path / "runs" / "beta=0.1"
    run.mkdir(parents=True)
    (run / "report.html").touch()
    page = render_sweep(tmp_path, RECORD | {"points": [POINT | {"path": str(run)}]}).read_text()
    assert 'href="runs/beta%3D0.1/report.html"' in page


def test_answer_quality_and_training_fit_are_two_readings(tmp_path):
    page = render_sweep(tmp_path, RECORD).read_text()
    body = page[page.index("<main>") : page.index("</main>")]
    quality, rest = body.split('id="fit"')
    fit, _ = rest.split('id="behind"')
    assert 'id="quality"' in quality and "near duplicate" in quality and "80.0%" in quality
    assert "kl high" in fit and "kl high" not in quality and "near duplicate" not in fit and "80.0%" not in fit
    assert "not known: it failed" in fit and fit.count('scope="row"') == 3
