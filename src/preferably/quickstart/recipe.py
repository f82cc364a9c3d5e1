"""The numbers of the quickstart. They were tuned on seeds other than 0 to 4, which the published figures are for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much of everything; counts are of documents, demonstrations, pairs and prompts."""

    documents: int = 13000
    base_learning_rate: float = 4e-3
    demonstrations: int = 3000
    sft_epochs: float = 2.0
    sft_learning_rate: float = 1e-3
    asked: int = 3600  # prompts that the SFT model answers for comparison
    pairs: int = 3  # comparisons a prompt, each of two new samples
    pair_temperature: float = 0.8
    dpo_epochs: float = 1.0
    dpo_learning_rate: float = 5e-4
    beta: float = 0.25
    nll_weight: float = 1.0
    batch_size: int = 32
    reward_epochs: float = 2.3
    reward_learning_rate: float = 3e-4
    reward_batch_size: int = 16
    ppo_prompts: int = 1600
    ppo_batch_size: int = 64  # prompts an iteration
    ppo_samples: int = 2  # a prompt
    ppo_epochs: int = 1
    ppo_minibatches: int = 4
    ppo_learning_rate: float = 3e-4
    kl_coef: float = 0.2  # of the spread of the reward, for a nat
    prompts: int = 1000  # held out
    samples: int = 2  # a prompt, at the headline's temperature
    temperature: float = 0.7
    max_tokens: int = 96
    best_of: int = 16  # samples of the SFT model to pick from, for each of
    best_of_prompts: int = 260
    shuffled: bool = False  # a control: labels at random, which must teach nothing
