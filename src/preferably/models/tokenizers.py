"""A tokenizer without its model: all that looking at data needs."""

from transformers import AutoConfig, PreTrainedTokenizerBase

from preferably.data.chat import ensure_template
from preferably.errors import ModelError
from preferably.models.loading import _load_tokenizer, _why


def load_tokenizer(name: str) -> tuple[PreTrainedTokenizerBase, int | None]:
    """The tokenizer of a model, as a run would use it, and how many tokens the model takes in, where that is known.

    Raises `ModelError` for a model whose tokenizer or configuration cannot be loaded.
    """
    tokenizer = _load_tokenizer(name)
    ensure_template(tokenizer)
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False).get_text_config()
    except Exception as error:
        raise ModelError(_why(name, "configuration", error)) from error
    return tokenizer, getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
