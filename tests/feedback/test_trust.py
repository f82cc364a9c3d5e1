"""How far labelers are trusted, and what their verdicts come to."""

import random

import pytest

from preferably.errors import DataError
from preferably.feedback.records import Completion, Group, Judged, Message, Preference
from preferably.feedback.trust import Trust, trust_of
from preferably.feedback.views import SETTLED, pairs, rankings

PEOPLE = {"ada": 0.95, "ben": 0.85, "eli": 0.6}


def group(number=0):
    texts = (f"good {number}", f"bad {number}")
    return Group((Message("user", f"q {number}"),), tuple(Completion((Message("assistant", one),)) for one in texts))


def crowd(n, more=()):
    """What everybody says of n pairs, and `more` people of few of them."""
    rng, found = random.Random(1), []
    for number in range(n):
        said = [Preference(int(rng.random() > p), labeler=name) for name, p in PEOPLE.items()]
        said += [Preference(choice, labeler=name) for name, upto, choice in more if number < upto]
        found.append(Judged(group(number), tuple(said)))
    return found


def judged(*said):
    return Judged(group(), tuple(Preference(choice, labeler=name) for name, choice in said))


TRUST = Trust({"ada": 0.9, "ben": 0.75, "eli": 0.6}, others=0.7)


def test_trust_comes_back():
    found = trust_of(crowd(1500))
    assert dict(found.accuracy) == pytest.approx(PEOPLE, abs=0.04)
    assert found.others == pytest.approx(sum(PEOPLE.values()) / 3, abs=0.04)  # of anybody else: the mean


def test_those_with_few_verdicts_have_one_coin_in_common():
    """Ten people who answer twenty pairs each, all for the good one: each alone would look infallible."""
    few = [(f"rare {number}", 20, 0) for number in range(10)]
    found = trust_of(crowd(400, few))
    assert set(found.accuracy) == set(PEOPLE) and found.of("rare 3") == found.others
    assert 0.93 < found.others < 0.999


def test_one_who_was_never_wrong_is_not_infallible():
    one = judged(("ada", 0), ("ben", 0), ("eli", 0))
    records = [Judged(group(number), one.judgments) for number in range(40)]
    assert all(0.95 < p <= 41 / 42 for p in trust_of(records).accuracy.values())  # (40 + 1) / (40 + 2)


def test_what_cannot_be_told_is_refused():
    with pytest.raises(DataError, match="needs 3 labelers with 30 shared verdicts each; this data has 0"):
        trust_of(crowd(20))


@pytest.mark.parametrize("said, chosen, probability", [
    ([("ada", 0)], "good 0", 0.9),
    ([("ada", 1)], "bad 0", 0.9),
    # 9 : 1 for, 3 : 1 and 1.5 : 1 against
    ([("ada", 0), ("ben", 1), ("eli", 1)], "good 0", 9 / (9 + 4.5)),
    ([("ben", 0), ("eli", 1)], "good 0", 3 / (3 + 1.5)),
    ([("somebody", 1)], "bad 0", 0.7),
    ([("ada", 0), ("ben", "tie"), ("eli", 0)], "good 0", 13.5 / 14.5),  # a tie says nothing of which
])  # fmt: skip
def test_the_posterior_by_hand(said, chosen, probability):
    (found,) = pairs([judged(*said)], trust=TRUST)
    assert found.completions[0].text == chosen and found.probability == pytest.approx(probability)
    (ranked,) = rankings([judged(*said)], trust=TRUST)
    assert ranked.probability == found.probability and ranked.ranks == (1, 2)


@pytest.mark.parametrize("said", [
    [("ada", "tie"), ("ben", 0)], [("ada", "tie")], [("ada", "unsure")], [("ada", 0), ("ada too", 1), ("x", "tie")],
])  # fmt: skip
def test_a_tie_that_no_side_beats_makes_no_pair(said):
    assert pairs([judged(*said)], trust=TRUST) == []


def test_an_even_chance_makes_no_pair_and_a_tie_of_all_stays_one():
    assert pairs([judged(("ada", 0), ("ada's twin", 1))], trust=Trust({}, 0.8)) == []
    (tied,) = rankings([judged(("ada", "tie"), ("ben", "tie"))], trust=TRUST)
    assert tied.ranks == (1, 1) and tied.probability is None


def test_what_was_settled_is_sure():
    said = judged(("ada", 0), ("ben", 0))
    settled = Judged(said.group, (*said.judgments, Preference(1, labeler="lena", labeler_group=SETTLED)))
    (found,) = pairs([settled], trust=TRUST)
    assert found.completions[0].text == "bad 0" and found.probability is None


def test_one_who_is_worse_than_a_coin_speaks_for_the_other_side():
    (found,) = pairs([judged(("odd", 0))], trust=Trust({"odd": 0.2}, 0.7))
    assert found.completions[0].text == "bad 0" and found.probability == pytest.approx(0.8)
