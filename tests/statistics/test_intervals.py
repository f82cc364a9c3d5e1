import doctest
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.statistics import intervals
from preferably.statistics.intervals import (
    Interval,
    bootstrap_mean,
    exact,
    mean_interval,
    paired_difference,
    standard_error,
    wilson,
)
from preferably.statistics.shares import share

shares = st.floats(0, 1, allow_nan=False)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(intervals).failed == 0


# The score interval


def test_wilson_by_hand():
    # 8 of 10 at z = 1.959964: centre (8 + 1.920729) / 13.841459, half 1.959964 sqrt(1.6 + .960365) / 13.841459.
    interval = wilson(8, 10)
    assert interval.low == pytest.approx(0.716740 - 0.226577, abs=2e-6)
    assert interval.high == pytest.approx(0.716740 + 0.226577, abs=2e-6)


@given(n=st.integers(1, 3000), share=shares, confidence=st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy(n, share, confidence):
    successes = round(share * n)
    ours = wilson(successes, n, confidence)
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)


@given(n=st.integers(1, 3000), share=shares, confidence=st.floats(0.5, 0.999))
def test_the_exact_interval_agrees_with_scipy(n, share, confidence):
    successes = round(share * n)
    ours = exact(successes, n, confidence)
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(confidence, method="exact")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_the_exact_interval_by_hand():
    """None of three: the upper end is where (1 - p)^3 = 0.025."""
    interval = exact(0, 3)
    assert interval.low == 0 and interval.high == pytest.approx(1 - 0.025 ** (1 / 3))
    for successes, n in ((4, 3), (-1, 3), (0, 0)):
        with pytest.raises(ValueError, match="between 0 and n"):
            exact(successes, n)


@given(n=st.integers(1, 500), share=shares)
def test_wilson_solves_its_equation_also_for_fractions(n, share):
    interval = wilson(share * n, n)
    z = scipy.stats.norm.ppf(0.975)
    for end in (interval.low, interval.high):
        if 0 < end < 1:
            # Squared, as the root would make 1e-9 of a last digit near 0 and 1.
            assert (share - end) ** 2 == pytest.approx(z * z * end * (1 - end) / n, abs=1e-12)
    mirrored = wilson(n - share * n, n)
    assert mirrored.low == pytest.approx(1 - interval.high, abs=1e-12)
    assert interval.low - 1e-12 <= share <= interval.high + 1e-12


def test_wilson_ends_are_exact():
    assert wilson(0, 5).low == 0.0 and wilson(5, 5).high == 1.0
    assert wilson(0, 5).high == pytest.approx(3.841459 / 8.841459, abs=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [(1, 0), (-1, 5), (6, 5), (math.nan, 5), (1, math.nan), (1, math.inf), (1, 5, 1.0), (1, 5, 0.0), (1, 5, math.nan)],
)
def test_wilson_refuses_what_is_undefined(arguments):
    with pytest.raises(ValueError):
        wilson(*arguments)


# Standard error and t


def test_standard_error_by_hand():
    # 1, 2, 4: mean 7/3, squared deviations 16/9 + 1/9 + 25/9 = 42/9, variance 7/3, over 3.
    assert standard_error([1, 2, 4]) == pytest.approx(math.sqrt(7 / 9))
    assert standard_error([5.0]) is None and standard_error([]) is None
    assert standard_error([2.0, 2.0]) == 0.0


@settings(max_examples=50)
@given(st.lists(st.integers(-8000, 8000).map(lambda eighths: eighths / 8), min_size=2, max_size=40))
def test_mean_interval_agrees_with_scipy(values):
    interval = mean_interval(values, 0.9)
    if np.ptp(values) == 0:
        assert interval == Interval(values[0], values[0], 0.9, "t", "all values are equal")
        return
    result = scipy.stats.t.interval(0.9, len(values) - 1, np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5)
    assert (interval.low, interval.high) == pytest.approx(result, rel=1e-9, abs=1e-9)


def test_a_mean_of_one_has_no_interval():
    assert mean_interval([3.0]) is None and mean_interval([]) is None


@pytest.mark.parametrize("function", [standard_error, mean_interval, bootstrap_mean])
@pytest.mark.parametrize("values", [[0.5, math.nan] * 10, [0.5, math.inf] * 10, [[0.5, 0.1]]])
def test_values_that_are_no_numbers_are_refused(function, values):
    with pytest.raises(ValueError):
        function(values)


# The bootstrap


