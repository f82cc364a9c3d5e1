"""The stages of the quickstart, each a call of what users call: train, sample, compare."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any
from uuid import UUID

import torch

from preferably.config import settings
from preferably.evaluation.asking import ask
from preferably.evaluation.compare import answers
from preferably.evaluation.kept_answers import texts
from preferably.evaluation.readiness import Readiness
from preferably.feedback.records import Completion, Group, Judged, Message
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.feedback.views import rankings
from preferably.models.loading import Loaded
from preferably.models.sampler import Decoding
from preferably.quickstart.base import train_tokenizer, untrained
from preferably.quickstart.corpus import corpus
from preferably.quickstart.labelers import compare as label
from preferably.quickstart.phrasing import Prompt, find_prompt, sample_prompts
from preferably.quickstart.recipe import Recipe
from preferably.quickstart.replies import demonstrations
from preferably.quickstart.truth import score_reply
from preferably.training.alarms import Warning
from preferably.training.closing import Progress
from preferably.training.run import Run, train

JUDGE = "preferably.quickstart.truth:score"


def asked(prompts: Sequence[Prompt]) -> list[Group]:
    """Prompts as groups without completions."""
    return [Group((Message("user", prompt.text),)) for prompt in prompts]


def base_stage(recipe: Recipe, seed: int, output: Path, device: torch.device, progress: Progress) -> Run:
    """A model from scratch on the company's papers: it knows the desk's facts and sentences, and is no assistant."""
    documents = corpus(recipe.documents, seed)
    tokenizer = train_tokenizer([*documents[:6000], *(prompt.text for prompt in sample_prompts(2000, seed))])
    groups = [Group((), (Completion((Message("text", text),)),)) for text in documents]
    chosen = settings({
        "method": "sft", "model": "quickstart", "output": str(output), "seed": seed, "held_out": 200,
        "learning_rate": recipe.base_learning_rate, "batch_size": recipe.batch_size, "betas": (0.9, 0.95),
        "weight_decay": 0.01, "sample_prompts": 0, "eval_every": 100,
    })  # fmt: skip
    return train(chosen, groups=groups, start=untrained(tokenizer, seed, device), progress=progress)


def sft_stage(recipe: Recipe, seed: int, start: Loaded, output: Path, progress: Progress) -> Run:
    """Imitate demonstrations of mixed quality."""
    groups = [
        Group((Message("user", prompt.text),), (Completion((Message("assistant", reply),)),))
        for prompt, reply in demonstrations(recipe.demonstrations, seed)
    ]
    chosen = settings({
        "method": "sft", "model": str(output.with_name("base")), "output": str(output), "seed": seed, "held_out": 0.05,
        "learning_rate": recipe.sft_learning_rate, "batch_size": recipe.batch_size, "epochs": recipe.sft_epochs,
        "betas": (0.9, 0.95), "weight_decay": 0.01, "sample_tokens": recipe.max_tokens,
    })  # fmt: skip
    return train(chosen, groups=groups, start=start, progress=progress)


def collect(
    recipe: Recipe, seed: int, model: Loaded, store: Store, progress: Callable[[int], None]
) -> tuple[list[Judged], dict[str, Any]]:
    """Pairs of the model's own samples, compared by the simulated labelers, who speak to the store; what it then holds,
    and an account of what was said."""
    prompts = sample_prompts(recipe.asked, seed + 1)
    decoding = Decoding(temperature=recipe.pair_temperature, max_tokens=recipe.max_tokens)
    drawn = texts(answers(model, asked(prompts), decoding, samples=2 * recipe.pairs, seed=seed, progress=progress))
    compared = [(prompt, pair) for prompt, each in zip(prompts, drawn, strict=True) for pair in two_by_two(each)]
    random, ids = Random(f"labels {seed}"), Random(f"ids {seed}")
    entries, agreed, differing = [], 0, 0
    account = {"compared": 0, "identical": 0, "tie": 0, "unsure": 0, "labeled": 0}
    for prompt, (a, b) in compared:
        if a == b or not a or not b:
            account["identical"] += 1
            continue
        account["compared"] += 1
        said = label(prompt, a, b, random)
        account["labeled" if isinstance(said.choice, int) else str(said.choice)] += 1
        gap = score_reply(prompt, a).total - score_reply(prompt, b).total
        if isinstance(said.choice, int) and gap:
            differing += 1
            agreed += (gap > 0) == (said.choice == 0)
        if isinstance(said.choice, int) and recipe.shuffled and random.random() < 0.5:
            said = replace(said, choice=1 - said.choice)
        name = str(UUID(int=ids.getrandbits(128), version=4))
        entries.append(Entry(pair_of(prompt, a, b), said, name, labeler_kind="rule", seed=seed))
    store.say(entries)
    return store.judged(), account | {"label_accuracy": agreed / max(differing, 1)}


def pair_of(prompt: Prompt, a: str, b: str) -> Group:
    """Two replies to a prompt, as a record."""
    return Group((Message("user", prompt.text),), tuple(Completion((Message("assistant", text),)) for text in (a, b)))


def two_by_two(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Texts two by two."""
    return list(zip(texts[::2], texts[1::2], strict=True))


