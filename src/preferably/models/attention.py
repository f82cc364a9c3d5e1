"""Prefix-shared attention for any Hugging Face model that goes through transformers' attention interface.

One implementation serves both paths. Called with a `plan` (a packed batch), every branch attends to its prompt and
itself; called without one (padded batches, generation), it is transformers' own scaled-dot-product attention.
"""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from preferably.batches.plan import Plan, Strip

NAME = "preferably"

# A 4-D mask is handed to the layers as it is, so passing this one stops transformers from building a mask of its own
# (which would take the restarts of the positions for the borders of packed documents and hide the prompt).
NO_MASK = torch.zeros(1, 1, 1, 1)

ON_GPU = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


def prefix_shared_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    plan: Plan | None = None,
    **kwargs: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention over a packed row: query [1, H, T, D], key and value [1, H_kv, T, D] -> [1, T, H, D]."""
    if plan is None:
        with _quick_to_plan(query):
            return sdpa_attention_forward(
                module, query, key, value, attention_mask, scaling=scaling, dropout=dropout,
                sliding_window=sliding_window, **kwargs,
            )  # fmt: skip
    plan.calls += 1
    rows = [x[0].transpose(0, 1).contiguous() for x in (query, key, value)]  # [T, H, D]
    if plan.strip is not None and not dropout and _any_length(short := _as_computed(rows)):
        return _in_one_call(short, plan.strip, scaling, sliding_window)[None], None
    outputs = []
    for bucket in plan.buckets:
        q = _gather(rows[0], bucket.queries)
        k, v = (_gather(x, bucket.keys) for x in rows[1:])
        causal = bucket.square and sliding_window is None
        if q.is_cuda and not causal:  # as many heads of keys as of queries, or no kernel that saves memory takes a mask
            k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
        with _quick_to_plan(query):
            attended = F.scaled_dot_product_attention(
                q, k, v,
                attn_mask=None if causal else bucket.mask(sliding_window),
                dropout_p=dropout, is_causal=causal, scale=scaling, enable_gqa=q.shape[1] != k.shape[1],
            )  # fmt: skip
        outputs.append(attended.transpose(1, 2).reshape(-1, *attended.shape[1::2]))  # [B * Q, H, D]
    packed = _rows(torch.cat(outputs) if len(outputs) > 1 else outputs[0], plan.output)
    return packed[None], None


def _quick_to_plan(query: Tensor) -> AbstractContextManager[Any]:
    """Torch's kernels but for cuDNN's, which plans every new shape for a tenth of a second and more: here every batch
    and every token drawn has one."""
    return sdpa_kernel(ON_GPU) if query.is_cuda else nullcontext()


def _as_computed(rows: list[Tensor]) -> list[Tensor]:
    """In the dtype of autocast, which knows torch's attention and not the kernel for rows of any length."""
    device = rows[0].device.type
    return [x.to(torch.get_autocast_dtype(device)) for x in rows] if torch.is_autocast_enabled(device) else rows


def _any_length(rows: list[Tensor]) -> bool:
    """Whether the GPU's kernel for rows of any length takes them: half precision, heads of a size that it knows."""
    query, size = rows[0], rows[0].shape[-1]
    if not query.is_cuda or any(x.dtype not in (torch.float16, torch.bfloat16) for x in rows):
        return False
    return size % 8 == 0 and size <= 256 and torch.cuda.get_device_capability(query.device) >= (8, 0)


def _in_one_call(rows: list[Tensor], strip: Strip, scaling: float | None, sliding_window: int | None) -> Tensor:
    """All branches at once: [T, H, D] of queries, keys and values -> [T, H, D]. A query sees keys up to its own place,
    as the last query of a branch is at its last key."""
    k, v = (_rows(x, strip.keys) for x in rows[1:])
    back = -1 if sliding_window is None else sliding_window - 1
    attended: Tensor = _kernel()(
        rows[0], k, v, strip.query_ends, strip.key_ends, strip.most_queries, strip.most_keys, scale=scaling,
        window_size=(back, 0),
    )  # fmt: skip
    return attended


@cache
def _kernel() -> Callable[..., Any]:
    """The kernel for rows of any length, whose module takes longer to import than transformers."""
    from torch.nn.attention.varlen import varlen_attn

    # Before it was an option (torch 2.11), fewer heads of keys were taken as they came.
    grouped = "enable_gqa" in inspect.signature(varlen_attn).parameters
    return partial(varlen_attn, enable_gqa=True) if grouped else varlen_attn


def _rows(x: Tensor, index: Tensor) -> Tensor:
    """x[index] for x [T, H, D]. As an embedding look-up, whose backward on CPU is 3-6x faster than indexing's."""
    return F.embedding(index, x.flatten(1)).unflatten(-1, x.shape[1:])


def _gather(x: Tensor, index: Tensor) -> Tensor:
    """[T, H, D] by [B, Q] -> [B, H, Q, D]."""
    return _rows(x, index).transpose(1, 2)


AttentionInterface.register(NAME, prefix_shared_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
