"""Groups to token groups: where a prompt ends, what is learnt, and what becomes of a group that is too long.

The rules, for text and for chat alike:

- The prompt is the longest run of tokens that the prompt alone and the prompt with each completion begin with. A
  tokenizer that merges the prompt's end with the completion's start thereby moves the merged token to the completion.
- A token is learnt if its last character is in an assistant's turn (or in the text of a completion).
- Each completion ends with a token that ends it, which is learnt: the template's own, if the text ends with a special
  token, and EOS otherwise. (Masks are explicit, so a padding token that equals EOS does no harm.)
- Plain text gets the special tokens that the tokenizer puts in front of any text; templated text gets none, because
  its template writes them, as `apply_chat_template` and the servers built on it have it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from os.path import commonprefix  # of any sequences, for all its name
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from preferably.data.accounting import Accounting, Reject
from preferably.data.chat import TemplateRefuses, is_text, leading_special_tokens, render
from preferably.errors import DataError, ModelError
from preferably.feedback.records import Group, Message, Place

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Truncation = Literal["reject", "keep_start", "keep_end"]

BATCH = 1000  # texts in one call of the tokenizer: enough for its threads, little memory


@dataclass(frozen=True, slots=True)
class TokenGroup:
    """One group as tokens."""

    prompt: NDArray[np.int64]  # [P], P >= 1: the shared prefix (BOS or the first token if there is no prompt)
    completions: tuple[NDArray[np.int64], ...]  # K arrays [R_k], R_k >= 1; pairs: chosen, then rejected
    train: tuple[NDArray[np.bool_], ...]  # K arrays [R_k]: tokens that are learnt and scored
    row: int  # index of the record it was made from
    label: bool | None = None  # whether the one completion is desirable, where that is what was said
    ranks: tuple[tuple[int, ...], ...] = ()  # A x K: on each axis the rank of each completion, 1 is the best, 0 none
    strength: float | None = None  # by how much the first of two is better
    probability: float | None = None  # that it is better at all; None where that is taken for sure


@dataclass(frozen=True, slots=True)
class Encoded:
    """The token groups in the order of the records, the records that gave none, and how many groups were cut.

    `lengths` are tokens of the prompt and of the longest completion of every group, before anything was cut.
    """

    groups: list[TokenGroup]
    rejects: list[Reject]
    truncated: int
    lengths: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Text:
    """A prompt, or a prompt with one completion, as text."""

    text: str
    learnt: tuple[tuple[int, int], ...] = ()  # spans [start, end) of characters
    ended: bool = False  # whether the text itself ends with a token that says so


def encode(
    groups: Sequence[Group],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    max_length: int,
    truncation: Truncation = "reject",
    accounting: Accounting | None = None,
    twins: bool = False,
) -> Encoded:
    """Token groups of at most `max_length` tokens, the prompt and any one completion together.

    What is longer is rejected (`reject`), loses the end of its completions, and with it their EOS (`keep_start`), or
    the start of its prompt, after BOS (`keep_end`). `accounting`, where given, is told of the rows of which no group is
    left, and of those that lost some. Two completions of the same tokens are rejected unless `twins` may be. Raises
    `ModelError` for a tokenizer without EOS or character offsets, `DataError` for a template that cannot say where a
    completion begins, or that leaves something out.
    """
    made: list[TokenGroup] = []
    rejects: list[Reject] = []
    lengths: list[tuple[int, int]] = []
    encoder = _Encoder(tokenizer, twins)
    truncated, size = 0, BATCH // 3 + 1  # groups whose prompts and completions are about BATCH texts
    for start in range(0, len(groups), size):
        for whole in encoder.token_groups(groups, range(start, min(start + size, len(groups)))):
            fitted = whole
            if isinstance(whole, TokenGroup):
                lengths.append((len(whole.prompt), max(map(len, whole.completions), default=0)))
                fitted = _fit(whole, _place(groups, whole.row), max_length, truncation, encoder.bos)
            if isinstance(fitted, Reject):
                rejects.append(fitted)
            else:
                truncated += fitted is not whole
                of = groups[fitted.row]
                by = tuple(ranks for _, ranks in of.by_axis) or ((of.ranks,) if of.ranks else ())
                made.append(replace(fitted, label=of.label, ranks=by, strength=of.strength, probability=of.probability))
    if accounting:
        _account(accounting, {_place(groups, group.row) for group in made}, rejects)
        for file, line in encoder.spelled:
            accounting.warn("special_token_in_text", f"{file}:{line}")
    return Encoded(made, rejects, truncated, lengths)


def _account(accounting: Accounting, kept: set[Place], rejects: Sequence[Reject]) -> None:
    """A row is rejected once, and only where none of its groups is `kept`."""
    first: dict[Place, Reject] = {}
    for reject in rejects:
        first.setdefault((reject.file, reject.line), reject)
    for place, reject in first.items():
        if place in kept:
            accounting.warn("partly_used", f"{place[0]}:{place[1]} {reject.code}")
        else:
            accounting.reject_later(reject)


def encode_prompts(groups: Sequence[Group], tokenizer: "PreTrainedTokenizerBase", max_length: int) -> list[list[int]]:
    """The prompts as a sampler continues them: chat turns end with the generation prompt. At least one token each.

    `DataError`, with the count, where prompts are longer than `max_length` tokens: cutting a question changes it.
    """
    encoder = _Encoder(tokenizer)
    prompts: list[list[int]] = []
    for start in range(0, len(groups), BATCH):
        batch = groups[start : start + BATCH]
        texts = [render(group.prompt, tokenizer, True, group.tools) for group in batch]
        for group, (ids, _) in zip(batch, encoder.tokenise(texts), strict=True):
            whole = encoder.begin(ids, is_text(group.prompt)) or encoder.bos
            if not whole:
                raise DataError("A prompt is empty and the tokenizer has no BOS token to start from.")
            prompts.append(whole)
    long = [row for row, ids in enumerate(prompts) if len(ids) > max_length]
    if long:
        place = groups[long[0]].place or ("memory", long[0] + 1)
        raise DataError(
            f"{len(long)} of {len(prompts)} prompts are longer than {max_length} tokens, the first at "
            f"{place[0]}:{place[1]} ({len(prompts[long[0]])} tokens). Raise the length or leave them out."
        )
    return prompts


def learnt_runs(group: TokenGroup, tokenizer: "PreTrainedTokenizerBase") -> list[list[tuple[str, bool]]]:
    """The exact text of the prompt with each completion, in runs of (text, whether it is learnt).

    A group without completions has one text, that of its prompt.
    """
    texts = []
    none = (np.zeros(0, dtype=np.int64),), (np.zeros(0, dtype=np.bool_),)
    for ids, train in zip(*((group.completions, group.train) if group.completions else none), strict=True):
        whole = np.concatenate([group.prompt, ids])
        learnt = np.concatenate([np.zeros(len(group.prompt), dtype=np.bool_), train])
        ends = [*(np.flatnonzero(np.diff(learnt)) + 1).tolist(), len(whole)]
        runs, before = [], ""
        for end in ends:  # the text so far grows; a piece decoded alone could lose its leading space
            text = str(tokenizer.decode(whole[:end], clean_up_tokenization_spaces=False))
            runs.append((text[len(before) :], bool(learnt[end - 1])))
            before = text
        texts.append(runs)
    return texts


class _Encoder:
    """A tokenizer with what has to be known of it."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", twins: bool = False) -> None:
        if not tokenizer.is_fast:
            raise ModelError(f"{type(tokenizer).__name__} gives no character offsets; a fast tokenizer is needed.")
        if tokenizer.eos_token_id is None:
            raise ModelError("The tokenizer has no EOS token, so a model could not learn to stop; set its eos_token.")
        self.tokenizer, self.twins = tokenizer, twins
        self.eos: int = tokenizer.eos_token_id
        self.bos: list[int] = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
        self.leading = leading_special_tokens(tokenizer)
        added = tokenizer.added_tokens_decoder.values()
        self.special = tuple({token.content for token in added if token.special} | set(tokenizer.all_special_tokens))
        self.spelled: dict[Place, None] = {}  # rows of plain text that spell out a special token

    def token_groups(self, groups: Sequence[Group], rows: range) -> list[TokenGroup | Reject]:
        """Each group as tokens, not yet cut to any length, or why it cannot be one."""
        laid_out = [self._texts(groups[row], _place(groups, row)) for row in rows]
        flat = [item.text for texts in laid_out if not isinstance(texts, Reject) for item in texts]
        tokens = iter(self.tokenise(flat))
        made: list[TokenGroup | Reject] = []
        for row, texts in zip(rows, laid_out, strict=True):
            if isinstance(texts, Reject):
                made.append(texts)
            else:
                pieces = [next(tokens) for _ in texts]
                plain = is_text(_all_messages(groups[row]))
                made.append(self._assemble(texts, pieces, row, plain, _place(groups, row)))
        return made

    def tokenise(self, texts: list[str]) -> list[tuple[list[int], NDArray[np.int64]]]:
        """(ids, last character) of each text without special tokens of the tokenizer's own."""
        made = []
        for start in range(0, len(texts), BATCH):
            batch = self.tokenizer(
                texts[start : start + BATCH],
                add_special_tokens=False,
                return_offsets_mapping=True,
                return_attention_mask=False,
                verbose=False,  # lengths are our business, not a warning's
            )
            for ids, offsets in zip(batch["input_ids"], batch["offset_mapping"], strict=True):
                # The last character, as byte-level tokenizers leave a leading space out of a token's offsets.
                made.append((list(ids), np.array([end - 1 for _, end in offsets], dtype=np.int64)))
        return made

    def begin(self, ids: list[int], plain: bool) -> list[int]:
        """`ids` of a whole text with the tokenizer's leading special tokens, which are never put there twice."""
        if plain:
            return ids if ids[: len(self.leading)] == self.leading else self.leading + ids
        if self.bos and ids[:2] == self.bos * 2:
            raise DataError("The chat template writes the BOS token twice; mend the template of the tokenizer.")
        return ids

    def _texts(self, group: Group, place: Place) -> list[_Text] | Reject:
        """The prompt, then the prompt with each completion."""
        plain = is_text(_all_messages(group))
        for message in _all_messages(group):
            said = message.content + message.fields
            if plain:
                said = said.removeprefix(self.tokenizer.bos_token or "").removesuffix(self.tokenizer.eos_token)
            if not (forged := next((token for token in self.special if token in said), None)):
                continue
            if not plain:
                field = "prompt" if message in group.prompt else "completion"
                return Reject(*place, field, "special_token", f"the text spells out {forged!r}")
            self.spelled[place] = None
        try:
            return self._rendered(group, plain)
        except DataError as problem:
            # Two turns of one role in a row are what many templates refuse; that is the row's doing. Anything else that
            # a template cannot show would be missed in every row alike.
            if isinstance(problem, TemplateRefuses) and _same_role_twice(group):
                return Reject(*place, "messages", "template_refuses", f"{problem.__cause__}"[:200])
            raise DataError(f"{place[0]}:{place[1]} {problem}") from problem

    def _rendered(self, group: Group, plain: bool) -> list[_Text]:
        # An end of turn is any special token in chat. Plain text may hold what it likes; only EOS ends it.
        ends = (self.tokenizer.eos_token,) if plain else self.special
        prompt = render(group.prompt, self.tokenizer, True, group.tools)
        texts = [_Text(prompt)]
        for completion in group.completions:
            before, pieces, spans = group.prompt, [prompt], []
            for message in completion.messages:
                start = render(before, self.tokenizer, True, group.tools) if len(pieces) > 1 else prompt
                before = (*before, message)
                if message.role not in ("assistant", "text"):
                    continue
                end = render(before, self.tokenizer, False, group.tools)
                if end.rstrip().endswith(ends):
                    end = end.rstrip()  # the line break that templates put behind a turn is never sampled
                pieces += [start, end]
                if message.train:
                    spans.append((len(start), len(end)))
            _refuse_unless_nested(pieces)
            texts.append(_Text(pieces[-1], tuple(spans), pieces[-1].endswith(ends)))
        return texts

    def _assemble(
        self,
        texts: list[_Text],
        pieces: list[tuple[list[int], NDArray[np.int64]]],
        row: int,
        plain: bool,
        place: Place,
    ) -> TokenGroup | Reject:
        alone = pieces[0][0]
        shared = len(commonprefix([ids for ids, _ in pieces]))
        prompt = self.begin(alone[:shared], plain) or self.bos
        if not prompt:
            # Something has to predict the first token of the completions; failing BOS, that token is given instead.
            prompt, shared = pieces[1][0][:1] if len(pieces) > 1 else [], 1
            if not prompt or any(ids[:1] != prompt for ids, _ in pieces[1:]):
                return Reject(*place, "prompt", "no_shared_start", "no prompt, no BOS, and no first token in common")
        completions, train = [], []
        for text, (ids, last) in zip(texts[1:], pieces[1:], strict=True):
            learnt = np.zeros(len(ids), dtype=np.bool_)
            for start, end in text.learnt:
                learnt |= (last >= start) & (last < end)
            if not text.ended:
                ids = [*ids, self.eos]
                learnt = np.append(learnt, bool(text.learnt) and text.learnt[-1][1] == len(text.text))
            if len(ids) <= shared:  # the tokenizer's normaliser left nothing of the completion
                return Reject(*place, "completion", "empty", "no token of its own")
            completions.append(np.array(ids[shared:], dtype=np.int64))
            train.append(learnt[shared:])
        if len(completions) == 2 and np.array_equal(completions[0], completions[1]) and not self.twins:
            return Reject(*place, "rejected", "equal_tokens", "chosen and rejected are the same tokens")
        return TokenGroup(np.array(prompt, dtype=np.int64), tuple(completions), tuple(train), row)


