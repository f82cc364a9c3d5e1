"""The one forward: a model that gives the log-prob of every completion token of a batch.

Policy and reference take this same path. The only shift by one is `Batch.source`: a token is predicted by the hidden
state before it.
"""

import copy
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from preferably.batches.group import Batch
from preferably.models.attention import NO_MASK
from preferably.models.logprobs import linear_logps, logits_logps


class Policy(nn.Module):
    """A causal language model behind the one forward.

    Args:
        model: a Hugging Face causal LM, or a PEFT model around one, whose attention implementation is `preferably`.
        compute: the dtype of matrix products; below float32 they run under autocast over float32 weights.
        packed: whether batches take the packed, prefix-shared path; the padded path runs each completion as a row of
            its own through the model's plain forward.
    """

    model: Any  # transformers' and peft's own classes: what they offer is not to be seen in nn.Module

    def __init__(self, model: nn.Module, *, compute: torch.dtype = torch.float32, packed: bool = True) -> None:
        super().__init__()
        self.model = model
        self.compute = compute
        self.packed = packed
        self.strips = True  # whether a GPU may attend to all branches in one call, where it can
        self.checked = False  # whether the packed path was held against the plain one
        self.temperature = 1.0  # that logits are divided by: of the distribution whose log-probs are given
        self._remembered: tuple[Tensor, Tensor] | None = None  # a batch's tokens and their states, or nothing yet
        self._remembers = False

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def inner(self) -> Any:
        """The causal LM itself, under the adapters if there are any."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def body(self) -> Any:
        """The model without its head."""
        return getattr(self.inner, self.inner.base_model_prefix)

    def autocast(self) -> torch.autocast | nullcontext[None]:
        """The context in which the model computes in `compute`."""
        if self.compute == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.compute)

    @contextmanager
    def as_reference(self) -> Iterator[None]:
        """The starting model of an adapter run: adapters switched off."""
        with self.model.disable_adapter():
            yield

    @contextmanager
    def at(self, temperature: float) -> Iterator[None]:
        """Give log-probs of the distribution that is sampled at `temperature`, instead of the model's own."""
        before, self.temperature = self.temperature, temperature
        try:
            yield
        finally:
            self.temperature = before

    @contextmanager
    def remembering(self) -> Iterator[None]:
        """Compute the states of a packed batch once, also for the second who asks for them, with the same graph."""
        self._remembers = True
        try:
            yield
        finally:
            self._remembers, self._remembered = False, None

    def fall_back(self) -> None:
        """Take the padded path from now on, with transformers' eager attention, which every model has."""
        self.packed = False
        self.inner.set_attn_implementation("eager")

    def follow(self, other: "Policy") -> None:
        """Take the path that `other`, the same model, takes."""
        self.strips = other.strips
        if self.packed and not other.packed:
            self.fall_back()

    def forward(self, batch: Batch) -> Tensor:
        """log pi of each completion token, [C] float32, nats; a batch on any device."""
        batch = batch.to(self.device)
        return self._packed(batch) if self.packed else self._padded(batch)

    def _packed(self, batch: Batch) -> Tensor:
        inner = self.inner
        hidden = torch.nn.functional.embedding(batch.source, self.states(batch))  # [C, h]; the faster backward
        head = inner.get_output_embeddings()
        config = inner.config.get_text_config()
        softcap = getattr(config, "final_logit_softcapping", None)
        scale = getattr(config, "logit_scale", None) or 1 / (getattr(config, "logits_scaling", None) or 1)
        if type(head) is nn.Linear and head.bias is None and not softcap and scale == 1:
            if self.temperature != 1:  # dividing the states divides the logits, and is the smaller of the two
                hidden = hidden / self.temperature
            return linear_logps(hidden.to(self.compute), head.weight, batch.target)
        with self.autocast():
            logits = head(hidden) * scale
        if softcap:
            logits = torch.tanh(logits.float() / softcap) * softcap
        return logits_logps(logits.float() / self.temperature, batch.target)

    def _padded(self, batch: Batch) -> Tensor:
        tokens, mask, spans = self.rows(batch)
        with self.autocast():
            logits = self.model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
        wanted = [part[start - 1 : end - 1] for part, (start, end) in zip(logits, spans, strict=True)]
        return logits_logps(torch.cat(wanted).float() / self.temperature, batch.target)

    def states(self, batch: Batch) -> Tensor:
        """The last hidden state of every token of the packed row, [T, h], before any head."""
        if self._remembered is not None and self._remembered[0] is batch.tokens:
            return self._remembered[1]
        if not self.strips:
            batch.plan.strip = None
        with self.autocast():
            hidden: Tensor = self.body(
                input_ids=batch.tokens[None],
                position_ids=batch.positions[None],
                attention_mask=NO_MASK.to(self.device),
                use_cache=False,
                plan=batch.plan,
            ).last_hidden_state[0]
        if self._remembers:
            self._remembered = (batch.tokens, hidden)
        return hidden

    def states_at(self, batch: Batch, places: Tensor, plain: Callable[[Tensor, int, int], Tensor]) -> Tensor:
        """Some of the states before the head, [n, h]: those at `places` of the packed row; or, of a plain row, what
        `plain` takes of its states, given where the completion begins and ends."""
        if self.packed:
            return torch.nn.functional.embedding(places, self.states(batch))
        tokens, mask, spans = self.rows(batch)
        with self.autocast():
            hidden = self.body(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
        return torch.cat([plain(row, start, end) for row, (start, end) in zip(hidden, spans, strict=True)])

    def rows(self, batch: Batch) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
        """For the plain forward: every completion with its prompt in a row of its own, padded on the right, [N, L]; the
        mask of what is no padding; and where each completion begins and ends in its row."""
        rows = [
            torch.cat([torch.from_numpy(group.prompt), torch.from_numpy(completion)])
            for group in batch.groups
            for completion in group.completions
        ]
        tokens = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self.device)
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        mask = torch.arange(tokens.shape[1], device=self.device) < lengths[:, None]
        starts = [len(group.prompt) for group in batch.groups for _ in group.completions]
        return tokens, mask.long(), [(start, len(row)) for start, row in zip(starts, rows, strict=True)]


def frozen_copy(policy: Policy) -> Policy:
    """The policy as it is now, frozen: a reference."""
    twin = copy.deepcopy(policy)
    return twin.requires_grad_(False)


def to_draw_with(policy: Policy) -> Policy:
    """The policy with its weights in the dtype that it computes in, which draws the same for less reading: itself where
    that is float32, else a frozen copy, as casting once is cheaper than once a token."""
    if policy.compute == torch.float32:
        return policy
    twin = frozen_copy(policy)
    for parameter in twin.parameters():  # not the buffers: rotary frequencies must not be rounded
        parameter.data = parameter.data.to(policy.compute)
    twin.compute = torch.float32  # no autocast: the weights have the dtype already
    return twin


def weights_digest(policy: Policy) -> str:
    """SHA-256 over the names and bytes of all weights."""
    digest = hashlib.sha256()
    for name, parameter in policy.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
