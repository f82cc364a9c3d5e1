"""Keys and values of what a sampler has read, with room for what it will."""

from inspect import signature
from typing import Any

from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 16  # columns beyond those that are needed now


def handed(model: nn.Module, cache: DynamicCache) -> dict[str, DynamicCache]:
    """`cache` by the name that the forward of `model` knows it by, which transformers changes with 5.24."""
    name = "cache" if "cache" in signature(type(model).forward).parameters else "past_key_values"
    return {name: cache}


class RoomyLayer(DynamicLayer):
    """A layer that grows in place: transformers' own copies all that was read for every token that is drawn.

    `keys` and `values` are what others see, [B, H, L, D]; whoever puts other tensors there (fewer rows, columns cut
    off) leaves the room behind, and the next token makes a new one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._rooms: dict[str, tuple[Tensor, Tensor]] = {}  # all of the memory, and the part of it that was given out

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write L' more columns, [B, H, L', D], and return all of them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.values = self._with("keys", key_states), self._with("values", value_states)
        return self.keys, self.values

    def _with(self, name: str, new: Tensor) -> Tensor:
        old: Tensor = getattr(self, name)
        room, given = self._rooms.get(name, (old, None))
        before = old.shape[-2] if old.numel() else 0
        after = before + new.shape[-2]
        if given is not old or after > room.shape[-2]:
            room = new.new_empty(*new.shape[:-2], after + ROOM, new.shape[-1])
            if before:
                room[..., :before, :] = old
        room[..., before:after, :] = new
        grown = room[..., :after, :]
        self._rooms[name] = (room, grown)
        return grown


def roomy_cache(config: Any) -> DynamicCache:
    """An empty cache for a model of this configuration; layers with a window stay transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