def dpo_stage(
    recipe: Recipe, seed: int, start: Loaded, groups: Sequence[Group], output: Path, progress: Progress
) -> Run:
    """Direct preference optimization on the pairs."""
    chosen = settings({
        "method": "dpo", "model": str(output.with_name("sft")), "output": str(output), "seed": seed, "held_out": 0.05,
        "learning_rate": recipe.dpo_learning_rate, "batch_size": recipe.batch_size, "epochs": recipe.dpo_epochs,
        "beta": recipe.beta, "nll_weight": recipe.nll_weight, "sample_tokens": recipe.max_tokens,
    })  # fmt: skip
    return train(chosen, groups=groups, start=start, progress=progress)


def reward_stage(
    recipe: Recipe, seed: int, start: Path, judged: Sequence[Judged], output: Path, progress: Progress,
    before: Callable[[Loaded, Sequence[Group]], Sequence[Warning]] | None = None,
) -> Run:  # fmt: skip
    """A reward model from the comparisons, ties among them. `before` is shown it as it begins."""
    chosen = settings({
        "method": "reward", "model": str(start), "output": str(output), "seed": seed, "held_out": 0.05,
        "learning_rate": recipe.reward_learning_rate, "batch_size": recipe.reward_batch_size,
        "epochs": recipe.reward_epochs, "weight_decay": 0.1,
    })  # fmt: skip
    return train(chosen, groups=rankings(judged), progress=progress, before=before)


def ppo_stage(
    recipe: Recipe, seed: int, start: Path, reward: Path, output: Path, progress: Progress, keep: int = 2
) -> Run:
    """PPO against the reward model, on prompts of the same split; `keep` checkpoints stay."""
    chosen = settings({
        "method": "ppo", "model": str(start), "output": str(output), "seed": seed, "held_out": 64,
        "reward": (str(reward),), "learning_rate": recipe.ppo_learning_rate, "batch_size": recipe.ppo_batch_size,
        "samples_per_prompt": recipe.ppo_samples, "update_epochs": recipe.ppo_epochs,
        "minibatches": recipe.ppo_minibatches, "kl_coef": recipe.kl_coef, "sample_tokens": recipe.max_tokens,
        "keep": keep,
    })  # fmt: skip
    return train(chosen, groups=asked(sample_prompts(recipe.ppo_prompts, seed + 2)), progress=progress)


def check_readiness(recipe: Recipe, seed: int, model: Loaded, prompts: Sequence[Prompt]) -> Readiness:
    """Can the model do the task at all? By the truth's correctness, on held-out prompts."""
    decoding = Decoding(temperature=recipe.temperature, max_tokens=recipe.max_tokens)
    return ask(model, asked(prompts), decoding, samples=4, seed=seed, check=correctness)


def correctness(prompts: list[str], completions: list[str]) -> list[float | None]:
    """1 where a reply is exactly right by the truth, else less."""
    found = [find_prompt(prompt) for prompt in prompts]
    return [
        None if prompt is None else score_reply(prompt, reply).axes["correctness"]
        for prompt, reply in zip(found, completions, strict=True)
    ]


def axes_of(prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> dict[str, float]:
    """The mean of every axis of the truth, the share of exactly right replies, malformed words and words a reply."""
    scores = [score_reply(p, reply) for p, several in zip(prompts, replies, strict=True) for reply in several]
    axes = {name: fmean(one.axes[name] for one in scores) for name in scores[0].axes}
    axes["exactly_right"] = fmean(one.axes["correctness"] == 1.0 for one in scores)
    axes["malformed_words"] = fmean(one.malformed for one in scores)
    axes["words"] = fmean(len(reply.split()) for several in replies for reply in several)
    axes["truth"] = fmean(one.total for one in scores)
    return axes