def _place(groups: Sequence[Group], row: int) -> Place:
    return groups[row].place or ("memory", row + 1)


def _all_messages(group: Group) -> tuple[Message, ...]:
    return group.prompt + tuple(message for completion in group.completions for message in completion.messages)


def _same_role_twice(group: Group) -> bool:
    conversations = [group.prompt + completion.messages for completion in group.completions] or [group.prompt]
    return any(one.role == other.role for turns in conversations for one, other in pairwise(turns))


def _refuse_unless_nested(pieces: list[str]) -> None:
    """Each piece must begin with the one before it, or lengths of text say nothing about where a turn begins."""
    for shorter, longer in zip(pieces, pieces[1:], strict=False):
        if not longer.startswith(shorter):
            raise DataError(
                f"The chat template is not incremental: the text of a conversation does not "
                f"begin with the text of its own beginning (which ends {shorter[-40:]!r}), so nobody can say where a "
                "completion starts. Use a template that only appends; many models have one for training."
            )


def _fit(
    group: TokenGroup, place: Place, max_length: int, truncation: Truncation, bos: list[int]
) -> TokenGroup | Reject:
    """`group` itself if it fits, a shorter one if it may be cut."""
    start, longest = len(group.prompt), max((len(ids) for ids in group.completions), default=0)
    if start + longest <= max_length:
        return group
    lengths = f"{start} prompt + {longest} completion tokens, {max_length} allowed"
    room = max_length - (longest if truncation == "keep_end" else start)
    # Of a prompt alone nothing but its beginning can go: without its end it is another question.
    whole = truncation == "keep_start" and not group.completions
    if truncation == "reject" or whole or (truncation == "keep_end" and room < 1):
        longer = "prompt" if start > longest else "completion"
        return Reject(*place, longer, "too_long", lengths)
    if truncation == "keep_end":
        head = group.prompt[: len(bos)] if group.prompt[: len(bos)].tolist() == bos and room > 1 else group.prompt[:0]
        return replace(group, prompt=np.concatenate([head, group.prompt[start - room + len(head) :]]))
    completions = tuple(ids[: max(room, 0)] for ids in group.completions)
    train = tuple(mask[: max(room, 0)] for mask in group.train)
    if not all(mask.any() for mask in train):
        return Reject(*place, "completion", "empty_after_truncation", lengths)
    if len(completions) == 2 and np.array_equal(completions[0], completions[1]):
        return Reject(*place, "rejected", "equal_after_truncation", lengths)
    return replace(group, completions=completions, train=train)
