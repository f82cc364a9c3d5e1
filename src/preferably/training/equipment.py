"""What an online run needs beside its policy: prompts as records, a reward, a guard, a critic, an engine that draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from preferably.config import TrainSettings
from preferably.data.load import load_feedback
from preferably.data.tokens import TokenGroup, encode, encode_prompts
from preferably.errors import CheckpointError, ConfigError, DataError
from preferably.feedback.records import Group
from preferably.judging.parts import (
    Part,
    check_columns,
    facts_of,
    model_names,
    needs_company,
    reward_parts,
    tried,
)  # fmt: skip
from preferably.judging.reward import unit_of
from preferably.models.critic import SHARED, Critic, SharedCritic
from preferably.models.fitted import FittedReward
from preferably.models.loading import Loaded, is_reward_model, load, load_reward, model_directory
from preferably.models.sampler import Decoding, Sample, sample
from preferably.models.scorer import Scorer
from preferably.training.alarms import Warning
from preferably.training.measure import groups_of_samples, sample_metrics
from preferably.training.offline import TrainData
from preferably.training.online import OnlineData
from preferably.training.reference import Reference
from preferably.training.rewarding import Rewarding, look_at_samples
from preferably.training.rollouts import Engine
from preferably.training.run_directory import RunDirectory

FIRST = "start_samples.jsonl"
AWAY = "No reward model has the policy's vocabulary, so the critic begins as the policy, with a head of zeros."
FITTED = (
    "The critic cannot begin as {}: a reward that was fitted reads more than states. It begins as the language model "
    "there, with a head of zeros."
)
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
    notes: list[str]  # what a person should know of it

    @property
    def compares(self) -> bool:
        """Whether a part of reward or guard says how a completion does beside others."""
        return any(part.compares for part in (*self.watching.parts, *([self.guard] if self.guard else [])))

    def look(
        self, loaded: Loaded, reference: Reference | None, prompts: Sequence[Sequence[int]], settings: TrainSettings,
        run: RunDirectory,
    ) -> Callable[[int], dict[str, float]]:  # fmt: skip
        """The evaluation of step n: own samples of held-out prompts at temperature 1, their KL, reward and guard."""

        def look(step: int) -> dict[str, float]:
            if not prompts:
                return {}
            self.engine.refresh()
            seen = sample_metrics(
                loaded.policy, reference, loaded.tokenizer, prompts, stop_ids=loaded.stop_ids,
                max_tokens=settings.sample_tokens, seed=settings.seed * 1_000_003 + step,
                budget=settings.tokens_per_microbatch,
                keep=lambda row: run.append("policy_samples.jsonl", {"step": step} | row), copy=self.engine.resident,
            )  # fmt: skip

            def failed(why: str) -> None:
                advice = "the evaluation lacks it at this step; look at the function, or the reward model"
                run.append("warnings.jsonl", Warning(step, "reward_failed", why, advice))

            if self.compares and not self.watching.rivals:
                self.watching.rivals = _first_samples(run, step, seen.samples)
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
    critic, notes = _critic(settings, loaded, how)
    decoding = Decoding(temperature=settings.temperature, max_tokens=settings.sample_tokens)
    engine = Engine(loaded.policy, loaded.tokenizer, decoding, samples=settings.samples, stop_ids=loaded.stop_ids)
    everything = [*parts, *([guard] if guard else [])]
    needs_company(parts, settings.samples)
    check_columns(everything, data.asked)
    check_columns(everything, watched)
    _try(rewarding, everything, watched, settings.sample_tokens)
    for part in everything:
        notes += _notes(part, loaded)
    mixed, left = _mixed(settings, loaded)
    if left:
        notes.append(f"{left} of {left + len(mixed)} demonstrations in ptx_data are too long, or empty, and left out.")
    prompts = OnlineData([group.prompt.tolist() for group in data.train], mixed)
    facts = _facts(everything, data.asked, critic)
    return Equipment(rewarding, Rewarding(parts, penalty, watched), guard, critic, engine, prompts, facts, notes)


def _first_samples(run: RunDirectory, step: int, drawn: Sequence[Sequence[Sample]]) -> list[str]:
    """The first sample that the start gave to each held-out prompt: `drawn` at step 0, which are kept for the others,
    also of a resumed run. `CheckpointError` where they are no longer there."""
    if step == 0:
        for several in drawn:
            run.append(FIRST, {"text": several[0].text})
        return [several[0].text for several in drawn]
    try:
        kept = [str(line["text"]) for line in run.lines(FIRST)]
    except (ValueError, KeyError, TypeError):
        kept = []
    if len(kept) != len(drawn):
        raise CheckpointError(
            f"{run.path / FIRST} has {len(kept)} samples of the start that can be read; expected {len(drawn)}, which a "
            "judge holds later ones against. Put the file back, or begin a new run."
        )
    return kept


def probes(loaded: Loaded, data: TrainData) -> list[TokenGroup]:
    """A few own samples, for the checks that need completions."""
    prompts = [group.prompt.tolist() for group in data.train[:PROBED]]
    drawn = sample(
        loaded.policy, loaded.tokenizer, prompts, Decoding(1.0, max_tokens=PROBE_TOKENS), stop_ids=set(), samples=2
    )
    return groups_of_samples(prompts, drawn)


def critic_scorer(
    settings: TrainSettings, models: Sequence[str], policy: Loaded, how: dict[str, Any]
) -> tuple[Loaded, str]:
    """What the critic begins as: what `critic` says, else the first of the reward `models` that has the vocabulary of
    `policy`, else the policy with a head of zeros; and what is to be said of it.

    A critic reads the policy's own tokens: `ConfigError` for one that was asked for and has other ones.
    """
    for name in [settings.critic] if settings.critic else models:
        loaded, note = load_reward(name, **how) if is_reward_model(name) else None, ""
        if loaded is not None and isinstance(loaded.policy, FittedReward):  # whose weights are not of states alone
            loaded, note = None, FITTED.format(name)
        loaded = loaded or _with_head_of_zeros(name, how)
        if loaded.tokenizer.get_vocab() == policy.tokenizer.get_vocab():
            return loaded, note
        if settings.critic:
            raise ConfigError(f"The critic {name} has another vocabulary than the policy; expected the same tokens.")
    return _with_head_of_zeros(settings.model, how), AWAY if models else ""


def _with_head_of_zeros(name: str, how: dict[str, Any]) -> Loaded:
    loaded = load(model_directory(name), axes={"value": 1.0}, **how)
    nn.init.zeros_(loaded.policy.inner.score.weight)
    return loaded


def _critic(
    settings: TrainSettings, loaded: Loaded, how: dict[str, Any]
) -> tuple[Critic | SharedCritic | None, list[str]]:
    """The critic, where the method has one, and what is to be said of it."""
    if settings.row.advantage != "gae":
        return None, []
    if settings.critic == SHARED:
        return SharedCritic(loaded.policy), []
    begun, note = critic_scorer(settings, model_names(settings.reward), loaded, how)
    assert isinstance(begun.policy, Scorer)
    return Critic.of(begun.policy), [note] if note else []


def _notes(part: Part, policy: Loaded) -> list[str]:
    """What a person should know of a part of the reward."""
    if part.loaded is None:
        return []
    notes = [f"{part.name}: {note}" for note in part.loaded.notes]
    if part.loaded.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        notes.append(f"The reward model {part.name} has another tokenizer: completions reach it as text.")
    return notes


def _mixed(settings: TrainSettings, loaded: Loaded) -> tuple[list[TokenGroup], int]:
    """The demonstrations to mix in, and how many do not fit."""
    if not settings.ptx_data:
        return [], 0
    groups = load_feedback(settings.ptx_data, "demonstrations", max_rejected=settings.max_rejected).groups
    length = min(settings.max_length or 2048, loaded.context or 2048)
    made = encode(groups, loaded.tokenizer, max_length=length, truncation=settings.truncation).groups
    if not made:
        raise DataError(f"None of the {len(groups)} demonstrations in ptx_data fits {length} tokens.")
    return made, len(groups) - len(made)


def _try(rewarding: Rewarding, parts: Sequence[Part], watched: Sequence[Group], tokens: int) -> None:
    """Ask every part of the reward about two answers to the longest prompt, so that a mistake in it costs no rollouts;
    and whether a reward model has room for every prompt with a completion of `tokens`, and the end that is put to one
    that has none. Of another tokenizer's tokens it is an estimate."""
    for part in parts:
        if part.loaded is not None and (context := part.loaded.context) is not None:
            try:
                encode_prompts([*rewarding.asked, *watched], part.loaded.tokenizer, context - tokens - 1)
            except DataError as error:
                raise ConfigError(
                    f"The reward model {part.name} reads {context} tokens, and completions may have {tokens}: {error} "
                    "Or lower sample_tokens, or take another reward model."
                ) from None
        if not any(one is not None for one in tried(part, rewarding.asked)):
            raise ConfigError(
                f"The reward {part.name} gives no finite number; tried on the answers 'x' and 'y' to a prompt."
            )


def _facts(parts: Sequence[Part], asked: Sequence[Group], critic: Critic | SharedCritic | None) -> dict[str, Any]:
    """What each part of the reward is, and of the critic what is in no checkpoint."""
    known = facts_of(parts, asked)
    facts = {"reward": known} if known else {}
    return facts | ({"critic": unit_of(critic)} if isinstance(critic, Critic) else {})
