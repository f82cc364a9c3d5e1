"""The files of `../shared/real`: what is in them was counted by hand once."""

from pathlib import Path

import pytest

from preferably.data.load import load_feedback
from preferably.data.splits import leaked, split_by_prompt
from preferably.data.tokens import encode

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "real"
pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not there")


def counts(name, feedback):
    accounting = load_feedback([REAL / "data" / name], feedback, max_rejected=1).accounting
    accounting.close()
    return accounting.read, accounting.used, accounting.deduplicated, accounting.rejected


@pytest.mark.parametrize(
    ("name", "feedback", "expected"),
    [
        ("rasbt/instruction-data-with-preference.json", "pairs", (1100, 1094, 0, {"equal": 6})),
        # empty: one of the two answers, or a turn before it, is blank
        ("hh-rlhf/harmless-base-test.jsonl.gz", "pairs", (2312, 2308, 0, {"empty": 4})),
        ("hh-rlhf/helpful-base-test.jsonl.gz", "pairs", (2354, 2348, 0, {"empty": 4, "equal": 2})),
        ("llama-factory/alpaca_en_demo.json", "demonstrations", (999, 985, 14, {})),
        ("llama-factory/kto_en_demo.json", "demonstrations", (300, 150, 0, {"bad_example": 150})),  # thumbs down
    ],
)
def test_counts(name, feedback, expected):
    assert counts(name, feedback) == expected


def test_transcripts_begin_their_completions_with_the_assistant():
    groups = load_feedback([REAL / "data/hh-rlhf/helpful-base-test.jsonl.gz"], "pairs").groups
    for group in groups:
        assert group.prompt[-1].role == "user"
        assert all(completion.messages[0].role == "assistant" for completion in group.completions)
        one, other = group.completions
        assert one.messages != other.messages


def test_a_real_tokenizer_learns_every_end():
    from transformers import AutoTokenizer

    from preferably.data.chat import ensure_template

    tokenizer = AutoTokenizer.from_pretrained(REAL / "models" / "stories260K")
    ensure_template(tokenizer)
    loaded = load_feedback([REAL / "data/rasbt/instruction-data-with-preference.json"], "pairs")
    split = split_by_prompt(loaded.groups, 0.1, seed=0)
    assert not leaked([loaded.groups[at] for at in split.train], [loaded.groups[at] for at in split.held_out])
    encoded = encode(loaded.groups, tokenizer, max_length=512, accounting=loaded.accounting)
    loaded.accounting.close()
    assert len(encoded.groups) == loaded.accounting.used > 1000
    for group in encoded.groups:
        assert group.prompt[0] == tokenizer.bos_token_id and group.prompt[1] != tokenizer.bos_token_id
        for ids, mask, completion in zip(
            group.completions, group.train, loaded.groups[group.row].completions, strict=True
        ):
            assert ids[-1] == tokenizer.eos_token_id and mask.all()
            assert tokenizer.decode(ids[:-1]).strip() == completion.text.strip()
