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
    asked: int = 3000  # prompts that the SFT model answers for comparison
    pairs: int = 3  # comparisons a prompt, each of two new samples
    pair_temperature: float = 0.8
    dpo_epochs: float = 1.2
    dpo_learning_rate: float = 5e-4
    beta: float = 0.25
    nll_weight: float = 1.0
    batch_size: int = 32
    prompts: int = 1000  # held out
    samples: int = 4  # a prompt, at the headline's temperature
    temperature: float = 0.7
    max_tokens: int = 96
    shuffled: bool = False  # a control: labels at random, which must teach nothing
