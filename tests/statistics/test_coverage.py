"""Nominal 95% intervals hold what they say on prompts that differ: the worlds of bench/coverage.py, fewer times."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[2] / "bench" / "coverage.py"
SPEC = importlib.util.spec_from_file_location("bench_coverage", FILE)
worlds = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(worlds)

# At a true 95%, so many repeats give less than the lower or more than the upper bound in a case of a thousand.
BOUNDS = {300: (0.911, 0.989), 400: (0.916, 0.984), 2000: (0.934, 0.966)}


@pytest.mark.parametrize(
    ("draw", "repeats"),
    [
        (worlds.clustered(100, 1, 0.5), 400),
        (worlds.clustered(100, 4, 0.5), 400),
        (worlds.clustered(100, 4, 0.9), 400),
        (worlds.clustered(30, 1, 0.8), 400),
        (worlds.by_length(100, 1, 1.0, 1.0), 300),
        (worlds.by_style(100, 1, 0.0), 300),
        (worlds.with_people(100, 2000, 0.7, 0.9), 2000),
        (worlds.styled_people(100, 200, 1.0, 0.8), 300),
    ],
)
def test_the_interval_holds_the_truth(draw, repeats):
    low, high = BOUNDS[repeats]
    found = worlds.coverage(draw, repeats)
    assert found["none"] == 0 and low <= found["covered"] <= high, found


def test_an_interval_that_is_too_narrow_would_be_seen():
    def narrow(rng, seed):
        interval, truth = worlds.clustered(100, 1, 0.5)(rng, seed)
        middle, half = (interval.low + interval.high) / 2, (interval.high - interval.low) / 2
        return type(interval)(middle - 0.8 * half, middle + 0.8 * half, 0.95), truth

    assert worlds.coverage(narrow, 400)["covered"] < BOUNDS[400][0]  # 0.8 x 1.96 covers 88%


def test_samples_of_one_prompt_taken_for_prompts_would_be_seen():
    def naive(rng, seed):
        chances = rng.beta(2, 2, size=(100, 1))
        won = (rng.random((100, 8)) < chances).astype(float)
        return worlds.bootstrap_mean(won.ravel(), seed=seed), 0.5

    assert worlds.coverage(naive, 100)["covered"] < 0.85


def test_slices_that_are_alike_differ_in_one_of_twenty_evaluations_at_most():
    assert worlds.alike(5, 40, 0.7, 100)["told"] <= 0.12  # 5%, and three standard deviations


def test_every_world_is_reached_and_a_stop_keeps_what_there_is():
    """One world of each figure, and every way of drawing; the whole smoke run is the same over all of them."""
    first = {name: (name, settings, draw) for name, settings, draw in reversed(worlds.worlds())}
    assert set(first) == set(worlds.REPEATS) == {"win rate", "slice", "length", "style", "people", "people, style"}
    kept = []

    def keep(rows, null, finished):
        kept.append((len(rows), len(null), finished))

    rows, null = worlds.measure(list(first.values()), smoke=True, keep=keep)
    assert [row["figure"] for row in rows] == list(first) and not any(row["none"] for row in rows)
    assert kept == [(n, 0, False) for n in range(1, 7)] + [(6, 1, False), (6, 2, False), (6, 3, True)]
    assert len(null) == 3

    def broken(rng, seed):
        raise KeyboardInterrupt

    kept.clear()
    with pytest.raises(KeyboardInterrupt):
        worlds.measure([*list(first.values())[:2], ("slice", {}, broken)], smoke=True, keep=keep)
    assert kept == [(1, 0, False), (2, 0, False)]
    with pytest.raises(KeyError, match="a new one"):
        worlds.measure([("a new one", {}, broken)], smoke=True, keep=keep)


def test_a_bench_without_its_data_says_so_and_is_no_failure():
    said = subprocess.run([sys.executable, FILE.with_name("published_boards.py")], capture_output=True, text=True)
    assert said.returncode == 0 and said.stdout.startswith("not measured: no folder"), said
