"""Several runs on one page: only what differs, figures of the files, and nothing set against what is not alike."""

import json
import re
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from page_text import text_of

from preferably.errors import ConfigError, DataError
from preferably.reporting.comparison import differences, names_of, not_alike, render_comparison
from preferably.reporting.run_files import read_run


def changed(run: Path, **settings: Any) -> Path:
    file = run / "config.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | settings, sort_keys=False))
    return run


@pytest.fixture(scope="module")
def runs(fake: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two DPO runs, the second at another beta with another win rate, and one that was never evaluated."""
    root = tmp_path_factory.mktemp("runs")
    first = fake.dpo_run(root / "mild" / "dpo", samples=0)
    second = changed(fake.dpo_run(root / "strong" / "dpo", steps=120, samples=0), beta=0.5, output="elsewhere")
    fake.write_json(
        second / "evaluation/win_rate.json",
        fake.win_rate(win_rate=0.6, interval=[0.57, 0.63], kl={"mean": 3, "se": 0.1}),
    )
    fake.write_json(second / "environment.json", {"python": "3.11.9", "torch": "2.11.0", "device": "cpu"})
    return [first, second, fake.sft_run(root / "sft", state="failed")]


@pytest.fixture(scope="module")
def page(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    (runs[0] / "report.html").write_text("")
    return render_comparison(runs, tmp_path_factory.mktemp("page") / "comparison.html")


@pytest.fixture(scope="module")
def seen(page: Path) -> str:
    return text_of(page)


@pytest.mark.parametrize(
    ("paths", "names"),
    [(["/a/one", "/a/two"], ["one", "two"]), (["/a/x/dpo", "/a/y/dpo"], ["x/dpo", "y/dpo"]),
     (["/a/x/dpo", "/b/x/dpo", "/c"], ["a/x/dpo", "b/x/dpo", "c"]), (["/x", "/a/x"], ["/x", "a/x"]),
     (["/runs/one", "/runs/a/dpo", "/runs/b/dpo"], ["one", "a/dpo", "b/dpo"])],
)  # fmt: skip
def test_names_are_the_shortest_that_tell_runs_apart(paths: list[str], names: list[str]) -> None:
    assert names_of([Path(path) for path in paths]) == names


def test_only_settings_that_differ() -> None:
    first = {"schema": 1, "beta": 0.1, "output": "a", "seed": 0, "optimizer": {"eps": 1e-8, "name": "adamw"}}
    second = {"schema": 1, "beta": 0.5, "output": "b", "optimizer": {"eps": 1e-8, "name": "sgd"}, "lora": False}
    found = {each.name: each.values for each in differences([first, second])}
    assert found == {
        "beta": ["0.1", "0.5"],
        "seed": ["0", "–"],
        "optimizer.name": ["adamw", "sgd"],
        "lora": ["–", "no"],
    }
    close = differences([{"lr": 0.12345678}, {"lr": 0.12345679}])
    assert [each.values for each in close] == [["0.12345678", "0.12345679"]]
    assert differences([first, dict(first)]) == [] and differences([{}, {}]) == []


def test_the_page_names_them(seen: str) -> None:
    assert "Comparison of 3 runs mild/dpo strong/dpo" in seen
    assert "beta 0.1 0.5 –" in seen
    assert "elsewhere" not in seen  # where a run was written says nothing
    assert "seed 7 7 –" in seen and "torch 2.10.0 2.11.0 –" in seen


def test_results_and_training(seen: str) -> None:
    assert "mild/dpo against desk-sft 81.2% 78.9% to 83.5% better 1,000 prompts 3,148, 204, 640 8 missing" in seen
    assert "strong/dpo against desk-sft 60.0% 57.0% to 63.0% better" in seen
    assert "sft not evaluated" in seen
    assert "mild/dpo --judge preferably.quickstart.truth:score" in seen  # how to judge them against each other
    assert "strong/dpo dpo 3,671 400 held out 120 1 min 00 s 0.693 → 0.408 50.0% → 80.4% 0 → 11.8 38 → 22.8" in seen
    assert "sft sft, failed 1,000 100 held out 60 of 120" in seen
    message = "step 160 The policy's samples are 42% shorter than at the start (38 to 22 tokens)."
    assert f"length drift mild/dpo {message} strong/dpo {message} Compare the lengths of chosen" in seen
    assert "None raised: sft. Curves" in seen


def test_a_run_with_a_report_is_linked(page: Path, runs: list[Path]) -> None:
    links = re.findall(r'<a href="([^"#]+)">([^<]*)</a>', page.read_text())
    assert {name for _, name in links} == {"mild/dpo"}
    assert all((page.parent / link).resolve() == (runs[0] / "report.html").resolve() for link, _ in links)


def test_curves_lie_over_each_other(page: Path, runs: list[Path]) -> None:
    specs = json.loads(re.findall(r'id="specs">(.*?)</script>', page.read_text(), re.DOTALL)[0])
    assert set(specs) == {
        "held-out-loss", "loss", "accuracy", "margins", "chosen", "kl", "sample-length", "repetition", "gradient",
        "kl-win-rate",
    }  # fmt: skip
    for slug, key in (("held-out-loss", "eval_loss"), ("accuracy", "eval_rewards/accuracies"), ("loss", "loss")):
        for run, name in zip(runs, names_of(runs), strict=True):
            metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            stored = [(row["step"], row[key]) for row in metrics if key in row]
            drawn = [row for row in specs[slug]["data"]["values"] if row["curve"] == name]
            assert [row["x"] for row in drawn] == [step for step, _ in stored]
            assert [row["y"] for row in drawn] == pytest.approx([value for _, value in stored], rel=1e-4)
    points = {point["label"]: point["kl"] for point in specs["kl-win-rate"]["data"]["values"]}
    assert points == {"start": 0, "mild/dpo": 12.43, "strong/dpo": 3.0}
    assert "T = 1. No points: sft." in text_of(page)


def test_win_rates_measured_otherwise_are_not_set_against_each_other(
    fake: ModuleType, runs: list[Path], tmp_path: Path
) -> None:
    assert not_alike([read_run(run) for run in runs]) == ""
    other = fake.dpo_run(tmp_path / "other", samples=0)
    one = fake.dpo_run(tmp_path / "one", samples=0)
    mild, strict = ([{"model": "big", "digest": digest}] for digest in ("a1", "b2"))
    for second, told in ((mild, ""), (strict, "judge")):  # of one file's name, with other rubrics
        for path, judge in ((one, mild), (other, second)):
            fake.write_json(path / "evaluation/win_rate.json", fake.win_rate(judge="judge.yaml", judged_by=judge))
        assert ("(judge)" in not_alike([read_run(one), read_run(other)])) == bool(told)
    fake.write_json(other / "evaluation/win_rate.json", fake.win_rate(judge="another", n=12))
    told = "not measured alike (judge, number of prompts), so they cannot be set against each other"
    assert told in text_of(render_comparison([runs[0], other], tmp_path / "page.html"))


def test_runs_without_any_evaluation(fake: ModuleType, tmp_path: Path) -> None:
    runs = [fake.sft_run(tmp_path / name) for name in ("a", "b")]
    seen = text_of(render_comparison(runs, tmp_path / "page.html"))
    assert "No win rates yet" in seen and f"preferably evaluate --model {tmp_path}/a --against" in seen
    assert "No setting differs." in seen and "None raised in any of the runs." in seen


def test_a_warning_that_comes_often_is_told_once_a_run(fake: ModuleType, tmp_path: Path) -> None:
    runs = [fake.sft_run(tmp_path / name) for name in ("a", "b")]
    raised = [{"step": step, "code": "not_finite", "message": f"m{step}", "advice": "lower it"} for step in (3, 5, 9)]
    fake.write_lines(runs[1] / "warnings.jsonl", raised)
    seen = text_of(render_comparison(runs, tmp_path / "page.html"))
    assert "not finite b step 3 m3 (and 2 more steps, the last step 9) lower it" in seen and "m5" not in seen


def test_bare_runs_and_many(fake: ModuleType, tmp_path: Path) -> None:
    for name in "abcdefghij":
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text('{"step": 1, "loss": NaN}\n{"st')
    page = render_comparison([tmp_path / name for name in "abcdefghij"], tmp_path / "page.html")
    seen = text_of(page)
    assert "No curves" in seen and "a: metrics.jsonl: 1 line cannot be read" in seen
    assert 'class="swatch run-8"' in page.read_text() and 'class="swatch second"' in page.read_text()


def test_hostile_text_stays_text(fake: ModuleType, hostile: Path, tmp_path: Path) -> None:
    other = fake.hostile_run(tmp_path / "<img src=x onerror=alert(1)>")
    page = render_comparison([hostile, other], tmp_path / "page.html")
    markup = re.sub(r"<script>.*?</script>", "", page.read_text(), flags=re.DOTALL)
    assert "<img" not in markup and "&lt;img src=x" in markup
    assert len(re.findall(r"<script\b", markup)) == 1  # the specs


def test_what_is_no_comparison_says_so(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two or more different runs"):
        render_comparison([runs[0], runs[0]], tmp_path / "page.html")
    with pytest.raises(DataError, match="is not a run directory"):
        render_comparison([runs[0], tmp_path], tmp_path / "page.html")
    with pytest.raises(ConfigError, match="Cannot write .*give another place"):
        render_comparison(runs, tmp_path / "nowhere" / "page.html")


@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser(browser: Any, page: Path, hostile: Path, dpo: Path, tmp_path: Path, width: int) -> None:
    long = tmp_path / ("a-name-that-goes-on-" * 9)
    shutil.copytree(dpo, long)
    pages = [page, render_comparison([hostile, long], tmp_path / "hostile.html")]
    window = browser(width=width)
    for each in pages:
        window.open(each.as_uri())
        charts = window.value("document.querySelectorAll('[data-chart]').length")
        assert charts > 5
        window.wait(f"document.querySelectorAll('[data-drawn]').length === {charts}")
        root = "document.documentElement"
        assert window.value(f"{root}.scrollWidth") <= window.value(f"{root}.clientWidth")
        assert window.value("document.title").startswith("Comparison of")
    assert window.console == []
