import json
import os
import random
import subprocess
import sys

import pytest

from preferably.data.splits import half_of, leaked, refuse_leakage, split_by_prompt
from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Completion, Group, Message

NOUNS = "apple river engine cloud violin harbour tiger lantern meadow copper".split()


def group(prompt, answer="a", place=None):
    return Group((Message("user", prompt),), (Completion((Message("assistant", answer),)),), place)


def many(n):
    return [group(f"{NOUNS[at % 10]} {at} of {NOUNS[at // 10 % 10]}?", str(at)) for at in range(n)]


def test_sizes_and_sides():
    groups = many(200)
    for wanted, size in ((0.1, 20), (37, 37), (0, 0), (0.0, 0)):
        split = split_by_prompt(groups, wanted, seed=0)
        assert len(split.held_out) == size
        assert sorted(split.train + split.held_out) == list(range(200))
        assert split.train == sorted(split.train) and split.held_out == sorted(split.held_out)


def test_near_equal_prompts_stay_together():
    groups = many(50)
    groups += [group(f"  {item.prompt_text.upper()}!!", "b") for item in groups]
    split = split_by_prompt(groups, 0.3, seed=1)
    assert len(split.held_out) == 30
    assert not leaked([groups[at] for at in split.train], [groups[at] for at in split.held_out])
    assert {at % 50 for at in split.held_out}.isdisjoint(at % 50 for at in split.train)


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    groups = many(120)
    mixed = groups[:]
    random.Random(0).shuffle(mixed)

    def chosen(rows, seed):
        return {rows[at].prompt_text for at in split_by_prompt(rows, 0.25, seed).held_out}

    assert chosen(groups, 0) == chosen(mixed, 0) != chosen(groups, 1)


def test_halves_share_no_prompt_and_leave_none_out():
    groups = many(200)
    groups += [group(f"  {item.prompt_text.upper()}!!", "b") for item in groups]
    a, b = half_of(groups, "a"), half_of(groups, "b")
    assert sorted(a + b) == list(range(400)) and a == sorted(a) and 120 < len(a) < 280
    assert {at % 200 for at in a}.isdisjoint(at % 200 for at in b)
    # The text alone decides: not the order, and not what else is there.
    some = groups[150:250][::-1]
    assert {some[at].completions for at in half_of(some, "a")} <= {groups[at].completions for at in a}


def test_a_half_without_prompts_is_refused():
    alike = [group("one question?"), group("One question!")]
    refused = []
    for half in ("a", "b"):
        try:
            assert half_of(alike, half) == [0, 1]
        except DataError as error:
            refused.append(str(error))
    assert len(refused) == 1 and "of 2 groups is empty" in refused[0]


def test_a_split_is_the_same_in_every_process():
    program = (
        "from preferably.data.splits import split_by_prompt\n"
        "from preferably.feedback.records import Group, Message\n"
        "rows = [Group((Message('user', f'{at} apples and {at} pears'),)) for at in range(60)]\n"
        "print(split_by_prompt(rows, 9, 5).held_out)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outputs) == 1 and len(json.loads(outputs.pop())) == 9


def test_plain_text_without_prompts_is_split_by_its_text():
    texts = [Group((), (Completion((Message("text", f"{noun} one two"),)),)) for noun in NOUNS]
    assert len(split_by_prompt(texts, 3, seed=0).held_out) == 3


@pytest.mark.parametrize("held_out", [-1, -0.1, 1.0, 1.5, 10, 11, float("nan")])
def test_a_number_out_of_range_is_a_setting_at_fault(held_out):
    with pytest.raises(ConfigError, match="Cannot hold out"):
        split_by_prompt(many(10), held_out, seed=0)


def test_one_prompt_cannot_be_split():
    with pytest.raises(
        DataError, match=r"groups: 9, distinct prompts: 1\).* near-equal prompts has 9, more than the 3"
    ):
        split_by_prompt([group("q", str(at)) for at in range(9)], 3, seed=0)


def test_a_share_of_nothing_is_not_held_out_in_silence():
    for groups in ([], many(4)):
        with pytest.raises(DataError, match="Nothing can be held out"):
            split_by_prompt(groups, 0.1, seed=0)


def test_leakage_is_counted_and_named():
    train = [group("What is AI?"), group("Who are you?")]
    held_out = [group("what is ai", place=("h.jsonl", 1)), group("New"), group("WHO are you", place=("h.jsonl", 3))]
    assert leaked(train, held_out) == [0, 2]
    with pytest.raises(DataError, match=r"2 of 3 .*h.jsonl:1 'what is ai'; h.jsonl:3"):
        refuse_leakage(train, held_out)
    refuse_leakage(train, held_out[1:2])
