"""The order of the data as a pure function of (seed, epoch, index): resuming needs a step, not a list.

A permutation of n rows is a Feistel network over the smallest even number of bits that hold n. It permutes the larger
range; an index that falls outside of n is sent through again until it falls inside ("cycle walking"), at most four
times on average. Nothing is stored, so ten rows and ten billion take the same memory.
"""

from functools import lru_cache
from hashlib import blake2b

ROUNDS = 8  # four make a good permutation of many rows; few rows have few bits to mix and need more
MASK = 2**64 - 1


def index_at(i: int, n: int, seed: int, epoch: int) -> int:
    """The row (0 to n - 1) at position `i` (0 to n - 1) of `epoch`: for fixed seed and epoch, a permutation."""
    if not 0 <= i < n:
        raise ValueError(f"position {i} is not in range({n})")
    half = max((n - 1).bit_length() + 1, 2) // 2
    keys = _keys(seed, epoch)
    while True:
        left, right = i >> half, i & ((1 << half) - 1)
        for key in keys:
            left, right = right, left ^ (_mix(right ^ key) >> (64 - half))
        i = left << half | right
        if i < n:
            return i


def batch_indices(step: int, batch_size: int, n: int, seed: int) -> list[int]:
    """The `batch_size` rows of `step` (from 0), of `n` rows in endless epochs: each row exactly once an epoch.

    A batch may straddle two epochs. Where training ends with an epoch, the caller cuts the last batch.
    """
    start = step * batch_size
    return [index_at(at % n, n, seed, at // n) for at in range(start, start + batch_size)]


@lru_cache(maxsize=8)
def _keys(seed: int, epoch: int) -> tuple[int, ...]:
    digest = blake2b(f"{seed}/{epoch}".encode(), digest_size=8 * ROUNDS).digest()
    return tuple(int.from_bytes(digest[at : at + 8], "little") for at in range(0, 8 * ROUNDS, 8))


def _mix(value: int) -> int:
    """64 bits in, 64 well mixed bits out (the finaliser of SplitMix64)."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31
