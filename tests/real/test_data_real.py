"""The files of `../shared/real`: what is in them was counted by hand once."""

from dataclasses import replace
from pathlib import Path

import pytest

from preferably.data.check import check_files
from preferably.data.convert import convert_files
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
        ("llama-factory/kto_en_demo.json", "labels", (300, 300, 0, {})),
        ("llama-factory/dpo_en_demo.json", "pairs", (299, 294, 5, {})),
        ("rasbt/instruction-data.json", "demonstrations", (1100, 1100, 0, {})),
        ("llmbar/Natural.json", "pairs", (100, 100, 0, {})),
        ("llmbar/Adversarial_GPTInst.json", "pairs", (92, 92, 0, {})),
        ("llmbar/Adversarial_GPTOut.json", "pairs", (47, 47, 0, {})),
        ("llmbar/Adversarial_Manual.json", "pairs", (46, 46, 0, {})),
        ("llmbar/Adversarial_Neighbor.json", "pairs", (134, 134, 0, {})),
    ],
)
def test_counts(name, feedback, expected):
    assert counts(name, feedback) == expected


@pytest.mark.parametrize(
    ("name", "feedback", "longer"),
    [("hh-rlhf/helpful-base-test.jsonl.gz", "pairs", (0.5, 0.7)), ("llmbar/Natural.json", "pairs", (0.4, 0.7))],
)
def test_check_finds_what_is_in_them(name, feedback, longer):
    found = check_files([REAL / "data" / name])
    assert found.feedback == feedback and not found.stops
    low, high = longer
    assert low < found.lengths.longer.value < high
    assert found.prompts + found.accounting.deduplicated <= found.accounting.read


@pytest.mark.parametrize(
    ("name", "to", "ending"),
    [
        ("rasbt/instruction-data-with-preference.json", "pairs", ".csv.gz"),
        ("llama-factory/kto_en_demo.json", "labels", ".parquet"),
        ("llama-factory/dpo_en_demo.json", "rankings", ".parquet.gz"),
        ("hh-rlhf/harmless-base-test.jsonl.gz", "demonstrations", ".csv"),
        ("llmbar/Adversarial_Manual.json", "prompts", ".json"),
    ],
)
def test_what_is_converted_is_read_back_equal(tmp_path, name, to, ending):
    source, target = REAL / "data" / name, tmp_path / f"rows{ending}"
    done = convert_files([source], to, target)
    one, other = (load_feedback([path], to).groups for path in (source, target))
    assert [replace(group, place=None) for group in one] == [replace(group, place=None) for group in other]
    assert done.written == len(one)


def test_message_trees_become_rankings(tmp_path):
    done = convert_files([REAL / "data/oasst/en_100_tree.jsonl"], "rankings", tmp_path / "rows.jsonl", trees=True)
    assert done.written == done.accounting.used == 212 and done.accounting.rejected.keys() <= {"unjudged"}
    pairs = load_feedback([tmp_path / "rows.jsonl"], "pairs")
    assert pairs.accounting.used == 212 and len(pairs.groups) > 212
    assert {len(group.completions) for group in pairs.groups} == {2}


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
