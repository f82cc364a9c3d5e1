from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.data.order import index_at
from preferably.data.together import bundled


def of_prompts(tiny, prompts):
    """Groups, one for each number in `prompts`, which is its prompt."""
    groups = tiny.groups([(1, [2, 2])] * len(prompts))
    return [replace(one, prompt=np.array([prompt])) for one, prompt in zip(groups, prompts, strict=True)]


def test_groups_of_one_prompt_follow_each_other_wherever_they_stood(tiny):
    together = bundled(of_prompts(tiny, [7, 8, 7, 9, 8, 7]), batch_size=12)
    assert together.bundles == [[0, 2, 5], [1, 4], [3]]
    for epoch in range(3):
        places = [index_at(at, 3, 5, epoch) for at in range(3)]
        assert together.order(5, epoch) == [row for place in places for row in together.bundles[place]]


def test_a_batch_holds_four_prompts_where_there_are_as_many(tiny):
    groups = of_prompts(tiny, [7] * 10 + [8])
    # Of a batch of 16 at most 4: ten in parts as even as can be.
    assert bundled(groups, batch_size=16).bundles == [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9], [10]]
    assert bundled(groups, batch_size=7) is None  # no room for two of one prompt
    assert bundled(of_prompts(tiny, [1, 2, 3, 4]), batch_size=64) is None  # nothing to share


@settings(max_examples=60, deadline=None)
@given(prompts=st.lists(st.integers(0, 9), min_size=11, max_size=40), size=st.integers(8, 40), seed=st.integers(0, 99))
def test_batches_straddle_passes_and_miss_nothing(tiny, prompts, size, seed):
    together, n = bundled(of_prompts(tiny, prompts), size), len(prompts)
    rows = [row for step in range(3 * n) for row in together.batch(step, size, seed)]
    for epoch in range(3):
        assert sorted(rows[epoch * n : epoch * n + n]) == list(range(n))
    assert together.batch(2, size, seed) == rows[2 * size : 3 * size]
    assert bundled(of_prompts(tiny, prompts), size).batch(2, size, seed) == rows[2 * size : 3 * size]  # nothing is kept


def test_bundles_are_shuffled_anew_each_pass(tiny):
    together = bundled(of_prompts(tiny, [row // 2 for row in range(12)]), batch_size=8)
    firsts = Counter(together.order(seed, 0)[0] // 2 for seed in range(600))
    assert sorted(firsts) == list(range(6)) and all(abs(count - 100) < 50 for count in firsts.values())
    assert together.order(1, 0) != together.order(1, 1)
