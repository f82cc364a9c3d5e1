"""Agreement against figures of the literature, hand calculation, and what must be undefined."""

from functools import partial

import numpy as np
import pytest

from preferably.statistics.agreement import (
    between,
    cohen,
    compact,
    fleiss,
    gwet,
    krippendorff,
    raw,
    raw_between,
    with_interval,
)

# Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section C: four observers of twelve units.
FOUR = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
]).T - 1  # fmt: skip

# Fleiss 1971, table 1: thirty patients by six psychiatrists each, five diagnoses; counts.
FLEISS = [
    (0, 0, 0, 6, 0), (0, 3, 0, 0, 3), (0, 1, 4, 0, 1), (0, 0, 0, 0, 6), (0, 3, 0, 3, 0), (2, 0, 4, 0, 0),
    (0, 0, 4, 0, 2), (2, 0, 3, 1, 0), (2, 0, 0, 4, 0), (0, 0, 0, 0, 6), (1, 0, 0, 5, 0), (1, 1, 0, 4, 0),
    (0, 3, 3, 0, 0), (1, 0, 0, 5, 0), (0, 2, 0, 3, 1), (0, 0, 5, 0, 1), (3, 0, 0, 1, 2), (5, 1, 0, 0, 0),
    (0, 2, 0, 4, 0), (1, 0, 2, 0, 3), (0, 0, 0, 0, 6), (0, 1, 0, 5, 0), (0, 2, 0, 1, 3), (2, 0, 0, 4, 0),
    (1, 0, 0, 4, 1), (0, 5, 0, 1, 0), (4, 0, 0, 0, 2), (0, 2, 0, 4, 0), (1, 0, 5, 0, 0), (0, 0, 0, 0, 6),
]  # fmt: skip


def codes_of(counts):
    return np.array([[k for k, n in enumerate(row) for _ in range(n)] for row in counts])


def of_cells(cells):
    """Two labelers, from how often they said (a, b)."""
    return np.array([pair for pair, n in cells.items() for _ in range(n)])


def test_the_published_example_of_alpha():
    assert krippendorff(FOUR).value == pytest.approx(0.743, abs=5e-4)
    assert krippendorff(FOUR, scale="ordinal").value == pytest.approx(0.815, abs=5e-4)
    assert krippendorff(FOUR).units == 11


def test_the_published_example_of_fleiss():
    assert fleiss(codes_of(FLEISS)).value == pytest.approx(0.430, abs=5e-4)


def test_kappa_of_two_by_hand():
    # Po = 35/50, Pe = 25/50 x 30/50 + 25/50 x 20/50 = 0.5
    assert cohen(of_cells({(0, 0): 20, (0, 1): 5, (1, 0): 10, (1, 1): 15})).value == pytest.approx(0.4)
    # Three categories with linear weights 1, 1/2, 0: Po = (2 + 1/2) / 3, Pe = (1 x 3 + 1/2 x 4) / 9
    three = of_cells({(0, 0): 1, (1, 1): 1, (2, 1): 1})
    po, pe = 2.5 / 3, (1 * 1 + 2 * 0.5 + 1 * 0.5 + 2 * 1 + 2 * 0.5) / 9
    assert cohen(three, weights="linear").value == pytest.approx((po - pe) / (1 - pe))
    po, pe = 2.75 / 3, (1 * 1 + 2 * 0.75 + 1 * 0.75 + 2 * 1 + 2 * 0.75) / 9
    assert cohen(three, weights="quadratic").value == pytest.approx((po - pe) / (1 - pe))


def test_where_one_category_is_nearly_all_kappa_is_low_and_ac1_is_not():
    # Gwet 2008, the paradox: 118 + 5 + 2 + 0. P = 0.944, p = (123 + 120) / 250 = 0.972, Pe = 2 p (1 - p) = 0.054432
    skewed = of_cells({(0, 0): 118, (0, 1): 5, (1, 0): 2})
    assert gwet(skewed).value == pytest.approx((0.944 - 0.054432) / (1 - 0.054432))
    assert cohen(skewed).value < 0 < fleiss(skewed).value + 0.1
    assert raw(skewed).value == pytest.approx(0.944)


def test_ac2_by_hand():
    # Three categories: M = 0, 1, 3, so the weights are 1, 2/3, 0. (0, 0), (1, 1), (2, 1): P = (2 + 2/3) / 3.
    # Shares 1/3, 1/2, 1/6; sum p (1 - p) = 1 - 14/36 = 22/36; sum of weights 3 + 4 x 2/3; Pe = 17/3 / 6 x 22/36
    pe = (3 + 8 / 3) / 6 * 22 / 36
    value = gwet(of_cells({(0, 0): 1, (1, 1): 1, (2, 1): 1}), scale="ordinal").value
    assert value == pytest.approx(((2 + 2 / 3) / 3 - pe) / (1 - pe))


def test_missing_verdicts_count_for_nothing():
    table = np.array([[0, 0, -1], [1, -1, 1], [0, 1, -1], [0, -1, -1], [-1, -1, -1]])
    assert raw(table).value == pytest.approx(2 / 3) and raw(table).units == 3
    assert krippendorff(table).value == krippendorff(table[:3]).value
    assert fleiss(table).value is not None  # two verdicts on each unit that has any two


