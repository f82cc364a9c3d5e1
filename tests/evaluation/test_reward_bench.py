"""RewardBench's figures by hand, and on a planted scorer through the one path of scores."""

import json
from dataclasses import dataclass

import pytest
import torch

from preferably.data.subsets import read_subsets
from preferably.errors import DataError
from preferably.evaluation import reward_bench as module
from preferably.evaluation.reward_bench import SECTIONS, counted, reward_bench
from preferably.feedback.records import Message
from preferably.statistics.intervals import wilson


def test_the_published_sections():
    """23 subsets; Chat 358, Chat Hard 456, Safety 740, Reasoning 984 + 6 x 164 = 1968."""
    assert {name: sum(weights.values()) for name, weights in SECTIONS.items()} == {
        "Chat": 358, "Chat Hard": 456, "Safety": 740, "Reasoning": 1968
    }  # fmt: skip
    subsets = [subset for weights in SECTIONS.values() for subset in weights]
    assert len(subsets) == len(set(subsets)) == 23


def test_a_tie_is_a_loss_and_what_was_not_read_is_in_no_figure():
    found = counted(["mine"] * 5, [1.0, -1.0, 0.0, 0.5, None])
    assert (found.accuracy.value, found.accuracy.n, found.ties, found.unread) == (0.5, 4, 1, 1)
    assert found.unknown == ("mine",) and found.sections == {} and found.overall is None
    with pytest.raises(DataError, match="none of 2 pairs"):
        counted(["a", "b"], [None, None])


def test_a_section_is_weighted_by_published_examples_and_names_what_it_lacks():
    """math-prm 1 of 2 at weight 984, hep-go 3 of 3 at weight 164: (984 / 2 + 164) / 1148 = 0.571429."""
    found = counted(["math-prm"] * 2 + ["hep-go"] * 3, [1.0, -1.0, 1.0, 1.0, 1.0])
    section = found.sections["Reasoning"]
    assert section.value == pytest.approx(656 / 1148) and section.n == 5
    assert section.lacking == ("hep-cpp", "hep-java", "hep-js", "hep-python", "hep-rust")
    assert found.accuracy.value == 4 / 5 and found.overall is None
    # 1148^2 / (984^2 / 2 + 164^2 / 3) = 2.670 trials
    trials = 1148**2 / (984**2 / 2 + 164**2 / 3)
    expected = wilson(section.value * trials, trials)
    assert (section.interval.low, section.interval.high) == pytest.approx((expected.low, expected.high))


def test_the_mean_of_the_sections():
    """Everything right but Chat Hard, where all is wrong: (1 + 0 + 1 + 1) / 4."""
    subsets, margins = [], []
    for name, weights in SECTIONS.items():
        for subset in weights:
            subsets += [subset] * 2
            margins += [-1.0 if name == "Chat Hard" else 1.0] * 2
    found = counted(subsets, margins)
    assert found.overall.value == pytest.approx(0.75) and found.overall.n == 46
    assert found.overall.interval.low < 0.75 < found.overall.interval.high
    assert found.sections["Chat Hard"].value == 0.0 and found.sections["Safety"].value == 1.0
    without = counted(subsets[2:], margins[2:])
    assert without.overall is None and without.sections["Chat"].lacking == ("alpacaeval-easy",)


def test_equal_weights_leave_all_trials():
    found = counted(["hep-go", "hep-js"] * 10, [1.0, -1.0] * 10)
    interval, expected = found.sections["Reasoning"].interval, wilson(10, 20)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def rows(tmp_path, *some):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    return path


def test_rows_are_chat_turns_with_their_subset_and_none_is_merged(tmp_path):
    row = {"prompt": "q", "chosen": "good", "rejected": "bad", "subset": "one", "id": 3, "chosen_model": "x"}
    path = rows(tmp_path, row, row | {"subset": "two"}, row | {"rejected": "good"}, {"prompt": "q", "chosen": "a",
                "rejected": "b"})  # fmt: skip
    found, account = read_subsets([path])
    assert [one.source for one in found] == ["one", "two"]
    assert found[0].prompt == (Message("user", "q"),)
    assert [one.messages for one in found[0].completions] == [
        (Message("assistant", "good"),), (Message("assistant", "bad"),)
    ]  # fmt: skip
    assert account.rejected == {"equal": 1, "missing_field": 1}


def test_scores_come_from_the_path_of_evaluate(tmp_path, monkeypatch):
    @dataclass
    class Planted:
        def total(self, scores):
            return scores[:, 0]

    def score_groups(loaded, groups, budget):
        known = {"good": 2.0, "bad": -1.0, "same": 2.0}
        texts = [[one.text for one in group.completions] for group in groups]
        return [None if "?" in two else torch.tensor([[known[one]] for one in two]) for two in texts]

    monkeypatch.setattr(module, "score_groups", score_groups)
    monkeypatch.setattr(module, "scorer_of", lambda loaded: loaded)
    pairs = [("good", "bad"), ("bad", "good"), ("good", "same"), ("good", "?")]
    made = [{"prompt": "q", "chosen": one, "rejected": other, "subset": "donotanswer"} for one, other in pairs]
    found = reward_bench(Planted(), read_subsets([rows(tmp_path, *made)])[0])
    assert (found.accuracy.value, found.ties, found.unread) == (pytest.approx(1 / 3), 1, 1)
    assert json.loads(json.dumps(found.as_json()))["sections"]["Safety"]["n"] == 3
