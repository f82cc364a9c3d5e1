"""What a reward model is worth, on planted scores: a scorer whose score is known from the text."""

from dataclasses import dataclass, replace

import pytest
import torch

from preferably.errors import DataError
from preferably.evaluation import rewards
from preferably.feedback.records import Completion, Group, Judged, Message, Preference, Ranking, Rating
from preferably.feedback.views import SETTLED

TEXTS = {"good": 2.0, "fine and rather long": 1.0, "bad": -1.0, "worse": -2.0, "same": 0.0, "SAME": 0.0}


@dataclass
class Planted:
    """Stands in for a reward model: what `rewards` needs of one."""

    axes: tuple[str, ...] = ("reward",)

    def total(self, scores):
        return scores[:, 0]


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    def score_groups(loaded, groups, budget):
        return [
            None
            if any("unreadable" in one.text for one in group.completions)
            else torch.tensor([[TEXTS[one.text]] for one in group.completions])
            for group in groups
        ]

    monkeypatch.setattr(rewards, "score_groups", score_groups)
    monkeypatch.setattr(rewards, "scorer_of", lambda loaded: loaded)
    return Planted()


def record(*texts, said, number=0, source=""):
    completions = tuple(Completion((Message("assistant", text),)) for text in texts)
    group = Group((Message("user", f"q{number}"),), completions, ("f", number), source=source)
    return Judged(group, tuple(said))


def choices(*chosen, labelers=("",), strength=None):
    return [Preference(choice, strength, name) for choice, name in zip(chosen, labelers, strict=True)]


def test_accuracy_counts_pairs_and_halves_equal_scores(planted):
    records = [
        record("good", "bad", said=choices(0)),
        record("good", "bad", said=choices(1)),
        record("same", "SAME", said=choices(0)),
        record("good", "bad", said=choices("tie")),
        record("unreadable", "bad", said=choices(0)),
    ]
    found = rewards.evaluate_reward(planted, records)
    assert (found.pairs, found.ties, found.unread) == (3, 1, 1)
    assert found.accuracy.value == pytest.approx(1.5 / 3)
    assert found.tied_margin == 3.0 and found.margin == pytest.approx((3 + 3 + 0) / 3)


def test_a_ranking_gives_all_its_pairs(planted):
    found = rewards.evaluate_reward(planted, [record("good", "worse", "bad", said=[Ranking((1, 2, 2))])])
    assert (found.pairs, found.ties, found.accuracy.value) == (2, 1, 1.0)


def test_each_axis_is_held_against_what_was_said_on_it_and_the_total_against_weighted_ratings(monkeypatch):
    """The first is more helpful, the second more honest; a model that knows both is right on every axis and in all."""

    @dataclass
    class Both:
        axes: tuple[str, ...] = ("helpful", "honest")
        weights: tuple[float, ...] = (0.9, 0.1)

        def total(self, scores):
            return scores @ torch.tensor(self.weights)

    known = torch.tensor([[2.0, -1.0], [-2.0, 3.0]])
    monkeypatch.setattr(rewards, "score_groups", lambda loaded, groups, budget: [known for _ in groups])
    said = (Rating("helpful", (3.0, 2.0)), Rating("honest", (1.0, 5.0)))  # alike, they would call the second better
    found = rewards.evaluate_reward(Both(), [record("good", "bad", said=said)])
    assert {axis: cell.value for axis, cell in found.axes.items()} == {"helpful": 1.0, "honest": 1.0}
    assert (found.pairs, found.accuracy.value) == (1, 1.0)
    overall = [record("good", "bad", said=(Preference(1),))]  # an order that somebody gave outweighs what ratings say
    assert rewards.evaluate_reward(Both(), overall).accuracy.value == 0.0


def test_the_pairs_of_one_ranking_are_no_more_trials_than_one(planted):
    texts = ("good", "fine and rather long", "bad", "worse")
    ranked = [record(*texts, said=[Ranking((1, 2, 3, 4))], number=k) for k in range(20)]
    pairs = [record("good", "bad", said=choices(0), number=k) for k in range(20)]
    many, few = (rewards.evaluate_reward(planted, one) for one in (ranked, pairs))
    assert (many.accuracy.n, few.accuracy.n) == (120, 20) and many.accuracy.interval == few.accuracy.interval
    assert many.calibration is None  # 120 pairs of 20 records


