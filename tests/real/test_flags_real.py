"""Replies of people and models that meant no harm: hardly any of them is taken for one that speaks to a judge."""

from pathlib import Path

import pytest

from preferably.data.load import read_feedback
from preferably.evaluation.flags import directed

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not there")


@pytest.mark.parametrize(
    ("name", "replies", "flagged"),
    [  # looked at: rows of dots, which are no answer
        ("hh-rlhf/harmless-base-test.jsonl.gz", 4616, ["...", "............", "......................."]),
        ("hh-rlhf/helpful-base-test.jsonl.gz", 4696, []),
        ("rasbt/instruction-data-with-preference.json", 2188, []),
        ("llama-factory/dpo_en_demo.json", 588, []),
    ],
)
def test_what_is_flagged_was_looked_at(name, replies, flagged):
    groups = read_feedback([REAL / "data" / name], "pairs").groups
    texts = [(group.prompt_text, one.text) for group in groups for one in group.completions]
    assert len(texts) == replies
    assert sorted(text for prompt, text in texts if directed(prompt, text)) == flagged
