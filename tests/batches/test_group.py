"""The packed row, by a hand-made example and by brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.batches.group import collate
from preferably.data.tokens import TokenGroup

SHAPES = st.lists(
    st.tuples(st.integers(1, 9), st.lists(st.integers(1, 9), min_size=1, max_size=3)), min_size=1, max_size=6
)
quick = settings(max_examples=40, deadline=None)


def group(prompt, *completions, train=None, row=0):
    arrays = tuple(np.array(c) for c in completions)
    masks = (
        tuple(np.array(m, dtype=bool) for m in train) if train else tuple(np.ones(len(c), dtype=bool) for c in arrays)
    )
    return TokenGroup(np.array(prompt), arrays, masks, row)


def example():
    return collate(
        [
            group([10, 11, 12], [20, 21], [30], train=[[1, 1], [1]]),
            group([40], [50, 51, 52], train=[[1, 0, 1]], row=1),
        ]
    )


def test_a_row_worked_out_by_hand():
    batch = example()
    #               prompt      chosen  rej  prompt  completion
    #       place   0   1   2   3   4   5    6       7   8   9
    assert batch.tokens.tolist() == [10, 11, 12, 20, 21, 30, 40, 50, 51, 52]
    assert batch.positions.tolist() == [0, 1, 2, 3, 4, 3, 0, 1, 2, 3]
    assert batch.target.tolist() == [20, 21, 30, 50, 51, 52]
    assert batch.source.tolist() == [2, 3, 2, 6, 7, 8]
    assert batch.segment.tolist() == [0, 0, 1, 2, 2, 2]
    assert batch.train.tolist() == [True, True, True, True, False, True]
    assert batch.first.tolist() == [0, 2, 3]
    assert batch.lengths.tolist() == [2.0, 1.0, 2.0]
    assert batch.completions == 3


def test_sums_are_over_the_trained_tokens_of_each_completion():
    batch = example()
    logps = torch.tensor([-1.0, -2.0, -4.0, -8.0, -16.0, -32.0])
    assert batch.sums(logps).tolist() == [-3.0, -4.0, -40.0]


def test_what_is_not_trained_leaves_no_gradient_even_where_it_is_not_finite():
    batch = example()
    logps = torch.tensor([-1.0, -2.0, -4.0, -8.0, -float("inf"), -32.0], requires_grad=True)
    batch.sums(logps).sum().backward()
    assert batch.sums(logps).tolist() == [-3.0, -4.0, -40.0]
    assert logps.grad.tolist() == [1, 1, 1, 1, 0, 1]


@quick
@given(shapes=SHAPES, seed=st.integers(0, 99))
def test_every_target_follows_its_source_in_prompt_plus_completion(tiny, shapes, seed):
    groups = tiny.groups(shapes, seed=seed, masked=True)
    batch = collate(groups)
    at = 0
    number = 0
    for one in groups:
        for completion, train in zip(one.completions, one.train, strict=True):
            whole = np.concatenate([one.prompt, completion])
            for i in range(len(completion)):
                before = len(one.prompt) + i - 1
                source = int(batch.source[at])
                assert batch.target[at] == completion[i] and batch.segment[at] == number
                assert batch.tokens[source] == whole[before] and batch.positions[source] == before
                assert batch.train[at] == train[i]
                at += 1
            assert batch.lengths[number] == train.sum()
            number += 1
    assert at == len(batch.target) == len(batch.source) and number == batch.completions


@quick
@given(shapes=SHAPES, data=st.data())
def test_the_order_of_the_groups_changes_nothing_about_a_group(tiny, shapes, data):
    groups = tiny.groups(shapes, masked=True)
    order = data.draw(st.permutations(range(len(groups))))

    def described(batch):
        """Each group's own tokens, positions and sources, the latter relative to its start in the row."""
        out = {}
        first = batch.first.tolist()
        begins = (batch.positions == 0).nonzero()[:, 0].tolist() + [len(batch.tokens)]
        for g, one in enumerate(batch.groups):
            mine = (batch.segment >= first[g]) & (batch.segment < first[g + 1])
            row = slice(begins[g], begins[g + 1])
            out[one.row] = (
                batch.tokens[row].tolist(), batch.positions[row].tolist(), (batch.source[mine] - begins[g]).tolist(),
                batch.target[mine].tolist(), batch.train[mine].tolist(),
                batch.lengths[first[g] : first[g + 1]].tolist(),
            )  # fmt: skip
        return out

    assert described(collate([groups[i] for i in order])) == described(collate(groups))


def test_moving_a_batch_keeps_its_numbers():
    batch, again = example(), example()
    moved = batch.to(torch.device("cpu"))
    assert moved.tokens.equal(again.tokens) and moved.source.equal(again.source) and moved.groups is batch.groups


def test_tokens_of_other_integer_types_become_int64():
    one = TokenGroup(np.array([1], np.int32), (np.array([2], np.uint16),), (np.array([True]),), 0)
    batch = collate([one])
    assert batch.tokens.dtype == batch.target.dtype == batch.source.dtype == torch.int64


@pytest.mark.parametrize("completions", [1, 2, 5])
def test_any_number_of_completions_shares_one_prompt(tiny, completions):
    (one,) = tiny.groups([(4, [3] * completions)])
    batch = collate([one])
    assert len(batch.tokens) == 4 + 3 * completions
    assert batch.source[::3].tolist() == [3] * completions
