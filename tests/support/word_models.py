"""Tiny models of whole words: what tests train, or write by hand, where an answer must be known."""

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from preferably.config import settings
from preferably.feedback.records import Completion, Group, Message
from preferably.models.attention import NAME
from preferably.models.loading import Loaded
from preferably.models.policy import Policy
from preferably.training.run import train

SPECIAL = ["<pad>", "</s>", "<unk>"]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {{ '</s>' if m['role'] == 'assistant' else '' }}"
    "{% endfor %}{{ 'assistant ' if add_generation_prompt else '' }}"
)


def untrained(words, context, seed=0):
    """A Llama with random weights whose tokens are `words`, with a chat template."""
    everything = [*SPECIAL, "user", "assistant", *words]
    core = Tokenizer(models.WordLevel({word: at for at, word in enumerate(everything)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", chat_template=TEMPLATE
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(everything), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=context, pad_token_id=0, bos_token_id=None, eos_token_id=1, attn_implementation=NAME,
    )  # fmt: skip
    return Loaded(Policy(LlamaForCausalLM(config).eval()), tokenizer, "tiny", [])


def asked(*prompts):
    """Each text as the turn of a user."""
    return [Group((Message("user", text),)) for text in prompts]


def demonstration(prompt, reply):
    """A prompt with a reply."""
    return Group((Message("user", prompt),), (Completion((Message("assistant", reply),)),))


def taught(loaded, pairs, folder, *, steps, rate=3e-3):
    """The model of `loaded`, trained (in place) on (prompt, reply) pairs."""
    made = settings({
        "method": "sft", "model": "tiny", "output": str(folder), "max_steps": steps, "learning_rate": rate,
        "batch_size": 16, "sample_prompts": 0, "held_out": 0, "eval_every": 10_000, "keep": 1, "warmup": 0,
    })  # fmt: skip
    return train(made, groups=[demonstration(*pair) for pair in pairs], start=loaded).loaded
