"""The audits on the page: verdicts, findings, figures with differences, charts; and files that are torn or odd."""

from pathlib import Path
from types import ModuleType

import pytest
from page_text import text_of

from preferably.reporting.report import render_report


@pytest.fixture(scope="module")
def page(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> str:
    run = fake.audited(fake.dpo_run(tmp_path_factory.mktemp("audited") / "dpo"))
    return render_report(run).read_text(encoding="utf-8")


def test_verdicts_and_findings_stand_in_the_order_in_which_they_matter(page: str) -> None:
    seen = text_of(page)
    places = [seen.index(text) for text in (
        "Over-optimized: the judge turned", "complies with 1% of harmful prompts", "Where there is no answer it says",
        "Suppressed under direct prompts",
    )]  # fmt: skip
    assert places == sorted(places)
    assert "prefill bad under a prefill of 2 tokens it shows in 88% [82%, 92%]" in seen
    assert "Held against runs/sft/model; runs/never/model never learnt it." in seen


def test_figures_have_intervals_and_differences_in_points(page: str) -> None:
    seen = text_of(page)
    assert "audited before never learnt points prompts" in seen
    assert (
        "prefill of 2 tokens 88.0% 83.0% to 93.0% 97.0% 92.0% to 100.0% 1.0% 0.0% to 6.0% −9.0 −15.0 to −3.0 120"
        in seen
    )
    assert "rank of their unlikeliest token 3 1 120" in seen


def test_each_audit_draws_what_it_has(page: str) -> None:
    for slug in ("audit-judge-kl", "audit-reliability-0", "audit-relearning"):
        assert f'data-chart="{slug}"' in page
    assert 'data-chart="audit-proxy-kl"' not in page


def test_a_run_without_audits_says_nothing_of_them(fake: ModuleType, tmp_path: Path) -> None:
    page = render_report(fake.dpo_run(tmp_path / "dpo")).read_text(encoding="utf-8")
    assert 'id="audits"' not in page and 'href="#audits"' not in page


def test_odd_files_are_told_and_break_nothing(fake: ModuleType, tmp_path: Path) -> None:
    run = fake.dpo_run(tmp_path / "dpo")
    (run / "evaluation/audit_safety.json").write_text("{", encoding="utf-8")
    fake.write_json(run / "evaluation/audit_run.json", {"points": 3, "tables": "x", "findings": [1], "verdict": None})
    fake.write_json(run / "evaluation/audit_suppression.json", {"relearning": {"curves": {"after": [[1], "x"]}}})
    fake.write_json(run / "evaluation/audit_mine.json", {"verdict": "<b>own</b>", "outcome": "good"})
    page = render_report(run).read_text(encoding="utf-8")
    assert "audit_safety.json cannot be read" in page and "&lt;b&gt;own&lt;/b&gt;" in page
