"""The page holds the figures of the files, stands alone, and copes with what is missing, odd or hostile."""

import base64
import hashlib
import html
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from page_text import text_of

from preferably.errors import DataError
from preferably.reporting.report import render_report

LIMIT = 1_500_000


@pytest.fixture(scope="module")
def seen(dpo: Path) -> str:
    return text_of(dpo / "report.html")


def test_the_headline_is_that_of_the_file(seen: str) -> None:
    assert "81.2 % win rate, 95% interval 78.9% to 83.5%" in seen
    assert "Better. desk-dpo is better than desk-sft by this judge: the whole 95% interval lies above 50%." in seen
    assert "preferably.quickstart.truth:score" in seen
    assert "T = 0.7, top-p 1, up to 64 tokens, 4 samples a prompt" in seen
    assert "held-out prompts 1,000 wins, ties, losses 3,148, 204, 640 missing verdicts 8" in seen
    assert "12.4 ± 0.61 nats" in seen


def test_other_decodings_have_their_own_verdict(seen: str) -> None:
    greedy = (
        "greedy (T = 0), up to 64 tokens, 1 sample a prompt 51.2% 48.1% to 54.4% not separable 498, 29, 473 0 missing"
    )
    assert greedy in seen
    assert "74.3% 72.0% to 76.6% better" in seen


def test_axes_show_what_fell(seen: str) -> None:
    assert "correctness 90.4% 87.1% ↓ −3.3" in seen
    assert "directness 41.2% 96.2% ↑ +55.0" in seen
    assert "honesty 91.2% 91.2% 0.0" in seen
    assert "malformed words (lower is better, mean per answer) 0.32 0.41 ↑ +0.09" in seen
    assert "Fell meanwhile: correctness 90.4% → 87.1%" in seen


def test_warnings_have_meaning_and_advice(seen: str) -> None:
    assert "length drift step 160 The policy's samples are 42% shorter" in seen
    assert "Compare the lengths of chosen and rejected" in seen


def test_stages_and_accounts(seen: str) -> None:
    assert "base sft, from runs/base/model 1,000 100 held out 60 1 min 15 s 2.2 → 0.825" in seen
    assert "dpo dpo, from runs/sft/model 3,671 400 held out 240 2 min 00 s 0.693 → 0.408 50.0% → 80.4% 81.2%" in seen
    assert "used (3,671 trained on, 400 held out; 3 of them truncated) 4,071" in seen
    assert "deduplicated (the same row stood earlier) 31 rejected (by reason below) 18 read 4,120" in seen
    assert "equal completions that are compared are the same text pairs.jsonl:17 12" in seen
    assert "missing_field a column or key that this feedback needs is not there pairs.jsonl:93 6" in seen


def test_evaluations_and_configuration(seen: str) -> None:
    assert "verdict ready prompts 400 replies 1,600 unjudged 0 right, best of 1 71.0%" in seen
    assert "right, best of 4 94.0% (ready: at least 10%)" in seen
    assert "unfinished 1.2% (ready: at most 20%) empty 0.0% (ready: at most 5%)" in seen
    assert "accuracy 0.823 interval 0.783 to 0.858" in seen
    assert "optimizer.weight_decay 0.0" in seen or "optimizer.weight_decay 0" in seen
    assert "torch 2.10.0" in seen


def test_samples_are_drawn_not_picked(dpo: Path, seen: str) -> None:
    assert "20 of 400 comparisons in samples.jsonl, drawn at random, not picked" in seen
    assert (dpo / "report.html").read_text().count('<article class="sample">') == 20
    assert "model preferred" in seen and "starting model preferred" in seen and "no verdict" in seen


def test_curves_carry_the_points_of_the_file(dpo: Path) -> None:
    specs = json.loads(re.findall(r'id="specs">(.*?)</script>', (dpo / "report.html").read_text(), re.DOTALL)[0])
    expected = {"loss", "rewards", "accuracy", "logps", "kl", "sample-length", "defects", "gradient"}
    assert set(specs) == expected | {"kl-win-rate", "lengths"}
    metrics = [json.loads(line) for line in (dpo / "metrics.jsonl").read_text().splitlines()]
    held_out = [row for row in specs["loss"]["data"]["values"] if row["held_out"]]
    stored = [(row["step"], row["eval_loss"]) for row in metrics if "eval_loss" in row]
    assert [row["x"] for row in held_out] == [step for step, _ in stored]
    assert [row["y"] for row in held_out] == pytest.approx([loss for _, loss in stored], rel=1e-4)
    assert "entropy" not in specs, "what a run does not draw itself has none"
    points = specs["kl-win-rate"]["data"]["values"]
    assert points[0]["label"] == "start" and (points[0]["kl"], points[0]["win_rate"]) == (0, 0.5)
    assert [(point["kl"], point["win_rate"]) for point in points[1:]] == [
        (12.43, 0.8125),
        (12.43, 0.5125),
        (12.43, 0.7432),
    ]
    bars = specs["lengths"]["data"]["values"]
    for side in ("after training", "before"):
        assert sum(bar["count"] for bar in bars if bar["side"] == side) == 400


