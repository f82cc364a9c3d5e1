"""Tokenizers small enough to work out by hand."""

import string
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

Make = Callable[..., Any]


def _characters(merges: list[tuple[str, str]], bos: bool, eos: bool) -> PreTrainedTokenizerFast:
    alphabet = ["<s>", "</s>", "<end>", *string.printable]
    vocabulary = {piece: number for number, piece in enumerate(alphabet + ["".join(merge) for merge in merges])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in ("<s>", "</s>", "<end>")]
    )
    tokenizer.decoder = decoders.Fuse()
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    names = {"bos_token": "<s>"} if bos else {}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names, **({"eos_token": "</s>"} if eos else {}))


@pytest.fixture
def characters() -> Make:
    """`characters(merges=[("a", "b")], bos=True)`: a token a character, but for the merges.

    Ids: <s> 0, </s> 1, <end> 2.
    """

    def make(
        merges: list[tuple[str, str]] | None = None, bos: bool = True, eos: bool = True
    ) -> PreTrainedTokenizerFast:
        return _characters(merges or [], bos, eos)

    return make


@pytest.fixture
def byte_level() -> PreTrainedTokenizerFast:
    """Byte-level BPE whose offsets leave out a leading space, as GPT-2's and Llama 3's do."""
    pieces = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate(["</s>", *pieces, "Ġh", "Ġhi"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "h"), ("Ġh", "i")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("</s>", special=True, normalized=False)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")
