from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.data.order import batch_indices, index_at

# Written down once: a resumed run must see the rows in the order in which it began.
ORDER_OF_TEN = [4, 6, 5, 2, 3, 9, 7, 1, 8, 0]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 600), st.integers(0, 2**40), st.integers(0, 9))
def test_each_epoch_is_a_permutation(n, seed, epoch):
    assert sorted(index_at(i, n, seed, epoch) for i in range(n)) == list(range(n))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 16, 17, 1023, 1024, 1025])
def test_sizes_around_powers_of_two(n):
    assert sorted(index_at(i, n, 7, 0) for i in range(n)) == list(range(n))


def test_ten_billion_rows_need_no_more_memory():
    n = 10**10
    assert len({index_at(i, n, 0, 0) for i in range(1000)}) == 1000


def test_every_row_is_first_about_equally_often():
    # 6000 seeds over 6 rows: each 1000 times, standard deviation sqrt(6000 * 1/6 * 5/6) = 29
    counts = Counter(index_at(0, 6, seed, 0) for seed in range(6000))
    assert sorted(counts) == list(range(6)) and all(abs(count - 1000) < 5 * 29 for count in counts.values())


def test_neighbours_are_not_kept():
    order = [index_at(i, 1000, 0, 0) for i in range(1000)]
    gaps = [abs(one - other) for one, other in zip(order, order[1:], strict=False)]
    assert 300 < sum(gaps) / len(gaps) < 367  # of a random permutation: n / 3


def test_the_order_never_changes_between_releases():
    assert [index_at(i, 10, 0, 0) for i in range(10)] == ORDER_OF_TEN
    assert batch_indices(0, 10, 10, 0) == ORDER_OF_TEN != batch_indices(1, 10, 10, 0)


def test_batches_straddle_epochs_and_miss_nothing():
    n, size = 7, 3
    drawn = [row for step in range(14) for row in batch_indices(step, size, n, seed=4)]
    assert len(drawn) == 42
    for epoch in range(6):
        assert sorted(drawn[epoch * n : epoch * n + n]) == list(range(n))
    assert batch_indices(2, size, n, seed=4) == drawn[6:9]


@pytest.mark.parametrize("i", [-1, 5])
def test_positions_outside_are_refused(i):
    with pytest.raises(ValueError, match="not in range"):
        index_at(i, 5, 0, 0)
