"""The largest moments of a run, rehearsed on tensors that have a shape and no memory (torch's fake tensors).

The model's own forward, our attention, the head, the losses and autograd run as they will in training; a ledger adds up
the bytes of every tensor that would be alive. Nothing is known of a model but its configuration, and no number is
computed. What a kernel takes for itself while it runs is not seen.
"""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from transformers import DynamicCache

from preferably.batches.group import collate
from preferably.config import TrainSettings
from preferably.data.tokens import TokenGroup
from preferably.models.adapters import add_adapters
from preferably.models.attention import NAME
from preferably.models.loading import hollow
from preferably.models.policy import Policy
from preferably.models.scorer import Scorer
from preferably.training.steps import group_losses
from preferably.training.workload import Workload

SMALL = 32 << 20  # bytes: larger blocks glibc asks of the system one by one and gives back at once
DRAW = 28  # bytes a word while a token is drawn: logits, scaled, softmax in float32 and two tables in float64


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Bytes: of the weights, and beside them at the worst moment of each part of a run."""

    parameters: int  # a count
    trained: int  # a count
    weights: int
    gradients: int  # of all trained weights
    step: dict[str, int]  # gradients, logits and activations when a training step holds most
    small: int  # of these, in tensors of less than SMALL
    evaluation: int
    sampling: int
    check: int  # of the packed forward, before adapters and reference are there


class Ledger(TorchDispatchMode):
    """Bytes of the tensors made inside it that are alive, by kind, and how that was when they were most."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.words = words
        self.kinds: dict[int, str] = {}  # by storage; what was there before is of no kind
        self.alive = {"gradients": 0, "logits": 0, "activations": 0}
        self.small = 0  # of all that is alive
        self.most, self.most_small = dict(self.alive), 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._enter, result)
        return result

    def known(self, tensor: Tensor) -> None:
        """Leave out a tensor that was there before."""
        self.kinds[tensor.untyped_storage()._cdata] = ""

    def gradient(self, parameter: Tensor) -> None:
        """The gradient of `parameter` is what its kind says from now on."""
        assert parameter.grad is not None
        storage = parameter.grad.untyped_storage()
        if (before := self.kinds.get(storage._cdata, "")) in ("logits", "activations"):
            self.kinds[storage._cdata] = "gradients"
            self.alive[before] -= storage.nbytes()
            self.alive["gradients"] += storage.nbytes()

    def _enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.kinds:
            return
        self.kinds[key] = kind = "logits" if tensor.dim() > 1 and tensor.shape[-1] == self.words else "activations"
        self.alive[kind] += size
        self.small += size if size < SMALL else 0
        weakref.finalize(storage, self._leave, key, size)
        if sum(self.alive.values()) > sum(self.most.values()):
            self.most, self.most_small = dict(self.alive), self.small

    def _leave(self, key: int, size: int) -> None:
        self.alive[self.kinds.pop(key)] -= size
        self.small -= size if size < SMALL else 0


def rehearse(config: Any, settings: TrainSettings, work: Workload, *, compute: torch.dtype, packed: bool) -> Rehearsal:
    """Rehearse a run of `settings` on a model of `config`; whatever torch or the model raises where that cannot be."""
    policy = Policy(hollow(config), compute=compute, packed=packed)
    if settings.heads:
        policy = Scorer(hollow(config, settings.heads), axes=settings.heads, compute=compute, packed=packed)
    check = _checked(policy, work.checked) if packed else 0
    if settings.lora:
        mode = _mode(policy)
        if settings.heads:  # peft copies the head, and copying weights without memory would crash
            policy.inner.score = nn.Linear(policy.inner.score.in_features, len(settings.heads), bias=False)
        add_adapters(policy, r=settings.lora_r, alpha=settings.lora_alpha, targets=settings.lora_targets)
        for module in policy.modules():  # peft's own are real
            for name, weight in module.named_parameters(recurse=False):
                if not isinstance(weight, FakeTensor):
                    module.register_parameter(name, mode.from_tensor(weight))
    parameters = list(policy.parameters())
    trained = [p for p in parameters if p.requires_grad]
    steps = [_step(policy, settings, groups, work.accumulates) for groups in work.largest]
    step, small = max(steps, key=lambda most: sum(most[0].values()))
    return Rehearsal(
        parameters=sum(p.numel() for p in parameters),
        trained=sum(p.numel() for p in trained),
        weights=sum(p.nbytes for p in parameters),
        gradients=sum(p.nbytes for p in trained),
        step=step,
        small=small,
        evaluation=max((_forward(policy, groups) for groups in work.evaluated), default=0),
        sampling=_sampling(policy, work, settings) if work.prompts else 0,
        check=check,
    )


