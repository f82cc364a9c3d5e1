"""What an online run needs beside its policy: prompts as records, a reward, a guard, a critic, an engine that draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch import nn

from preferably.config import TrainSettings
from preferably.data.load import load_feedback
from preferably.data.tokens import TokenGroup, encode
from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Group
from preferably.functions import source_of
from preferably.judging.parts import Part, answered, check_columns, model_names, reward_parts
from preferably.models.critic import SHARED, Critic, SharedCritic
from preferably.models.loading import Loaded, load, load_reward, model_directory, weights_digest
from preferably.models.sampler import Decoding, sample
from preferably.models.scorer import Scorer
from preferably.training.alarms import Warning
from preferably.training.measure import groups_of_samples, sample_metrics
from preferably.training.offline import TrainData
from preferably.training.online import OnlineData
from preferably.training.reference import Reference
from preferably.training.rewarding import Rewarding, look_at_samples
from preferably.training.rollouts import Engine
from preferably.training.run_directory import RunDirectory

PROBED, PROBE_TOKENS = 4, 16  # prompts and tokens that the checks before step 1 sample


@dataclass(slots=True)
class Equipment:
    """All of it; `facts` are what a resumed run must have in common with the one that was stopped."""

    rewarding: Rewarding
    watching: Rewarding  # the same reward on held-out prompts
    guard: Part | None
    critic: Critic | SharedCritic | None
    engine: Engine
    data: OnlineData
    facts: dict[str, Any]

    def look(
        self, loaded: Loaded, reference: Reference | None, prompts: Sequence[Sequence[int]], settings: TrainSettings,
        run: RunDirectory,
    ) -> Callable[[int], dict[str, float]]:  # fmt: skip
        """The evaluation of step n: own samples of held-out prompts at temperature 1, their KL, reward and guard."""

        def look(step: int) -> dict[str, float]:
            if not prompts:
                return {}
            seen = sample_metrics(
                loaded.policy, reference, loaded.tokenizer, prompts, stop_ids=loaded.stop_ids,
                max_tokens=settings.sample_tokens, seed=settings.seed * 1_000_003 + step,
                budget=settings.tokens_per_microbatch,
                keep=lambda row: run.append("policy_samples.jsonl", {"step": step} | row),
            )  # fmt: skip

            def failed(why: str) -> None:
                advice = "the evaluation lacks it at this step; look at the function, or the reward model"
                run.append("warnings.jsonl", Warning(step, "reward_failed", why, advice))

            return seen.values | look_at_samples(self.watching, self.guard, prompts, seen.samples, failed)

        return look


def equip(settings: TrainSettings, loaded: Loaded, data: TrainData, held_out: Sequence[Group]) -> Equipment:
    """Load what `settings` name, and try the reward before anything is trained.

    Raises `ConfigError`, `ModelError` or `DataError` for what cannot be loaded, a reward that gives no numbers, and
    prompts that a reward model cannot read.
    """
    how: dict[str, Any] = settings.model_dump(include={"device", "dtype", "attention"})
    parts = reward_parts(settings.reward, **how)
    guard = reward_parts([settings.guard], **how)[0] if settings.guard else None
    penalty = settings.hyperparameters["missing_eos_penalty"]
    by_prompt = dict(zip((tuple(group.prompt.tolist()) for group in data.held_out), held_out, strict=True))
    watched = [by_prompt[tuple(prompt)] for prompt in data.prompts]
    rewarding = Rewarding(parts, penalty, data.asked)
    critic = _critic(settings, loaded, how) if settings.row.advantage == "gae" else None
    decoding = Decoding(temperature=settings.temperature, max_tokens=settings.sample_tokens)
    engine = Engine(loaded.policy, loaded.tokenizer, decoding, samples=settings.samples, stop_ids=loaded.stop_ids)
    everything = [*parts, *([guard] if guard else [])]
    check_columns(everything, data.asked)
    _try(rewarding, everything, settings.sample_tokens)
    prompts = OnlineData([group.prompt.tolist() for group in data.train], _mixed(settings, loaded))
    return Equipment(
        rewarding, Rewarding(parts, penalty, watched), guard, critic, engine, prompts, _facts(everything, data.asked)
    )


def probes(loaded: Loaded, data: TrainData) -> list[TokenGroup]:
    """A few own samples, for the checks that need completions."""
    prompts = [group.prompt.tolist() for group in data.train[:PROBED]]
    drawn = sample(
        loaded.policy, loaded.tokenizer, prompts, Decoding(1.0, max_tokens=PROBE_TOKENS), stop_ids=set(), samples=2
    )
    return groups_of_samples(prompts, drawn)


def critic_scorer(settings: TrainSettings, models: Sequence[str], how: dict[str, Any]) -> Loaded:
    """What the critic begins as: what `critic` says, else the first of the reward `models`, else the policy with a head
    of zeros."""
    name = model_directory(settings.critic or (models[0] if models else settings.model))
    if Path(name, "reward.json").exists() or (settings.critic is None and models):
        return load_reward(name, **how)
    loaded = load(name, axes={"value": 1.0}, **how)
    nn.init.zeros_(loaded.policy.inner.score.weight)
    return loaded


def _critic(settings: TrainSettings, loaded: Loaded, how: dict[str, Any]) -> Critic | SharedCritic:
    if settings.critic == SHARED:
        return SharedCritic(loaded.policy)
    scorer = critic_scorer(settings, model_names(settings.reward), how).policy
    assert isinstance(scorer, Scorer)
    return Critic.of(scorer)


def _mixed(settings: TrainSettings, loaded: Loaded) -> list[TokenGroup]:
    if not settings.ptx_data:
        return []
    groups = load_feedback(settings.ptx_data, "demonstrations", max_rejected=settings.max_rejected).groups
    length = min(settings.max_length or 2048, loaded.context or 2048)
    made = encode(groups, loaded.tokenizer, max_length=length, truncation=settings.truncation).groups
    if not made:
        raise DataError(f"None of the {len(groups)} demonstrations in ptx_data fits {length} tokens.")
    return made


def _try(rewarding: Rewarding, parts: Sequence[Part], tokens: int) -> None:
    """Ask every part of the reward about an answer to the longest prompt, so that a mistake in it costs no rollouts."""
    longest = max(rewarding.asked, key=lambda group: len(group.prompt_text))
    for part in parts:
        context = part.loaded.context if part.loaded is not None else None
        score, _ = part.score([answered(longest, ["x", "y"])])  # two, or one result for any number would do
        if part.loaded is not None and context is not None:
            size = len(part.loaded.tokenizer(longest.prompt_text)["input_ids"])
            if score is None or size + tokens > context:
                raise ConfigError(
                    f"The reward model {part.name} reads {context} tokens; the longest prompt has {size} of them, and "
                    f"a completion up to {tokens}. Leave out long prompts, or take another reward model."
                )
        if score is None:
            raise ConfigError(f"The reward {part.name} gives no finite number; tried on the answer 'x' to a prompt.")


def _facts(parts: Sequence[Part], asked: Sequence[Group]) -> dict[str, Any]:
    """What each part of the reward is: a digest of its weights, or the text of the function and of what it reads."""
    known: dict[str, Any] = {}
    for part in parts:
        if part.loaded is not None:
            known[part.name] = weights_digest(part.loaded.policy)
        elif ":" in part.name and not part.name.startswith("format:"):
            known[part.name] = source_of(part.name)
    if any(part.takes for part in parts):
        known["columns"] = sha256("\n".join(group.columns for group in asked).encode()).hexdigest()
    return {"reward": known} if known else {}