def test_the_bootstrap_agrees_with_scipy_but_for_its_widening():
    values = np.random.default_rng(1).beta(2, 1, 200)
    ours = bootstrap_mean(values, resamples=20000, seed=3)
    theirs = scipy.stats.bootstrap((values,), np.mean, n_resamples=20000, method="BCa", rng=4).confidence_interval
    widening = math.sqrt(200 / 199) * scipy.stats.t.ppf(0.975, 199) / scipy.stats.norm.ppf(0.975)
    mean = values.mean()
    assert ours.method == "bootstrap" and ours.note == ""
    assert mean - ours.low == pytest.approx(widening * (mean - theirs.low), rel=0.04)
    assert ours.high - mean == pytest.approx(widening * (theirs.high - mean), rel=0.04)


def test_a_seed_gives_the_same_interval_and_blocks_do_not_matter(monkeypatch):
    values = np.random.default_rng(0).random(50)
    first = bootstrap_mean(values, seed=5)
    assert first == bootstrap_mean(list(values), seed=5) != bootstrap_mean(values, seed=6)
    monkeypatch.setattr(intervals, "_BLOCK", 50 * 7)  # an odd number of rows at once
    assert bootstrap_mean(values, seed=5) == first


@pytest.mark.parametrize(
    ("values", "note"),
    [
        ([1.0] * 40, "all 40 values are equal"),
        ([0.1 + 0.2, 0.3] * 20, "all 40 values are equal"),
        ([0.25], "all 1 values are equal"),
        ([0.0, 1.0, 0.5, 1.0, 0.25], "only 5 values"),
        ([1.0] * 60 + [0.0] * 4, "only 4 values differ"),
    ],
)
def test_where_resampling_means_nothing_the_score_interval_is_given_and_told(values, note):
    interval, score = bootstrap_mean(values), wilson(sum(values), len(values))
    assert interval.method == "score" and note in interval.note
    assert (interval.low, interval.high) == pytest.approx((score.low, score.high))
    assert interval.high > interval.low


def test_the_score_interval_is_scaled_to_the_bounds():
    interval, score = bootstrap_mean([0.0] * 20, bounds=(-1, 1)), wilson(10, 20)
    assert (interval.low, interval.high) == pytest.approx((2 * score.low - 1, 2 * score.high - 1))


def test_values_that_hardly_differ_give_no_nan():
    interval = bootstrap_mean([0.5, 0.5 + 1e-8] * 10)
    assert interval.low == pytest.approx(0.5) == pytest.approx(interval.high)
    assert bootstrap_mean([0.0, 1e-300] * 10).method == "score"


def test_more_is_drawn_where_the_confidence_needs_it():
    values = np.random.default_rng(0).random(30)
    wide, narrow = bootstrap_mean(values, 0.9999, resamples=100), bootstrap_mean(values, 0.95, resamples=100)
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    "more",
    [
        {"values": []},
        {"values": [1.5]},
        {"values": [-0.5]},
        {"confidence": 1.5},
        {"resamples": 0},
        {"bounds": (1, 0)},
        {"bounds": (0, math.inf)},
    ],
)
def test_the_bootstrap_refuses_what_is_undefined(more):
    with pytest.raises(ValueError):
        bootstrap_mean(**({"values": [0.5] * 12} | more))


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.sampled_from([0, 0.25, 0.5, 0.75, 1]), min_size=1, max_size=40), seed=st.integers(0, 99))
def test_the_interval_lies_in_its_bounds_around_the_mean(values, seed):
    interval = bootstrap_mean(values, seed=seed, resamples=400)
    assert 0 <= interval.low <= np.mean(values) + 1e-12 and np.mean(values) - 1e-12 <= interval.high <= 1
    assert math.isfinite(interval.low) and math.isfinite(interval.high) and interval.low < interval.high


def coverage(draw, truth, n, runs=400):
    generator = np.random.default_rng(0)
    hits = [truth in bootstrap_mean(draw(generator, n), resamples=600, seed=run) for run in range(runs)]
    return sum(hits) / runs


@pytest.mark.parametrize("n", [12, 30, 120])
@pytest.mark.parametrize("share", [0.5, 0.8])
@pytest.mark.parametrize("samples", [1, 4])
def test_the_interval_covers_the_truth_as_often_as_it_says(n, share, samples):
    def draw(generator, n):
        # Prompts differ in how often they are won (beta with mean `share`), samples of one prompt are alike.
        by_prompt = generator.beta(2 * share, 2 * (1 - share), n)
        return generator.binomial(samples, by_prompt) / samples

    # Three standard errors of 400 runs at 95% are 3.3 points. Few values may cover more, never less.
    assert coverage(draw, share, n) >= 0.95 - 0.033


