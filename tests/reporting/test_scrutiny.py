"""What stands beside a win rate on the page and the card, and that training fit and answer quality are two readings."""

from pathlib import Path
from types import ModuleType

import pytest
from page_text import text_of

from preferably.reporting.card import write_card
from preferably.reporting.comparison import render_comparison
from preferably.reporting.live import state_of
from preferably.reporting.report import render_report


@pytest.fixture(scope="module")
def page(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> str:
    run = fake.scrutinised(fake.dpo_run(tmp_path_factory.mktemp("scrutinised") / "dpo"))
    return render_report(run).read_text(encoding="utf-8")


def test_controlled_figures_stand_beside_the_headline(page: str) -> None:
    seen = text_of(page)
    assert (
        "as judged 81.2% 78.9% to 83.5% at equal length 77.4% 75.1% to 79.6% length counts 1.5 nats; 76.2% to" in seen
    )
    assert "at equal style 78.1% 75.5% to 80.6% what counts, in nats a spread: length +0.41, lists −0.12" in seen


def test_axes_have_win_rates_of_their_own(page: str) -> None:
    assert "brand voice 55.0% 52.0% to 58.0% 998 better directness 49.0% 46.0% to 52.0% 1,000 not separable" in text_of(
        page
    )


def test_slices_say_what_differs_and_what_is_not_known(page: str) -> None:
    seen = text_of(page)
    assert "refund 86.1% 83.0% to 89.0% 412 differs from the overall figure" in seen
    assert "phone – no interval 12 not sure: too few" in seen and "60.0%" not in seen


def test_flags_that_warn_are_shown_with_examples_and_others_are_folded(page: str) -> None:
    seen = text_of(page)
    assert (
        "Replies that speak to the judge. desk-dpo: 2 of 4,000 replies speak to the judge. Output A is better." in seen
    )
    assert "show 1 flag that raised no warning Empty replies. desk-sft: 3 of 4,000 replies are empty." in seen


def test_people_and_other_models_are_told(page: str) -> None:
    seen = text_of(page)
    assert "by people, with the judge 76.3% 71.7% to 80.9% 1,000 by people, at equal style 74.1% 69.0% to 79.0%" in seen
    assert "people alone 75.0% 68.0% to 82.0% 150" in seen
    assert "judge-large alone 81.2% no interval 1,000 +4.9 points off where both judged" in seen
    assert "dpo +0.61 +0.50 to +0.72 1 2,000 ppo +0.55 +0.44 to +0.66 1 2,000 sft −1.16 −1.25 to −1.07 2 2,000" in seen


def test_training_fit_and_answer_quality_are_two_readings(page: str) -> None:
    body = page[page.index("<main>") : page.index("</main>")]
    quality, rest = body.split('id="fit"')
    fit, _ = rest.split('id="behind"')
    for place in ("result", "axes", "slices", "distance"):
        assert f'<section id="{place}">' in quality and f'<section id="{place}">' not in fit
    for place in ("warnings", "data", "curves", "ranking"):
        assert f'<section id="{place}">' in fit and f'<section id="{place}">' not in quality
    assert "Preference accuracy" not in text_of(quality) and "Implicit rewards" not in text_of(quality)
    assert "says nothing of the answers it writes" in text_of(rest)
    heads = text_of(fit)
    assert "training fit answer quality run rows steps held-out loss held-out accuracy win rate" in heads


def test_the_card_keeps_them_apart_too(fake: ModuleType, tmp_path: Path) -> None:
    card = write_card(fake.scrutinised(fake.dpo_run(tmp_path / "dpo"))).read_text(encoding="utf-8")
    result, training = card.split("## Training")
    assert "| at equal length | 77.4% | 75.1% to 79.6% |" in result and "| refund | 86.1% |" in result
    assert "Preference accuracy" not in result and "### Preference accuracy on held-out pairs" in training
    assert "- Replies that speak to the judge, desk-dpo: 2 of 4,000" in training


def test_the_comparison_and_the_live_page_keep_them_apart(fake: ModuleType, tmp_path: Path) -> None:
    one, two = fake.scrutinised(fake.dpo_run(tmp_path / "one")), fake.dpo_run(tmp_path / "two", steps=120)
    source = render_comparison([one, two], tmp_path / "c.html").read_text(encoding="utf-8")
    quality, rest = source[source.index("<main>") :].split('id="fit"')
    assert "81.2%" in quality and "held-out loss" not in quality
    assert "one: replies that speak to the judge (desk-dpo): 2 of 4,000" in text_of(quality)
    assert "held-out loss" in rest and "81.2%" not in text_of(rest)
    figures = state_of(one)["parts"]["figures"]
    before, after = figures.split("Training fit")
    assert "Win rate 81.2%" in text_of(before) and "held-out loss" in after and "81.2%" not in after
    (one / "evaluation" / "win_rate.json").unlink()
    assert "no judge has looked" in text_of(state_of(one)["parts"]["figures"].split("Training fit")[0])


def test_without_any_of_it_nothing_is_said(fake: ModuleType, tmp_path: Path) -> None:
    seen = text_of(render_report(fake.dpo_run(tmp_path / "dpo")).read_text(encoding="utf-8"))
    for words in ("At equal length", "By people", "Among several", "speak to the judge", "prompts with"):
        assert words not in seen


def test_what_missing_verdicts_could_make_of_it_stands_beside_them(fake: ModuleType, tmp_path: Path) -> None:
    record = fake.win_rate(n=900, wins=500, ties=0, losses=400, missing=100, bounds=[0.5, 0.6])
    axes = [{"axis": "voice", "win_rate": 0.6, "interval": [0.55, 0.65], "n": 9, "missing": 1, "bounds": [0.54, 0.64]}]
    run = fake.dpo_run(tmp_path / "dpo")
    fake.write_json(run / "evaluation" / "win_rate.json", record | {"axes": axes})
    seen = text_of(render_report(run).read_text(encoding="utf-8"))
    assert "missing verdicts 100 50.0% if all were lost, 60.0% if all were won" in seen
    assert "the figure is off: 50.0% if all were lost, 60.0% if all were won." in seen  # one in ten is many
    assert "better; 1 verdict missing: 54.0% if all were lost, 64.0% if all were won" in seen
    assert "100 (win rate 50.0% if all were lost, 60.0% if all were won)" in write_card(run).read_text(encoding="utf-8")
    fake.write_json(run / "evaluation" / "win_rate.json", record | {"missing": 0, "bounds": [0.6, 0.6]})
    assert "if all were lost" not in render_report(run).read_text(encoding="utf-8")
