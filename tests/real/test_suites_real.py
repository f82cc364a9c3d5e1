"""Published subsets that are there, counted: what RewardBench's table says of them."""

from pathlib import Path

import pytest

from preferably.data.readers import read_rows
from preferably.evaluation.reward_bench import SECTIONS

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not there")


@pytest.mark.parametrize(
    ("subset", "file"),
    [
        ("llmbar-natural", "Natural"), ("llmbar-adver-neighbor", "Adversarial_Neighbor"),
        ("llmbar-adver-GPTInst", "Adversarial_GPTInst"), ("llmbar-adver-GPTOut", "Adversarial_GPTOut"),
        ("llmbar-adver-manual", "Adversarial_Manual"),
    ],
)  # fmt: skip
def test_the_published_numbers_of_examples(subset, file):
    rows = list(read_rows(REAL / "data" / "llmbar" / f"{file}.json"))
    assert len(rows) == SECTIONS["Chat Hard"][subset]
