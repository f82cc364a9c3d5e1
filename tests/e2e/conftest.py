"""A model of words, with random weights: what the tests here train."""

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from preferably.models.attention import NAME
from preferably.models.loading import Loaded
from preferably.models.policy import Policy

SPECIAL = ["<pad>", "</s>", "<unk>"]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {{ '</s>' if m['role'] == 'assistant' else '' }}"
    "{% endfor %}{{ 'assistant ' if add_generation_prompt else '' }}"
)


def _untrained(words, context):
    everything = [*SPECIAL, "user", "assistant", *words]
    core = Tokenizer(models.WordLevel({word: at for at, word in enumerate(everything)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", chat_template=TEMPLATE
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(everything), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=context, pad_token_id=0, bos_token_id=None, eos_token_id=1, attn_implementation=NAME,
    )  # fmt: skip
    return Loaded(Policy(LlamaForCausalLM(config).eval()), tokenizer, "tiny", [])


@pytest.fixture(scope="session")
def untrained():
    """`untrained(words, context)`: a Llama whose tokens are these words, with a chat template."""
    return _untrained