def test_it_is_not_wide_for_safety_where_there_is_enough_to_resample():
    assert coverage(lambda generator, n: generator.integers(0, 5, n) / 4, 0.5, 100) <= 0.95 + 0.033


def test_resampling_samples_instead_of_prompts_would_be_too_narrow():
    # 100 prompts, each won or lost whatever the sample: 400 samples say no more than 100.
    generator = np.random.default_rng(0)
    prompts = generator.integers(0, 2, 100).astype(float)
    right, wrong = bootstrap_mean(prompts), bootstrap_mean(np.repeat(prompts, 4))
    assert (right.high - right.low) / (wrong.high - wrong.low) == pytest.approx(2, rel=0.1)


# Differences


def test_a_paired_difference_by_hand_and_its_missing_ones():
    difference = paired_difference([1, 0.5, None, 0], [0, 0.5, 1, None])
    assert (difference.mean, difference.n, difference.dropped) == (0.5, 2, 2)
    assert not difference.separable and difference.interval.method == "score"
    assert paired_difference([None, 1], [1, None]) is None and paired_difference([], []) is None


def test_pairing_separates_what_two_intervals_do_not():
    generator = np.random.default_rng(0)
    base = generator.random(60) * 0.9
    better = base + 0.05 + generator.normal(0, 0.01, 60).clip(-0.04, 0.04)
    apart = [bootstrap_mean(values) for values in (better, base)]
    assert apart[0].low < apart[1].high
    difference = paired_difference(list(better), list(base))
    assert difference.separable and difference.interval.low > 0
    mirrored = paired_difference(list(base), list(better))
    assert mirrored.mean == pytest.approx(-difference.mean) and mirrored.interval.high < 0


def test_equal_figures_are_not_separable():
    assert not paired_difference([0.5] * 30, [0.5] * 30).separable


@pytest.mark.parametrize("pair", [([1], [1, 0]), ([2], [1]), ([math.nan], [1])])
def test_pairs_that_cannot_be_compared_are_refused(pair):
    with pytest.raises(ValueError):
        paired_difference(*pair)


def test_statistics_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import preferably.statistics.intervals, preferably.statistics.repetition"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_many_pairs_that_are_alike_differ_by_little():
    """Gains and losses of 100 pairs are 0 each; Wilson at 97.5%: z^2 / (100 + z^2) = 5.0239 / 105.0239 = 0.04784."""
    interval = paired_difference([0.5] * 100, [0.5] * 100).interval
    assert interval.high == pytest.approx(0.04784, abs=1e-5) and interval.low == pytest.approx(-0.04784, abs=1e-5)
    assert "equal" in interval.note


def test_weights_that_are_alike_change_nothing():
    values = np.random.default_rng(0).random(50)
    assert bootstrap_mean(values, weights=np.full(50, 3.0)) == bootstrap_mean(values)


def test_a_weighted_interval_holds_the_mean_over_all_samples():
    """Prompts with nine samples are won in 3 of 10 cases, those with one in 8 of 10: over samples (9 x 0.3 + 0.8) / 10
    = 0.35, over prompts 0.55."""
    rng, held, missed = np.random.default_rng(1), 0, 0
    for number in range(300):
        sizes = np.where(rng.random(80) < 0.5, 9, 1)
        values = (rng.random(80) < np.where(sizes == 9, 0.3, 0.8)).astype(float)
        held += 0.35 in bootstrap_mean(values, seed=number, resamples=500, weights=sizes)
        missed += 0.35 not in bootstrap_mean(values, seed=number, resamples=500)
    assert 0.91 * 300 <= held <= 0.99 * 300 and missed > 200


def test_few_weighted_values_have_the_score_interval_of_as_many_as_they_are_worth():
    found = bootstrap_mean([1.0, 0.0, 1.0], weights=[2, 1, 1])
    # (2 + 1 + 1)^2 / (4 + 1 + 1) = 16 / 6 trials of a share of 3 / 4.
    plain = wilson(2.0, 16 / 6)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high)) and "only 3 values" in found.note
    for wrong in ([1, 1], [1, 1, 0], [1, 1, float("nan")]):
        with pytest.raises(ValueError):
            bootstrap_mean([1.0, 0.0, 1.0], weights=wrong)


def test_a_share_is_never_told_by_more_trials_than_it_has_cases():
    """Twenty-six of forty choices, by people who judged a hundred pairs, sixty of them ties."""
    assert share(26, 40, 100) == share(26, 40)
    assert share(26, 40, 20).interval.low < share(26, 40).interval.low
