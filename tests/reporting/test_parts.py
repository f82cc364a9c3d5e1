"""Figures, verdicts, curves and visible text: each checked against values worked out by hand."""

import math
import random
from pathlib import Path

import pytest

from preferably.reporting import figures, result, reward
from preferably.reporting.curves import bad_steps, curve, thinned
from preferably.reporting.run_files import RunFiles, setting
from preferably.reporting.verdict import caveat_of, decoding_of, verdict_of, word_for
from preferably.reporting.visible import folded, plain, shown


def test_figures() -> None:
    assert figures.percent(0.8347) == "83.5%"
    assert figures.percent(None) == "–"
    assert figures.percent(math.nan) == "NaN"
    assert figures.difference_in_points(0.871, 0.904) == "−3.3"
    assert figures.difference_in_points(0.5, 0.5) == "0.0"
    assert figures.signed(-0.0001) == "0.00"
    assert figures.signed(0.09) == "+0.09"
    assert figures.count(4120) == "4,120"
    assert figures.significant(1e-5) == "1e-05"
    assert figures.significant(-1e-5) == "−1e-05"
    assert figures.significant(0.69314) == "0.6931"
    assert figures.significant(-math.inf) == "−∞"
    assert figures.duration(75) == "1 min 15 s"
    assert figures.duration(3 * 3600 + 125) == "3 h 02 min"
    assert figures.duration(0.25) == "0.2 s"
    assert figures.plural(1, "row") == "1 row"
    assert figures.plural(1200, "row") == "1,200 rows"


@pytest.mark.parametrize(
    ("interval", "word"),
    [
        ((0.501, 0.6), "better"),
        ((0.5, 0.6), "not separable"),
        ((0.4, 0.6), "not separable"),
        ((0.4, 0.5), "not separable"),
        ((0.4, 0.499), "worse"),
        (None, "unknown"),
    ],
)
def test_the_interval_alone_decides(interval: tuple[float, float] | None, word: str) -> None:
    assert word_for(interval) == word


def test_a_win_rate_that_is_no_number_has_no_verdict() -> None:
    verdict = verdict_of({"win_rate": math.nan, "interval": [0.6, 0.7]})
    assert (verdict.word, verdict.interval) == ("unknown", None)
    assert verdict_of({"win_rate": 0.9, "interval": [0.8, math.nan]}).word == "unknown"
    assert verdict_of({"win_rate": 0.9}).word == "unknown"


def test_many_missing_verdicts_are_told() -> None:
    assert caveat_of({"wins": 90, "ties": 0, "losses": 0, "missing": 10}).startswith("10 comparisons of 100 (10.0%)")
    assert caveat_of({"wins": 99, "ties": 0, "losses": 0, "missing": 1}) == ""
    assert caveat_of({}) == ""


def test_an_answer_that_is_always_the_same_is_told() -> None:
    record = {"duplicates": {"model": 0.97, "against": 0.1}, "model": "dpo"}
    assert caveat_of(record).startswith("dpo gave one and the same answer to 97.0% of prompts")
    assert caveat_of({"duplicates": {"model": 0.5, "against": 0.1}}) == ""


def test_decoding_in_words() -> None:
    decoding = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 64, "samples": 4}
    assert decoding_of({"decoding": decoding}) == "T = 0.7, top-p 1, up to 64 tokens, 4 samples a prompt"
    assert decoding_of({"decoding": {"temperature": 0, "samples": 1}}) == "greedy (T = 0), 1 sample a prompt"
    assert decoding_of({}) == "–"


def test_thinning_keeps_every_extreme_bucket_and_the_ends() -> None:
    chance = random.Random(0)
    points = [(float(step), chance.random()) for step in range(100_000)]
    points[54_321] = (54_321.0, 9.0)
    points[54_399] = (54_399.0, -9.0)
    kept = thinned(points)
    assert len(kept) <= 400
    assert kept == sorted(kept)
    assert {points[0], points[-1], points[54_321], points[54_399]} <= set(kept)
    assert thinned(points[:400]) == points[:400]
    flat = [(float(step), 1.0) for step in range(1000)]
    assert len(thinned(flat)) <= 400


def test_curves_leave_out_what_is_not_finite_and_name_it() -> None:
    metrics = [
        {"step": 1, "loss": 1.0},
        {"step": 2, "loss": math.nan},
        {"step": 3, "skipped": "nan in loss"},
        {"step": 4, "loss": "text"},
        {"loss": 5.0},
        {"step": 5, "loss": 10**400},
    ]
    assert curve(metrics, "loss", "training").points == ((1.0, 1.0),)
    bad = bad_steps(metrics)
    assert (bad.not_finite, bad.skipped, bad.reasons, bad.all) == ((2, 5), (3,), ("nan in loss",), (2, 3, 5))


def test_settings_are_found_at_any_depth() -> None:
    config = {"method": {"name": "dpo", "beta": 0.2}, "data": {"train": "a.jsonl"}}
    assert setting(config, "beta") == 0.2
    assert setting(config, "data") == {"train": "a.jsonl"}
    assert setting(config, "model", "model_name_or_path") is None


def test_hidden_characters_are_drawn() -> None:
    assert 'title="U+202E RIGHT-TO-LEFT OVERRIDE"' in shown("a\u202eb")
    assert "\u202e" not in shown("a\u202eb")
    assert ">NUL<" in shown("\x00") and ">CR<" in shown("\r") and ">ESC<" in shown("\x1b") and "U+0001" in shown("\x01")
    assert shown("a\r\nb") == "a\nb"
    assert shown("line\nand\ttab") == "line\nand\ttab"
    assert "\u200b" not in shown("zero\u200bwidth")
    assert "\u200d" not in shown("a\u200db") and "\u200d" in shown("👩\u200d👧")
    assert "U+D800" in shown("\ud800")
    assert shown("<b>&\"'") == "&lt;b&gt;&amp;&#34;&#39;"
    assert shown("مرحبا 你好") == "مرحبا 你好"
    assert plain("a\u202e\nb") == "a<U+202E> b"


def test_long_texts_fold() -> None:
    assert folded("a" * 1200) == ("a" * 1200, "", 0)
    head, more, left_out = folded("a" * 100_000)
    assert (len(head), len(head) + len(more), left_out) == (900, 12_000, 88_000)


def test_two_numbers_are_an_interval_only_where_they_are_called_one() -> None:
    assert result.fact([0.9, 0.999]) == "0.9, 0.999"
    told = dict(result.facts({"value": 0.5, "interval": [0.4, 0.6], "betas": [0.9, 0.95]}))
    assert told["interval"] == "0.4 to 0.6" and told["betas"] == "0.9, 0.95"


def test_a_reward_model_below_chance_is_called_so() -> None:
    def said(value: float, low: float, high: float) -> dict[str, object]:
        shown = {"value": value, "n": 900, "interval": [low, high]}
        return reward.told(RunFiles(Path("run"), reward_model={"accuracy": shown, "pairs": 900}))

    assert said(0.28, 0.25, 0.31)["word"] == "Worse than chance" and "wrong way round" in str(said(0.28, 0.25, 0.31))
    assert said(0.5, 0.47, 0.53)["word"] == "Not separable from chance"
    assert said(0.7, 0.67, 0.73)["word"] == "Better than chance"
