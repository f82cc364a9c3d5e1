"""Which token sees which: the attention plan of a packed batch.

Each completion is a branch of its group. Its keys are the prompt and itself; its queries are itself, and the group's
first branch also answers for the prompt, so that every token of the batch is a query exactly once. Branches of like
lengths are attended together in one call, as rows of a bucket padded to the bucket's longest; nothing outside attention
is ever padded. A GPU is slow at a thousand small calls and has a kernel for rows of any length: there all branches
are one strip, attended in one call.
"""

from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

# A bucket may be padded up to this multiple of its real query-key area. Short branches gain from fewer calls, long ones
# lose by padding; 1.5 was as fast as any value from 1.2 to 2 on chat-length pairs.
PADDING_ALLOWED = 1.5
# Entries of one bucket's mask (and of the score matrix where the kernel builds it): 2^24 is 64 MB in float32 a head.
MASK_ENTRIES = 1 << 24


@dataclass(frozen=True, slots=True)
class Branch:
    """One completion in its packed row: key i of the branch is at `prompt_start + i`, then at `start + i - prompt`."""

    prompt_start: int
    prompt: int  # length of the prompt
    start: int  # where the completion starts in the row
    length: int  # length of the completion
    first: bool  # whether this branch's queries include the prompt

    @property
    def keys(self) -> int:
        """How many keys the branch has."""
        return self.prompt + self.length

    @property
    def queries(self) -> int:
        """How many queries the branch has."""
        return self.keys if self.first else self.length


@dataclass(slots=True)
class Bucket:
    """Branches attended in one call: B rows, Q queries, S keys (padded)."""

    queries: Tensor  # [B, Q] int64 into the packed row; padding points at the branch's first query
    keys: Tensor  # [B, S] int64 into the packed row; padding points at the branch's first key
    offset: Tensor  # [B] which key the first query is
    lengths: Tensor  # [B] real keys
    square: bool  # one causal branch without padding: no mask is needed
    masks: dict[int | None, Tensor] = field(default_factory=dict)

    def mask(self, window: int | None) -> Tensor:
        """[B, 1, Q, S] bool, true where a query sees a key; `window` keys back at the most where it is given."""
        if window not in self.masks:
            # A query sees keys up to its own place. Padding queries repeat the last place and are thrown away, so that
            # no row of the mask is empty (an empty row is NaN in softmax).
            place = self.offset[:, None] + torch.arange(self.queries.shape[1], device=self.queries.device)
            place = torch.minimum(place, self.lengths[:, None] - 1)[:, None, :, None]
            key = torch.arange(self.keys.shape[1], device=self.keys.device)
            seen = key <= place
            if window is not None:
                seen = seen & (key > place - window)
            self.masks[window] = seen
        return self.masks[window]


@dataclass(slots=True)
class Strip:
    """All branches end to end, without padding. Their queries are the packed row as it is; the last query of a branch
    is at its last key."""

    keys: Tensor  # [S] int64 into the packed row, branch by branch
    query_ends: Tensor  # [N + 1] int32: 0, and where each branch's queries end in the packed row
    key_ends: Tensor  # [N + 1] int32: 0, and where each branch's keys end among `keys`
    most_queries: int  # of a branch
    most_keys: int


@dataclass(slots=True)
class Plan:
    """The buckets of a batch and, for every token, where its output lies among theirs."""

    branches: list[Branch]
    buckets: list[Bucket]
    output: Tensor  # [T] int64 into the buckets' queries laid end to end
    strip: Strip | None = None  # only on a GPU
    calls: int = 0  # how often attention was asked for: the self-check expects one call a layer

    def to(self, device: torch.device) -> "Plan":
        """The plan on `device`."""
        self.strip = strip_of(self.branches, device) if device.type == "cuda" else None
        for bucket in self.buckets:
            bucket.queries, bucket.keys = bucket.queries.to(device), bucket.keys.to(device)
            bucket.offset, bucket.lengths = bucket.offset.to(device), bucket.lengths.to(device)
        self.output = self.output.to(device)
        return self


def plan_attention(branches: list[Branch], tokens: int) -> Plan:
    """The plan for `branches` that together hold `tokens` tokens."""
    output = torch.empty(tokens, dtype=torch.int64)
    buckets = []
    done = 0
    for members in _alike(branches):
        bucket = _bucket(members)
        width = bucket.queries.shape[1]
        for row, branch in enumerate(members):
            output[bucket.queries[row, : branch.queries]] = torch.arange(branch.queries) + (done + row * width)
        done += len(members) * width
        buckets.append(bucket)
    return Plan(branches, buckets, output)


def strip_of(branches: list[Branch], device: torch.device) -> Strip:
    """All of `branches`, in the order of the row, as one strip."""
    parts = ((b.prompt_start, b.prompt, b.start, b.length) for b in branches)
    keys = [torch.arange(at, at + length) for prompt in parts for at, length in (prompt[:2], prompt[2:])]
    sizes = [b.queries for b in branches], [b.keys for b in branches]
    query_ends, key_ends = (torch.tensor([0, *accumulate(one)], dtype=torch.int32, device=device) for one in sizes)
    return Strip(torch.cat(keys).to(device), query_ends, key_ends, *map(max, sizes))


def _alike(branches: list[Branch]) -> list[list[Branch]]:
    """Branches in runs whose padded area stays near their real one."""
    runs: list[list[Branch]] = []
    real = widest = longest = 0
    for branch in sorted(branches, key=lambda b: (b.first, b.keys, b.queries)):
        area = branch.queries * branch.keys
        if runs:
            padded = (len(runs[-1]) + 1) * max(widest, branch.queries) * max(longest, branch.keys)
            if padded <= min(PADDING_ALLOWED * (real + area), MASK_ENTRIES):
                runs[-1].append(branch)
                real, widest, longest = real + area, max(widest, branch.queries), max(longest, branch.keys)
                continue
        runs.append([branch])
        real, widest, longest = area, branch.queries, branch.keys
    return runs


def _bucket(members: list[Branch]) -> Bucket:
    width, height = max(b.keys for b in members), max(b.queries for b in members)
    keys = torch.empty(len(members), width, dtype=torch.int64)
    queries = torch.empty(len(members), height, dtype=torch.int64)
    for row, b in enumerate(members):
        prompt = torch.arange(b.prompt_start, b.prompt_start + b.prompt)
        completion = torch.arange(b.start, b.start + b.length)
        own = torch.cat([prompt, completion])
        asked = own if b.first else completion
        keys[row, : b.keys], keys[row, b.keys :] = own, own[0]
        queries[row, : b.queries], queries[row, b.queries :] = asked, asked[0]
    return Bucket(
        queries,
        keys,
        torch.tensor([0 if b.first else b.prompt for b in members]),
        torch.tensor([b.keys for b in members]),
        square=len(members) == 1 and members[0].first,
    )
