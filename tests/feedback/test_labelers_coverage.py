"""On labelers that are known, estimates come back within their intervals: bench/known_labelers.py, fewer times."""

import importlib.util
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "bench" / "known_labelers.py"
SPEC = importlib.util.spec_from_file_location("bench_known_labelers", FILE)
worlds = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(worlds)


def spread(share, n):
    """Three standard deviations of a share of n."""
    return 3 * (share * (1 - share) / n) ** 0.5


def test_reliability():
    found = worlds.reliability(300, 3, 6, 50)  # those of one world depend on each other a little
    assert abs(found["covered"] - 0.95) <= spread(0.95, 300) and abs(found["bias"]) < 0.01


def test_exact_intervals_cover_at_least_what_they_say():
    for n in (7, 30, 100):
        for chance in (0.5, 0.72, 0.9, 0.99):
            assert 0.95 <= worlds.shares(n, chance)["covered"] <= 1


def test_agreement_with_leads():
    for found in worlds.agreement(100, 0.75, 0.9, 50):
        assert found["covered"] >= 0.95 - spread(0.95, 50)


def test_one_who_becomes_worse_is_told_and_the_others_are_not():
    found = worlds.course(700, 3, 6, 0.35, 6)
    assert found["told"] >= 0.8 and found["others told"] <= 0.2 and found["off by"] < 0.1
    assert found["covered"] >= 0.95 - spread(0.95, 72)


def test_leaning_and_clicking_are_told_of_whom_they_are_true():
    found = worlds.alarms(300, 3, 6, 0.4, 12)
    assert found["first told"] == 1 and found["first of others"] <= 0.2 and found["run of others"] <= 0.2


def test_ten_percent_random_voters():
    found = worlds.random_voters(2000, 3, 20, 20)
    assert found["found"] >= 0.9 and found["false alarms"] <= 0.05


def test_the_truth_by_posterior_is_nearer_than_by_majority():
    found = worlds.labels(600, 3, (0.95, 0.9, 0.6, 0.55, 0.6), 5)
    assert found["posterior wrong"] < 0.75 * found["majority wrong"]
    assert found["posterior log loss"] < 0.8 * found["majority log loss"]
