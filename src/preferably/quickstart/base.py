"""A tiny model and its tokenizer, made on the spot: random weights, a vocabulary learnt from the corpus."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from preferably.data.chat import ensure_template
from preferably.models.attention import NAME
from preferably.models.loading import Loaded
from preferably.models.policy import Policy

VOCABULARY = 1024
CONTEXT = 256
WIDTH, LAYERS, HEADS = 128, 3, 4


def train_tokenizer(texts: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 1,024 tokens: any text can be written in it, the desk's in about 1.3 tokens a word."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    core.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>", model_max_length=CONTEXT
    )
    ensure_template(tokenizer)
    return tokenizer


def untrained(tokenizer: PreTrainedTokenizerFast, seed: int, device: torch.device) -> Loaded:
    """A Llama of 0.65 million random weights whose heads share keys and values: sampling has less to copy. Three layers
    learn this world as well as four, for three quarters of the computing (bench/LOG.md)."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=8 * WIDTH // 3, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=1, max_position_embeddings=CONTEXT, tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().to(device)
    model.set_attn_implementation(NAME)
    return Loaded(Policy(model), tokenizer, "quickstart", [])