@contextmanager
def _ledger(policy: Policy) -> Iterator[Ledger]:
    """A ledger that knows the weights, in the fake tensors' mode."""
    ledger = Ledger(policy.inner.config.get_text_config().vocab_size)
    for tensor in (*policy.parameters(), *policy.buffers()):
        ledger.known(tensor)
    with _mode(policy), ledger:
        yield ledger


def _mode(policy: Policy) -> Any:
    """The mode that the fake weights live in."""
    return next(policy.parameters()).fake_mode  # type: ignore[attr-defined]


def _step(
    policy: Policy, settings: TrainSettings, groups: Sequence[TokenGroup], accumulates: bool
) -> tuple[dict[str, int], int]:
    """Forward and backward of one micro-batch; `accumulates`: another one has left its gradients."""
    batch = collate(groups)
    trained = [p for p in policy.parameters() if p.requires_grad]
    with _ledger(policy) as ledger:
        hooks = [p.register_post_accumulate_grad_hook(ledger.gradient) for p in trained]
        if accumulates:
            for parameter in trained:
                parameter.grad = torch.zeros_like(parameter)
                ledger.gradient(parameter)
        known = torch.zeros(batch.completions) if settings.row.reference else None
        baseline = 0.0 if settings.row.baseline else None
        losses, _ = group_losses(policy, batch, known, settings.row, settings.hyperparameters, baseline)
        losses.sum().backward()
        for parameter, hook in zip(trained, hooks, strict=True):
            parameter.grad = None
            hook.remove()
        return ledger.most, ledger.most_small


@torch.no_grad()
def _forward(policy: Policy, groups: Sequence[TokenGroup]) -> int:
    batch = collate(groups)
    with _ledger(policy) as ledger:
        policy(batch)
        return sum(ledger.most.values())


@torch.no_grad()
def _checked(policy: Policy, groups: Sequence[TokenGroup]) -> int:
    """As `selfcheck.check_packing` goes about it: the plain forward in float32 with the model's own attention."""
    compute, policy.compute, policy.packed = policy.compute, torch.float32, False
    policy.inner.set_attn_implementation("eager")
    most = _forward(policy, groups)
    policy.compute, policy.packed = compute, True
    policy.inner.set_attn_implementation(NAME)
    return most


@torch.no_grad()
def _sampling(policy: Policy, work: Workload, settings: TrainSettings) -> int:
    """Reading the prompts, or the full cache with the next token being drawn."""
    rows, width = work.together, work.longest_prompt
    with _ledger(policy) as ledger, policy.autocast():
        cache = DynamicCache(config=policy.inner.config)
        seen = torch.ones(rows, width, dtype=torch.int64)
        policy.model(
            input_ids=seen, attention_mask=seen, position_ids=seen, past_key_values=cache, use_cache=True,
            logits_to_keep=1,
        )  # fmt: skip
        reading = sum(ledger.most.values())
        layers = [sum(t.nbytes for t in vars(layer).values() if isinstance(t, Tensor)) for layer in cache.layers]
    longer = (width + settings.sample_tokens) / width
    # While one layer's cache grows, the old one is there too.
    return max(reading, int((sum(layers) + max(layers)) * longer) + DRAW * rows * ledger.words)
