"""What each piece adds, checked against planted causes."""

import pytest
import torch

from preferably.evaluation import attribution
from preferably.evaluation.attribution import explain, pieces_of
from preferably.feedback.records import Completion, Group, Message

TEXT = "Open the menu. Thank you so much! Then choose Cancel.\nDone"


class Planted:
    """Two axes: the words `thank` in it, and its characters."""

    axes, weights = ("thanks", "length"), (1.0, 0.0)

    def total(self, scores):
        return scores @ torch.tensor(self.weights)


@pytest.fixture(autouse=True)
def planted(monkeypatch):
    read = []

    def score_groups(loaded, groups, budget):
        read.extend(len(group.completions) for group in groups)
        return [
            torch.tensor([[one.text.lower().count("thank") * 2.0, float(len(one.text))] for one in group.completions])
            for group in groups
        ]

    monkeypatch.setattr(attribution, "score_groups", score_groups)
    monkeypatch.setattr(attribution, "scorer_of", lambda loaded: loaded)
    return read


def group(*texts):
    return Group((Message("user", "How?"),), tuple(Completion((Message("assistant", text),)) for text in texts))


@pytest.mark.parametrize("by", ["sentences", "words"])
@pytest.mark.parametrize(
    "text", [TEXT, "  leading space. ", "no end", "...", "a\n\n\nb", "1.5 is a number. Yes", " ", ""]
)
def test_pieces_lose_nothing(text, by):
    assert "".join(pieces_of(text, by)) == text


def test_sentences_are_sentences():
    assert pieces_of(TEXT, "sentences") == ["Open the menu. ", "Thank you so much! ", "Then choose Cancel.\n", "Done"]
    assert pieces_of("1.5 is a number. Yes", "sentences") == ["1.5 is a number. ", "Yes"]


def test_the_planted_cause_is_named():
    (found,) = explain(Planted(), group(TEXT))
    assert found.total == 2.0 and [piece.total for piece in found.pieces] == [0.0, 2.0, 0.0, 0.0]
    assert [piece.axes[1] for piece in found.pieces] == [len(piece.text) for piece in found.pieces]
    assert "".join(piece.text for piece in found.pieces) == TEXT and found.together == 2.0


def test_by_words_the_one_word_is_named():
    (found,) = explain(Planted(), group(TEXT), by="words")
    assert [piece.text.strip() for piece in found.pieces if piece.total] == ["Thank"]


def test_a_cause_that_is_there_twice_counts_twice_in_a_sum_and_shows():
    (found,) = explain(Planted(), group("Thanks. Thanks."))
    assert found.together == found.total == 4.0


def test_a_text_of_one_piece_is_its_own_cause():
    (found,) = explain(Planted(), group("Thanks"))
    assert [piece.total for piece in found.pieces] == [2.0]


def test_long_texts_are_read_in_parts(planted):
    one, other = explain(Planted(), group("word " * 100, "Thanks"), by="words")
    assert len(one.pieces) == 100 and other.total == 2.0
    assert max(planted) <= attribution.TOGETHER and sum(planted) == 101 + 1