@pytest.mark.parametrize("measure", [raw, cohen, fleiss, krippendorff, gwet])
def test_perfect_agreement_is_1_and_renaming_changes_nothing(measure):
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=50)
    assert measure(np.stack([truth, truth], 1)).value == pytest.approx(1)
    noisy = np.stack([truth, np.where(rng.random(50) < 0.7, truth, rng.integers(3, size=50))], 1)
    renamed = np.array([2, 0, 1])[noisy]
    assert measure(noisy).value == pytest.approx(measure(renamed).value)
    assert measure(noisy).value == pytest.approx(measure(noisy[::-1, ::-1]).value)


@pytest.mark.parametrize("measure", [cohen, fleiss, krippendorff, gwet])
def test_chance_is_0_on_average(measure):
    rng = np.random.default_rng(1)
    found = [measure(rng.integers(3, size=(400, 2))).value for _ in range(20)]
    assert abs(np.mean(found)) < 0.02


def test_what_is_not_defined_says_why():
    unanimous = np.zeros((10, 2), dtype=int)
    for measure in (cohen, fleiss, krippendorff, gwet):
        found = measure(unanimous)
        assert found.value is None and found.why and found.units == 10
    assert raw(unanimous).value == 1
    alone = np.array([[0, -1], [-1, 1]])
    for measure in (raw, cohen, fleiss, krippendorff, gwet):
        assert measure(alone).value is None and "two labelers" in measure(alone).why
    uneven = fleiss(np.array([[0, 0, -1], [0, 1, 1]]))
    assert uneven.value is None and "different numbers" in uneven.why


@pytest.mark.parametrize("bad", [[0, 1], [[0.5, 1]], [[-2, 0]]])
def test_tables_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="Expected"):
        raw(np.array(bad))
    with pytest.raises(ValueError, match="two labelers"):
        cohen(np.zeros((3, 3), dtype=int))


def test_the_interval_covers_what_is_true():
    """Two labelers of a known accuracy, 200 data sets: nominal 95% covers the value of the population."""
    rng = np.random.default_rng(2)

    def drawn(n):
        truth = rng.integers(2, size=n)
        flipped = rng.random((n, 2)) < 0.2
        return np.where(flipped, 1 - truth[:, None], truth[:, None])

    # Balanced: Pe = 1/2, Po = 0.8^2 + 0.2^2 = 0.68, so alpha and kappa are 0.36.
    covered = [0.36 in with_interval(krippendorff, drawn(150), resamples=400, seed=n).interval for n in range(200)]
    assert 0.90 <= np.mean(covered) <= 0.99
    nearly = np.array([[0, 0]] * 30 + [[0, 1]])
    assert with_interval(cohen, nearly, resamples=200).interval is None


def test_two_sides_by_hand():
    """One lead, two labelers. Shares that say 1: lead 0, 1, 1; labelers 1/2, 1, 0 -> P = (1/2 + 1 + 0) / 3 = 1/2;
    Pe = 1/3 x 1/2 + 2/3 x 1/2 = 1/2, so kappa is 0. The unit that the lead did not judge is left out."""
    codes = np.array([[0, 0, 1], [1, 1, 1], [1, 0, 0], [-1, 1, 1]])
    found = raw_between(codes, first=1), between(codes, first=1)
    assert [(one.value, one.units) for one in found] == [(0.5, 3), (pytest.approx(0), 3)]
    assert raw_between(np.array([[0, 0, 1], [1, 1, 1]]), first=1).value == 0.75  # the docstring's


def test_between_one_and_one_is_cohens_kappa():
    codes = of_cells({(0, 0): 20, (0, 1): 5, (1, 0): 10, (1, 1): 15})
    assert between(codes, first=1).value == pytest.approx(cohen(codes).value) == pytest.approx(0.4)


def test_sides_that_never_meet_are_not_defined():
    apart = np.array([[0, -1], [-1, 1]])
    for measure in (raw_between, between):
        found = measure(apart, first=1)
        assert found.value is None and "judged by both" in found.why
    assert between(np.zeros((5, 2), dtype=int), first=1).value is None


def test_who_said_it_does_not_matter_to_most():
    rng = np.random.default_rng(4)
    codes = np.where(rng.random((60, 12)) < 0.3, rng.integers(3, size=(60, 12)), -1)
    tight = compact(codes)
    assert tight.shape[1] == (codes >= 0).sum(1).max() < 12
    for measure in (raw, krippendorff, gwet, partial(krippendorff, scale="ordinal")):
        assert measure(tight).value == pytest.approx(measure(codes).value)


def test_units_that_go_together_make_a_wider_interval():
    """Each unit ten times over knows no more than once."""
    rng = np.random.default_rng(5)
    codes = np.repeat(rng.integers(2, size=(60, 2)), 10, axis=0)
    alone = with_interval(raw, codes, resamples=400).interval
    together = with_interval(raw, codes, resamples=400, clusters=np.repeat(np.arange(60), 10)).interval
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(10**0.5, rel=0.2)