def test_the_majority_is_what_counts_and_each_labeler_for_themselves(planted):
    names = ("a", "b", "c")
    records = [record("good", "bad", said=choices(0, 0, 1, labelers=names), number=k) for k in range(4)]
    records.append(record("good", "bad", said=choices(0, 1, labelers=names[:2]), number=9))  # split: no majority
    found = rewards.evaluate_reward(planted, records)
    assert found.pairs == 4 and found.accuracy.value == 1.0
    cells = found.by["labeler"]
    assert {name: (cell.value, cell.n) for name, cell in cells.items()} == {
        "a": (1.0, 5), "b": (0.8, 5), "c": (0.0, 4)
    }  # fmt: skip
    # the same by kinds of labelers; those who are of none are left out there
    kinds = {"a": "experts", "b": "experts", "c": "crowd"}
    grouped = [
        replace(one, judgments=tuple(replace(said, labeler_group=kinds[said.labeler]) for said in one.judgments))
        for one in records
    ]
    cells = rewards.evaluate_reward(planted, grouped).by["labeler group"]
    assert {name: (cell.value, cell.n) for name, cell in cells.items()} == {"experts": (0.9, 10), "crowd": (0.0, 4)}
    assert "labeler group" not in found.by
    # of 4 x 3 + 1 comparisons of two labelers, those of a and b on the first four agree
    assert found.agreement.value == pytest.approx(4 / 13) and found.ceiling is None


def test_the_ceiling_is_what_two_noisy_labelers_leave(planted):
    """Each says what most would say with probability 0.8: they agree on 0.68, and 0.8 is the most that can be had."""
    names = ("a", "b")
    records = [record("good", "bad", said=choices(0, int(k >= 68), labelers=names), number=k) for k in range(100)]
    records[0] = record("good", "bad", said=choices(0, labelers=("a",)), number=1000)
    records.append(record("good", "bad", said=choices(0, 0, labelers=names), number=2000))
    assert rewards.evaluate_reward(planted, records).ceiling == pytest.approx(0.8, abs=1e-3)


def test_of_few_shared_pairs_no_ceiling_is_told(planted):
    records = [record("good", "bad", said=choices(0, 0, labelers=("a", "b")), number=k) for k in range(29)]
    found = rewards.evaluate_reward(planted, records)
    assert found.agreement.n == 29 and found.ceiling is None
    records.append(record("good", "bad", said=choices(0, 0, labelers=("a", "b")), number=99))
    assert rewards.evaluate_reward(planted, records).ceiling == 1.0


def test_what_somebody_settled_counts_as_training_counts_it(planted):
    """Four to one for the better text, and a lead settles on the other: training learns that, and so is it held
    against here; who settles agrees with nobody, as they were shown what others said."""
    several = choices(0, 0, 0, 0, 1, labelers=("a", "b", "c", "d", "e"))
    settled = Preference(1, None, "lead", labeler_group=SETTLED)
    found = rewards.evaluate_reward(planted, [record("good", "bad", said=[*several, settled])])
    assert (found.pairs, found.accuracy.value) == (1, 0.0)
    assert found.agreement.n == 10  # the pairs of five
    found = rewards.evaluate_reward(planted, [record("good", "bad", said=[*several[:2], several[4], settled])])
    assert (found.pairs, found.accuracy.value) == (1, 0.0)


def test_tables_by_strength_length_and_source(planted):
    records = [
        record("good", "bad", said=choices(0, strength=2.0), source="web"),
        record("good", "bad", said=choices(1, strength=1.0), source="desk", number=1),
        record("fine and rather long" , "worse", said=choices(0, strength=2.0), source="desk", number=2),
    ]  # fmt: skip
    found = rewards.evaluate_reward(planted, records)
    assert {name: (cell.value, cell.n) for name, cell in found.by["strength"].items()} == {"2": (1.0, 2), "1": (0.0, 1)}
    assert {name: (cell.value, cell.n) for name, cell in found.by["source"].items()} == {
        "desk": (0.5, 2), "web": (1.0, 1)
    }  # fmt: skip
    assert found.baselines["longer"].value == pytest.approx((1 + 0 + 1) / 3)
    assert found.baselines["shorter"].value == pytest.approx((0 + 1 + 0) / 3)


def test_many_cells_are_added_up_to_one_so_that_counts_hold(planted):
    records = [record("good", "bad", said=choices(0), source=f"s{k}", number=k) for k in range(40)]
    cells = rewards.evaluate_reward(planted, records).by["source"]
    assert len(cells) == rewards.CELLS + 1 and sum(cell.n for cell in cells.values()) == 40


def test_calibration_of_scores_that_promise_too_much(planted):
    """A margin of 3 promises 95%, and 60% come true."""
    records = [record("good", "bad", said=choices(int(k % 10 >= 6)), number=k) for k in range(100)]
    found = rewards.evaluate_reward(planted, records).calibration
    assert found.error == pytest.approx(1 / (1 + 2.718281828**-3) - 0.6, abs=1e-3) and found.temperature > 5
    assert found.error_after < 0.05


def test_nothing_to_rank_is_an_error(planted):
    with pytest.raises(DataError, match="no pair to rank: 1 records, 1 ties, 0 too long"):
        rewards.evaluate_reward(planted, [record("good", "bad", said=choices("tie"))])


def test_lengths_are_told_in_their_order():
    cells = [rewards._length_cell(longer) for longer in (-200, -199, -40, -39, 0, 39, 40, 199, 200)]
    assert cells == [rewards.LENGTHS[place] for place in (0, 1, 1, 2, 2, 2, 3, 3, 4)]
