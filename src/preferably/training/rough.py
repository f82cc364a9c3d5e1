"""More than a run can hold in memory, told from a few sizes: enough to know that a small run fits."""

import math
from collections.abc import Sequence

from preferably.batches.packing import packed_size
from preferably.config import TrainSettings
from preferably.data.tokens import TokenGroup
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
DEMONSTRATION = 2048  # tokens of one that is mixed in, at most


def rough_size(settings: TrainSettings, model: Loaded, data: TrainData) -> float:
    """Bytes that the run does not reach; infinite where a configuration does not use the usual words.

    Every model of the run is taken to be trained, and to read all that is ever looked at together in one forward, each
    completion as a row as long as the longest. `model` may be hollow.
    """
    names = model_names([*settings.reward, *([settings.guard] if settings.guard else [])])
    names += [name for name in (settings.critic, settings.reference_model) if name and name != SHARED]
    try:
        others = [(load_reward if is_reward_model(one) else load)(model_directory(one), weights=False) for one in names]
        tokens, group = _most_tokens(settings, data)
        twice = 2 if settings.row.advantage == "gae" else 1  # a critic, where it is not named, is like the policy
        numbers = twice * sum(_numbers(settings, one, tokens, group) for one in (model, *others))
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError, PreferablyError):
        return math.inf
    return PROCESS + 4.0 * numbers


def _most_tokens(settings: TrainSettings, data: TrainData) -> tuple[int, int]:
    """Tokens in one forward, padded; and in one group."""
    groups: Sequence[TokenGroup] = [*data.train, *data.held_out]
    drawn = settings.samples if settings.row.online else 1
    copies = max([drawn, *(len(one.completions) for one in groups)])
    sizes = [packed_size(one) for one in groups] or [1]
    group = max([*sizes, *map(len, data.prompts)]) + drawn * settings.sample_tokens
    if settings.ptx_data:
        group = max(group, DEMONSTRATION, settings.max_length or 0)
    together = min(len(groups) + len(data.prompts), 1 + settings.tokens_per_microbatch // max(1, min(sizes)))
    rows = max(together * copies, min(TOGETHER, len(data.prompts)), settings.batch_size * drawn)
    return rows * group, group


def _numbers(settings: TrainSettings, model: Loaded, tokens: int, group: int) -> int:
    config = model.policy.inner.config.get_text_config()
    layers, heads, width, words = (
        int(getattr(config, name)) for name in ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size")
    )
    wide = max(width, heads * int(getattr(config, "head_dim", None) or 0))
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    experts = int(getattr(config, "num_experts_per_tok", None) or 1)
    weights = sum(p.numel() for p in model.policy.parameters())
    if settings.lora:
        weights *= 1 + settings.lora_r // 8  # adapters of matrices that have 16 rows or more
    kept = layers * (STREAM * wide + experts * INNER * inner) + LOGITS * words
    return WEIGHTS * weights + tokens * (kept + ROWS * layers * heads * group)
