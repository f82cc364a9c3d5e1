import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.batches.packing import divide, packed_size, split_by_tokens

SHAPES = st.lists(
    st.tuples(st.integers(1, 30), st.lists(st.integers(1, 30), min_size=1, max_size=3)), min_size=0, max_size=12
)


@pytest.mark.parametrize(("shape", "size"), [((5, [2, 3]), 10), ((1, [1]), 2), ((4, [1, 1, 1]), 7)])
def test_a_group_takes_its_prompt_once(tiny, shape, size):
    assert packed_size(tiny.groups([shape])[0]) == size


def test_runs_worked_out_by_hand(tiny):
    groups = tiny.groups([(1, [3]), (2, [4]), (5, [5]), (1, [1]), (20, [5]), (1, [2])])  # sizes 4 6 10 2 25 3
    runs = [[group.row for group in run] for run in split_by_tokens(groups, 10)]
    assert runs == [[0, 1], [2], [3], [4], [5]]
    assert [len(run) for run in split_by_tokens(groups, 1)] == [1] * 6
    assert [len(run) for run in split_by_tokens(groups, 50)] == [6]
    assert [len(run) for run in split_by_tokens(groups, 49)] == [5, 1]


@settings(max_examples=60, deadline=None)
@given(shapes=SHAPES, budget=st.integers(1, 100))
def test_runs_keep_the_order_fill_the_budget_and_exceed_it_only_alone(tiny, shapes, budget):
    groups = tiny.groups(shapes)
    runs = split_by_tokens(groups, budget)
    assert [group.row for run in runs for group in run] == list(range(len(groups)))
    sizes = [[p + sum(c) for p, c in (shapes[group.row] for group in run)] for run in runs]
    assert all(sum(run) <= budget or len(run) == 1 for run in sizes)
    # greedy: what begins a run had no room in the one before
    assert all(sum(before) + after[0] > budget for before, after in zip(sizes, sizes[1:], strict=False))


def test_parts_worked_out_by_hand(tiny):
    groups = tiny.groups([(1, [3]), (2, [4]), (5, [5]), (1, [1]), (20, [5]), (1, [2])])  # sizes 4 6 10 2 25 3
    # longest first, to whoever has the fewest: 25 | 10 | 6 to the second | 4, 3 and 2 to the second too
    assert [[group.row for group in part] for part in divide(groups, 2)] == [[4], [0, 1, 2, 3, 5]]
    assert [[group.row for group in part] for part in divide(groups, 3)] == [[4], [2, 5], [0, 1, 3]]
    assert [[group.row for group in part] for part in divide(groups[:1], 2)] == [[0], []]


@settings(max_examples=60, deadline=None)
@given(shapes=SHAPES, parts=st.integers(1, 5))
def test_parts_hold_every_group_once_in_order_and_differ_by_one_group_at_most(tiny, shapes, parts):
    groups = tiny.groups(shapes)
    dealt = [[group.row for group in part] for part in divide(groups, parts)]
    assert sorted(row for part in dealt for row in part) == list(range(len(groups)))
    assert len(dealt) == parts and all(part == sorted(part) for part in dealt)
    tokens = [sum(packed_size(groups[row]) for row in part) for part in dealt]
    assert max(tokens) - min(tokens) <= max(map(packed_size, groups), default=0)