def test_one_file_without_network(dpo: Path, fake: ModuleType, tmp_path: Path) -> None:
    source = (dpo / "report.html").read_text(encoding="utf-8")
    policy = html.unescape(re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', source)[0])
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy
    for content in re.findall(r"<script>(.*?)</script>", source, re.DOTALL) + re.findall(
        r"<style>(.*?)</style>", source, re.DOTALL
    ):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" in policy
    markup = re.sub(r"<(script|style)\b.*?</\1>", "", source, flags=re.DOTALL)
    assert not re.search(r"<(link|img|iframe|object|embed|base|form)\b", markup)
    assert not re.search(r"\b(src|srcset|data|poster|action)\s*=\s*[\"']?https?:", markup)
    assert not re.search(r"\son\w+\s*=", markup.split("<main>")[0])
    assert "url(http" not in source.split("</style>")[0] and "@import" not in source.split("</style>")[0]
    assert source.count("window.vegaEmbed = ") + source.count("window.vegaEmbed=") == 1
    bare = render_report(fake.dpo_run(tmp_path / "bare", samples=0))
    assert bare.stat().st_size < LIMIT
    assert (dpo / "report.html").stat().st_size < LIMIT


def test_ids_of_the_stills_are_unique(dpo: Path) -> None:
    markup = re.sub(r"<(script|style)\b.*?</\1>", "", (dpo / "report.html").read_text(), flags=re.DOTALL)
    ids = re.findall(r'\sid="([^"]+)"', markup)
    assert len(ids) == len(set(ids))
    assert markup.count('class="still"') == 10


def test_an_sft_run_says_what_is_missing_and_how_to_make_it(fake: ModuleType, tmp_path: Path) -> None:
    seen = text_of(render_report(fake.sft_run(tmp_path / "sft")))
    assert "No win rate yet: evaluation/win_rate.json is not there." in seen
    assert f"preferably evaluate --model {tmp_path}/sft --against runs/base/model --judge rules.py:score" in seen
    assert "Warnings None raised." in seen
    for file in ("axes.json", "readiness.json", "preference_accuracy.json", "samples.jsonl", "environment.json"):
        assert file in seen
    assert "rewards" not in seen.split("Not drawn")[1].split(".")[0]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("running", "This page was written while the run was still going at step 60 of 120."),
        ("failed", "Failed at step 60 of 120: out of memory. Figures below are of the part that ran."),
        ("stopped", "Stopped at step 60 of 120: out of memory."),
        ("odd", "State 'odd' at step 60 of 120: out of memory."),
    ],
)
def test_a_run_that_did_not_finish_says_so_first(fake: ModuleType, tmp_path: Path, state: str, words: str) -> None:
    assert words in text_of(render_report(fake.sft_run(tmp_path / "run", state=state)))


