"""The largest moments of a run, rehearsed on tensors that have a shape and no memory (torch's fake tensors).

The model's own forward, our attention, the head, the losses and autograd run as they will in training; a ledger adds up
the bytes of every tensor that would be alive. Nothing is known of a model but its configuration, and no number is
computed. What a kernel takes for itself while it runs is not seen.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from transformers import DynamicCache

from preferably.batches.group import Batch, collate
from preferably.batches.packing import split_by_tokens
from preferably.config import TrainSettings
from preferably.data.tokens import TokenGroup
from preferably.methods import METHODS
from preferably.models.adapters import add_adapters
from preferably.models.attention import NAME
from preferably.models.cache import handed
from preferably.models.loading import hollow
from preferably.models.policy import Policy
from preferably.models.scorer import Scorer
from preferably.objectives.policy import clipped
from preferably.training.steps import group_losses
from preferably.training.workload import TOGETHER, Workload, largest_of

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
    drawing: int = 0  # of rollouts


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
    steps = [
        backward_peak(policy, groups, lambda batch: blank_losses(policy, batch, settings), accumulates=work.accumulates)
        for groups in work.largest
    ]
    looked = [*work.evaluated, *largest_of(split_by_tokens(work.rolled, settings.tokens_per_microbatch))]
    step, small = max(steps, key=lambda most: sum(most[0].values()))
    return Rehearsal(
        parameters=sum(p.numel() for p in parameters),
        trained=sum(p.numel() for p in trained),
        weights=sum(p.nbytes for p in parameters),
        gradients=sum(p.nbytes for p in trained),
        step=step,
        small=small,
        evaluation=max((forward_peak(policy, groups) for groups in looked), default=0),
        sampling=_sampling(policy, work.together, work.longest_prompt, settings.sample_tokens) if work.prompts else 0,
        check=check,
        drawing=_drawing(policy, work, settings) if work.rolled else 0,
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


def blank_losses(policy: Policy, batch: Batch, settings: TrainSettings) -> Tensor:
    """The losses of a micro-batch, where all that is known beforehand in the run (reference, advantages) is zeros."""
    method, numbers = settings.row, settings.hyperparameters
    if method.learns == "tokens":
        with policy.at(settings.temperature):
            new = policy(batch)
        zeros = torch.zeros_like(new)
        return clipped(new, zeros, zeros, low=numbers["clip_range"], high=numbers["clip_range"])
    if method.scores:  # what becomes of a few scores takes no memory, and the loss of ties looks at their values
        return policy(batch).sum(1)
    if method.learns:  # as `Teaching` takes them
        method = METHODS["dpo" if method.learns == "pairs" else "sft"]
        numbers = {"beta": numbers.get("beta", 0.1), "label_smoothing": 0.0}
    known = torch.zeros(batch.completions) if method.reference else None
    losses, _ = group_losses(policy, batch, known, method, numbers, 0.0 if method.baseline else None)
    return losses


def backward_peak(
    policy: Policy, groups: Sequence[TokenGroup], losses: Callable[[Batch], Tensor], *, accumulates: bool
) -> tuple[dict[str, int], int]:
    """Forward and backward of one micro-batch; `accumulates`: another one has left its gradients. By kind, and in
    tensors of less than SMALL."""
    batch = collate(groups)
    trained = [p for p in policy.parameters() if p.requires_grad]
    with _ledger(policy) as ledger:
        hooks = [p.register_post_accumulate_grad_hook(ledger.gradient) for p in trained]
        if accumulates:
            for parameter in trained:
                parameter.grad = torch.zeros_like(parameter)
                ledger.gradient(parameter)
        losses(batch).sum().backward()
        for parameter, hook in zip(trained, hooks, strict=True):
            parameter.grad = None
            hook.remove()
        return ledger.most, ledger.most_small


@torch.no_grad()
def forward_peak(policy: Policy, groups: Sequence[TokenGroup]) -> int:
    """A forward without gradients."""
    batch = collate(groups)
    with _ledger(policy) as ledger:
        policy(batch)
        return sum(ledger.most.values())


@torch.no_grad()
def _checked(policy: Policy, groups: Sequence[TokenGroup]) -> int:
    """As `selfcheck.check_packing` goes about it: the plain forward in float32 with the model's own attention."""
    compute, policy.compute, policy.packed = policy.compute, torch.float32, False
    policy.inner.set_attn_implementation("eager")
    most = forward_peak(policy, groups)
    policy.compute, policy.packed = compute, True
    policy.inner.set_attn_implementation(NAME)
    return most


def _drawing(policy: Policy, work: Workload, settings: TrainSettings) -> int:
    """Of rollouts: each prompt is read once, and its cache copied for its samples."""
    copies = settings.samples
    read = min(settings.batch_size, max(1, TOGETHER // copies))
    width = max(len(group.prompt) for group in work.rolled)
    return _sampling(policy, read, width, settings.sample_tokens, copies)


def sampling_bytes(config: Any, *, compute: torch.dtype, rows: int, width: int, tokens: int, copies: int = 1) -> int:
    """Bytes beside the weights at the worst moment in which `copies` answers of `tokens` are drawn for each of `rows`
    prompts, together, of which the longest has `width` tokens."""
    return _sampling(Policy(hollow(config), compute=compute), rows, width, tokens, copies)


@torch.no_grad()
def _sampling(policy: Policy, rows: int, width: int, tokens: int, copies: int = 1) -> int:
    """Reading the prompts, or the full cache with the next token being drawn."""
    with _ledger(policy) as ledger, policy.autocast():
        cache = DynamicCache(config=policy.inner.config)
        seen = torch.ones(rows, width, dtype=torch.int64)
        policy.model(
            input_ids=seen, attention_mask=seen, position_ids=seen, use_cache=True, logits_to_keep=1,
            **handed(policy.inner, cache),
        )  # fmt: skip
        reading = sum(ledger.most.values())
        layers = [sum(t.nbytes for t in vars(layer).values() if isinstance(t, Tensor)) for layer in cache.layers]
    longer = copies * (width + tokens) / width
    # While one layer's cache grows, the old one is there too.
    return max(reading, int((sum(layers) + max(layers)) * longer) + DRAW * rows * copies * ledger.words)
