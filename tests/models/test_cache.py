"""A cache with room: what it holds is what transformers' own holds, and a token is written in place."""

import pytest
import torch
from transformers import DynamicCache, LlamaConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from preferably.models.cache import ROOM, RoomyLayer, roomy_cache


def states(columns, seed, rows=3):
    """Keys [B, H, L, D] and values of another width, as some models have."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(rows, 2, columns, size, generator=generator) for size in (4, 6))


def same(one, other):
    return torch.equal(one.keys, other.keys) and torch.equal(one.values, other.values)


@pytest.mark.parametrize("tokens", [1, ROOM, 3 * ROOM + 1])
def test_it_holds_what_transformers_own_layer_holds(tokens):
    ours, theirs = RoomyLayer(), DynamicLayer()
    for step, columns in enumerate([5] + [1] * tokens):
        ours.update(*states(columns, step))
        theirs.update(*states(columns, step))
        assert same(ours, theirs)
    assert ours.get_seq_length() == theirs.get_seq_length() == 5 + tokens


def test_rows_that_leave_are_copied_and_columns_cut_off_are_gone_for_good():
    ours, theirs = RoomyLayer(), DynamicLayer()
    for layer in (ours, theirs):
        layer.update(*states(5, 0))
        layer.batch_repeat_interleave(2)
        layer.update(*states(1, 1, rows=6))
        layer.batch_select_indices(torch.tensor([4, 1]))
        for name in ("keys", "values"):  # as the sampler drops columns that no row needs
            setattr(layer, name, getattr(layer, name)[..., 2:, :])
        layer.update(*states(1, 2, rows=2))
    assert same(ours, theirs)


def test_a_token_is_written_in_place_until_the_room_is_full():
    layer = RoomyLayer()
    layer.update(*states(5, 0))
    begins = layer.keys.data_ptr()
    for step in range(ROOM):
        layer.update(*states(1, step))
        assert layer.keys.data_ptr() == begins
    layer.update(*states(1, 99))
    assert layer.keys.data_ptr() != begins


def test_what_was_given_out_before_is_not_written_over():
    layer = RoomyLayer()
    before, _ = layer.update(*states(5, 0))
    kept = before.clone()
    layer.keys = layer.keys[:2]  # fewer rows, in the same memory
    layer.values = layer.values[:2]
    layer.update(*states(1, 1, rows=2))
    assert torch.equal(before, kept)


def test_layers_with_a_window_stay_transformers_own():
    config = LlamaConfig(num_hidden_layers=2, layer_types=["full_attention", "sliding_attention"], sliding_window=8)
    assert isinstance(DynamicCache(config=config).layers[1], DynamicSlidingWindowLayer)
    assert [type(layer) for layer in roomy_cache(config).layers] == [RoomyLayer, DynamicSlidingWindowLayer]
