"""Who sees whom, against a table of every (query, key) made from the definition alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.batches import plan as planning
from preferably.batches.group import collate

SHAPES = st.lists(
    st.tuples(st.integers(1, 12), st.lists(st.integers(1, 12), min_size=1, max_size=3)), min_size=1, max_size=6
)
WINDOWS = st.none() | st.integers(1, 9)
quick = settings(max_examples=60, deadline=None)


def visible(groups, window):
    """[T, T] bool by definition: same group, and same completion or prompt, at most `window` positions back."""
    owner, branch, position = [], [], []
    for g, group in enumerate(groups):
        owner += [g] * len(group.prompt)
        branch += [None] * len(group.prompt)
        position += range(len(group.prompt))
        for k, completion in enumerate(group.completions):
            owner += [g] * len(completion)
            branch += [k] * len(completion)
            position += range(len(group.prompt), len(group.prompt) + len(completion))
    size = len(owner)
    seen = torch.zeros(size, size, dtype=torch.bool)
    for q in range(size):
        for k in range(size):
            mine = owner[q] == owner[k] and branch[k] in (None, branch[q])
            back = position[q] - position[k]
            seen[q, k] = mine and back >= 0 and (window is None or back < window)
    return seen


def planned(plan, tokens, window):
    """[T, T] bool and [T] counts, read out of the buckets through `output`."""
    flat = []  # (token that asks, keys that it sees), buckets' queries laid end to end
    for bucket in plan.buckets:
        mask = bucket.mask(window)[:, 0]
        for row in range(bucket.queries.shape[0]):
            for q in range(bucket.queries.shape[1]):
                flat.append((int(bucket.queries[row, q]), bucket.keys[row][mask[row, q]].tolist()))
    seen = torch.zeros(tokens, tokens, dtype=torch.bool)
    for token in range(tokens):
        asker, keys = flat[int(plan.output[token])]
        assert asker == token
        assert len(keys) == len(set(keys)), "a key that is seen twice weighs twice"
        seen[token, keys] = True
    return seen


@quick
@given(shapes=SHAPES, window=WINDOWS)
def test_the_plan_shows_each_token_exactly_what_the_definition_says(tiny, shapes, window):
    groups = tiny.groups(shapes)
    batch = collate(groups)
    assert planned(batch.plan, len(batch.tokens), window).equal(visible(groups, window))


@quick
@given(shapes=SHAPES)
def test_every_token_is_a_query_exactly_once(tiny, shapes):
    batch = collate(tiny.groups(shapes))
    output = batch.plan.output
    assert len(set(output.tolist())) == len(output) == len(batch.tokens)
    # real queries: prompt with the first completion, then each other completion alone
    real = sum(p + sum(c) for p, c in shapes)
    padded = sum(bucket.queries.numel() for bucket in batch.plan.buckets)
    assert real == len(batch.tokens) <= padded


@quick
@given(shapes=SHAPES, window=WINDOWS)
def test_no_row_of_a_mask_is_empty(tiny, shapes, window):
    for bucket in collate(tiny.groups(shapes)).plan.buckets:
        assert bucket.mask(window).any(-1).all()


@quick
@given(shapes=SHAPES)
def test_a_bucket_without_a_mask_is_a_plain_causal_triangle(tiny, shapes):
    for bucket in collate(tiny.groups(shapes)).plan.buckets:
        if bucket.square:
            size = bucket.keys.shape[1]
            assert bucket.queries.equal(bucket.keys) and len(bucket.queries) == 1
            assert bucket.mask(None)[0, 0].equal(torch.ones(size, size).tril().bool())


@quick
@given(shapes=SHAPES)
def test_padding_stays_within_what_is_allowed(tiny, shapes):
    """The area of each bucket that has more than one branch is at most PADDING_ALLOWED times its real area."""
    batch = collate(tiny.groups(shapes))
    for bucket in batch.plan.buckets:
        rows, queries, keys = *bucket.queries.shape, bucket.keys.shape[1]
        real = sum(int(n - o) * int(n) for n, o in zip(bucket.lengths, bucket.offset, strict=True))
        assert rows == 1 or rows * queries * keys <= planning.PADDING_ALLOWED * real


def test_a_bucket_never_has_more_mask_entries_than_allowed(tiny, monkeypatch):
    monkeypatch.setattr(planning, "MASK_ENTRIES", 100)
    batch = collate(tiny.groups([(3, [4, 4])] * 6))
    sizes = [bucket.mask(None).numel() for bucket in batch.plan.buckets]
    assert max(sizes) <= 100 and len(sizes) > 2
    assert planned(batch.plan, len(batch.tokens), None).equal(visible(batch.groups, None))


def test_equal_pairs_take_two_calls(tiny):
    """All first branches in one bucket, all others in a second."""
    plan = collate(tiny.groups([(5, [4, 4])] * 8)).plan
    assert [tuple(bucket.queries.shape) for bucket in plan.buckets] == [(8, 4), (8, 9)]


@pytest.mark.parametrize("window", [1, 3])
def test_a_window_of_w_is_w_keys_counting_oneself(tiny, window):
    (bucket,) = collate(tiny.groups([(2, [4])])).plan.buckets
    assert bucket.mask(window)[0, 0].sum(-1).tolist() == [min(i + 1, window) for i in range(6)]


@quick
@given(shapes=SHAPES)
def test_a_strip_shows_each_token_what_the_definition_says(tiny, shapes):
    """The last query of a branch is at its last key, and each sees the keys up to its own place."""
    groups = tiny.groups(shapes)
    batch = collate(groups)
    strip = planning.strip_of(batch.plan.branches, torch.device("cpu"))
    tokens = len(batch.tokens)
    seen = torch.zeros(tokens, tokens, dtype=torch.bool)
    queries, keys = strip.query_ends.tolist(), strip.key_ends.tolist()
    assert queries[-1] == tokens and keys[-1] == len(strip.keys)
    assert strip.most_queries == max(b - a for a, b in zip(queries, queries[1:], strict=False))
    assert strip.most_keys == max(b - a for a, b in zip(keys, keys[1:], strict=False))
    for q0, q1, k0, k1 in zip(queries, queries[1:], keys, keys[1:], strict=False):
        for query in range(q0, q1):
            seen[query, strip.keys[k0 : k1 - (q1 - 1 - query)]] = True
    assert torch.equal(seen, visible(groups, None))
