"""More than a run can hold in memory, told from a few sizes: enough to know that a small run fits."""

import math

from preferably.batches.packing import packed_size
from preferably.config import TrainSettings
from preferably.errors import PreferablyError
from preferably.judging.parts import model_names
from preferably.models.critic import SHARED
from preferably.models.loading import Loaded, is_reward_model, load, load_reward, model_directory
from preferably.training.offline import TrainData
from preferably.training.workload import TOGETHER

PROCESS = 1e9  # what a process with PyTorch takes for itself, the kernels' buffers and the report
WEIGHTS = 8  # copies: weights, gradients, two moments, a reference, one to draw with, one to save, one to spare
STREAM, INNER = 20, 6  # numbers that a layer keeps of a token for its backward, in units of its width and its inner one
LOGITS = 8  # copies of a token's logits
ROWS = 4  # copies of a token's row of the attention, in each head


def rough_size(settings: TrainSettings, model: Loaded, data: TrainData) -> float:
    """Bytes that the run does not reach; infinite where its configuration does not use the usual words.

    `model` may be hollow.
    """
    names = model_names([*settings.reward, *([settings.guard] if settings.guard else [])])
    names += [name for name in (settings.critic, settings.reference_model) if name and name != SHARED]
    config = model.policy.inner.config.get_text_config()
    try:
        sizes = [
            getattr(config, name) for name in ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size")
        ]
        others = [(load_reward if is_reward_model(one) else load)(model_directory(one), weights=False) for one in names]
    except (AttributeError, PreferablyError):
        return math.inf
    layers, heads, width, words = sizes
    kept = STREAM * width + INNER * (getattr(config, "intermediate_size", None) or 4 * width)
    weights = sum(p.numel() for one in (model, *others) for p in one.policy.parameters())
    groups = [*data.train, *data.held_out]
    one = max(map(packed_size, groups), default=0) + settings.samples * settings.sample_tokens
    learnt = max(one, min(settings.tokens_per_microbatch, settings.batch_size * one))
    looked_at = max(one, min(settings.tokens_per_microbatch, (len(groups) + len(data.prompts)) * one))
    drawn = max(min(TOGETHER, len(data.prompts)), settings.batch_size * settings.samples)  # rows
    numbers = (
        WEIGHTS * weights
        + learnt * layers * kept + (looked_at + drawn) * LOGITS * words
        + ROWS * heads * (layers * learnt**2 + looked_at**2)
        + drawn * one * 4 * width * layers  # keys and values, and once more while they grow
    )  # fmt: skip
    return PROCESS + 4.0 * numbers
