"""One of ten answers at random: found, and nobody else; and where that cannot be told yet, it is not."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from preferably.statistics.coin import one_coin
from preferably.statistics.randomness import FALSE_ALARM, MISS, who_is_random

FILE = Path(__file__).resolve().parents[2] / "bench" / "known_labelers.py"
SPEC = importlib.util.spec_from_file_location("bench_known_labelers", FILE)
worlds = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(worlds)

BAD = 2  # of twenty


def crowd(rng, n, chances, each):
    return worlds.verdicts(rng, n, each, np.array(chances))


def told(n, each, seeds, bad=0.5):
    """By whether they were planted, how often each verdict is given."""
    found = {True: [], False: []}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        chances = [bad] * BAD + list(rng.uniform(0.65, 0.95, 20 - BAD))
        verdicts, _ = crowd(rng, n, chances, each)
        for at, one in who_is_random(one_coin(verdicts), verdicts.units).items():
            found[at < BAD].append(one)
    return found


def test_planted_random_voters_are_found_and_nobody_else():
    found = told(2000, 3, 25)
    recall = np.mean([one.verdict in ("random", "contrary") for one in found[True]])
    false = np.mean([one.verdict in ("random", "contrary") for one in found[False]])
    assert recall >= 0.9 and false <= 0.05 and len(found[False]) == 25 * 18
    assert np.mean([one.verdict == "sound" for one in found[False]]) > 0.85
    for one in found[False]:
        assert (one.miss <= MISS) == (one.needed is None) or one.verdict == "random"


def test_few_answers_are_said_to_be_too_few():
    found = told(400, 3, 15)  # 60 answers each
    assert np.mean([one.verdict == "not told" for one in found[False]]) > 0.9
    assert np.mean([one.verdict == "random" for one in found[False]]) <= FALSE_ALARM
    assert all(one.needed > one.n for one in found[False] if one.verdict == "not told")


def test_one_with_half_of_the_usual_edge_is_accused_in_one_of_twenty():
    """The others have an edge of 0.6, this one 0.3."""
    accused = []
    for seed in range(150):
        verdicts, _ = crowd(np.random.default_rng(seed), 500, [0.65] + [0.8] * 7, 3)
        accused.append(who_is_random(one_coin(verdicts), verdicts.units)[0].verdict == "random")
    assert np.mean(accused) <= 0.05 + 3 * (0.05 * 0.95 / 150) ** 0.5


def test_one_who_has_it_the_wrong_way_round_is_told_apart():
    verdicts, _ = crowd(np.random.default_rng(5), 600, [0.15] + [0.85] * 6, 4)
    found = who_is_random(one_coin(verdicts), verdicts.units)
    assert found[0].verdict == "contrary" and found[0].edge == pytest.approx(-0.7, abs=0.12)
    assert {found[at].verdict for at in range(1, 7)} == {"sound"}


def test_one_who_always_says_the_same_side_looks_random():
    verdicts, _ = crowd(np.random.default_rng(6), 900, [0.85] * 6, 4)
    # which side is called 1 has nothing to do with the truth, so "always 1" is one who never looks
    constant = replace(verdicts, sides=np.where(verdicts.labelers == 0, 1, verdicts.sides))
    assert who_is_random(one_coin(constant), verdicts.units)[0].verdict in ("random", "not told")
    coin = np.random.default_rng(7).integers(0, 2, len(verdicts.sides))
    thrown = replace(verdicts, sides=np.where(verdicts.labelers == 0, coin, verdicts.sides))
    assert who_is_random(one_coin(thrown), verdicts.units)[0].verdict == "random"


def test_where_all_answer_at_random_nobody_is_told():
    verdicts, _ = crowd(np.random.default_rng(8), 600, [0.5] * 6, 3)
    found = who_is_random(one_coin(verdicts), verdicts.units)
    assert all(one.verdict in ("not told", "random", "contrary") for one in found.values())