def test_hostile_text_stays_text(hostile: Path, fake: ModuleType) -> None:
    source = (hostile / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<script\b", re.sub(r"<script>.*?</script>", "<script>", source, flags=re.DOTALL))) == 3
    markup = re.sub(r"<script>.*?</script>", "", source, flags=re.DOTALL)
    assert "<img" not in markup and "&lt;img src=x onerror=&#34;document" in markup
    seen = text_of(hostile / "report.html")
    for attack in fake.ATTACKS[:4]:
        assert " ".join(attack.split()) in seen
    for hidden in "\u202e\u2066\u200b\x00\x07\x1b\u2028\U000e0041":
        assert hidden not in source
    assert "U+202E" in seen and "U+D800" in seen
    assert "show more (100,000 characters)" in seen and "88,000 further characters in samples.jsonl" in seen
    assert "w" * 20_000 not in source
    assert "مرحبا كيف حالك" in seen and "👩‍👩‍👧 नमस्ते 你好" in seen


def test_what_went_wrong_is_shown(hostile: Path) -> None:
    seen = text_of(hostile / "report.html")
    assert "1 step had no finite loss (ticks at the foot): 41." in seen
    assert "1 step skipped (nan in loss <b>): 42." in seen
    assert "metrics.jsonl: 1 line cannot be read and is left out (102)." in seen
    assert "data.json does not add up: 2 rows are lost." in seen
    assert "unknown verdict '<b>'" in seen
    assert "score NaN" in seen


def test_odd_shapes_do_not_stop_the_page(tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    for name in ("status", "data", "environment", "evaluation/win_rate", "evaluation/win_rate@x", "evaluation/axes"):
        for content in (
            "[]",
            "{",
            '"text"',
            "null",
            '{"win_rate": "a", "interval": 3, "kl": 2, "decoding": [], "read": "x"}',
        ):
            (tmp_path / f"{name}.json").write_text(content)
            assert render_report(tmp_path).exists()
    for name in ("metrics", "timing", "warnings", "samples"):
        (tmp_path / f"{name}.jsonl").write_text('3\n[]\n\n{"step": "x"}\n{"scores": 1, "preferred": {}}\n')
    (tmp_path / "config.yaml").write_text("method: [1, 2]\nmodel: {a: {b: !!python/object:x.y {}}}\n")
    assert "config.yaml cannot be read" in text_of(render_report(tmp_path, title="A title <b>"))
    assert "A title <b>" in text_of(render_report(tmp_path, title="A title <b>"))


def test_all_losses_nan(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": NaN}\n{"step": 2, "loss": NaN}\n')
    seen = text_of(render_report(tmp_path))
    assert "metrics.jsonl has 2 lines, none with a finite figure. 2 steps without a finite loss or skipped." in seen


def test_a_long_run_stays_small(tmp_path: Path) -> None:
    with (tmp_path / "metrics.jsonl").open("w") as stream:
        stream.writelines(
            f'{{"step": {step}, "loss": {1 / (1 + step % 97)}, "grad_norm": 1.5}}\n' for step in range(100_000)
        )
    assert render_report(tmp_path).stat().st_size < LIMIT


def test_no_run_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a run directory.*Give a directory"):
        render_report(tmp_path)


def test_reporting_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import preferably.reporting.report, preferably.reporting.card\n"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_online_run_shows_its_reward_by_kl_and_all_that_it_came_of(fake: ModuleType, tmp_path: Path) -> None:
    """base -> sft -> reward model; sft and that reward model -> ppo."""
    import yaml

    for name, model in (("base", "hub/model"), ("sft", tmp_path / "base"), ("rm", tmp_path / "sft" / "model")):
        fake.sft_run(tmp_path / name)
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump({"method": "sft", "model": str(model)}))
    run = fake.sft_run(tmp_path / "ppo")
    settings = {"method": "ppo", "model": str(tmp_path / "sft"), "reward": [f"0.5*{tmp_path / 'rm'}", "length"]}
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    course = [
        {"step": step, "objective/kl": step / 10, "eval_objective/scores": 0.1 * step, "eval_guard/scores": 0.05 * step}
        for step in range(0, 21, 5)
    ]
    fake.write_lines(run / "metrics.jsonl", course)
    point = {
        "series": "best of n",
        "label": "best of 4",
        "kl": 0.6,
        "reward": [0.7, 0.6, 0.8],
        "truth": [0.9, 0.8, 1.0],
    }
    fake.write_json(run / "evaluation" / "reward_kl.json", {"schema": 1, "points": [point, {"kl": "far"}, {}]})
    page = render_report(run)
    found = text_of(page)
    at = [found.index(f"{name} sft, from") for name in ("base", "sft", "rm")]
    assert at == sorted(at) and found.index("ppo ppo, from") > at[-1]
    source = page.read_text(encoding="utf-8")
    assert "Reward against KL" in found and "Truth against KL" in found
    assert all(name in source for name in ("best of 4", "guard", "step 20"))
    (run / "evaluation" / "reward_kl.json").unlink()
    assert "Truth against KL" not in text_of(render_report(run))


def test_a_run_that_draws_shows_how_many_ways_of_answering_are_left(fake, tmp_path: Path) -> None:
    path = fake.dpo_run(tmp_path / "ppo")
    lines = [{"step": step, "loss": 0.1, "objective/entropy": 40.0 - step} for step in range(1, 9)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    specs = json.loads(re.findall(r'id="specs">(.*?)</script>', render_report(path).read_text(), re.DOTALL)[0])
    assert [row["y"] for row in specs["entropy"]["data"]["values"]] == [40.0 - step for step in range(1, 9)]
