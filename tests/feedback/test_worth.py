"""Labelers of known reliability and leanings, and what is told of them."""

import random

import pytest

from preferably.feedback.questions import Said
from preferably.feedback.records import Completion, Group, Judged, Label, Message, Preference
from preferably.feedback.worth import worth_of


def pair(number, a="a short one", b="one that is a good deal longer"):
    return Group(
        (Message("user", f"question {number}"),), tuple(Completion((Message("assistant", t),)) for t in (a, b))
    )


def crowd(people, questions, seed=0, each=None):
    """Judgments of people who are right by a chance of their own; which completion is right is a coin."""
    rng, records = random.Random(seed), []
    for number in range(questions):
        group, right = pair(number, f"a {number}", f"bb {number}"), rng.random() < 0.5
        said = []
        for name in rng.sample(list(people), each or len(people)):
            choice = int(right) if rng.random() < people[name] else int(not right)
            said.append(Preference(choice, labeler=name, order=tuple(rng.sample((0, 1), 2))))
        records.append(Judged(group, tuple(said)))
    return said_in(records)


def by_group(said):
    found = {}
    for one in said:
        found.setdefault(one.group, []).append(one)
    return list(found.values())


def said_in(records):
    return [Said(one.group, judgment) for one in records for judgment in one.judgments]


PEOPLE = {"ada": 0.95, "ben": 0.9, "eli": 0.7, "gus": 0.5}


def test_reliability_comes_back():
    found = worth_of(crowd(PEOPLE, 800, each=3))
    told = {one.name: one.reliability.value for one in found.labelers}
    assert told == pytest.approx(PEOPLE, abs=0.06) and found.questions == 800
    alpha = next(one for one in found.coefficients if one.name.startswith("Krippendorff"))
    # Pairs of people: the mean of (2 p - 1)(2 q - 1) over the six of them, as the two answers are equally likely.
    edges = [2 * p - 1 for p in PEOPLE.values()]
    expected = sum(a * b for at, a in enumerate(edges) for b in edges[at + 1 :]) / 6
    assert alpha.value == pytest.approx(expected, abs=0.04) and expected in alpha.interval


def test_noise_by_hand():
    found = worth_of(crowd({"x": 0.85, "y": 0.85}, 3000))
    assert found.coefficients[0].value == pytest.approx(0.85**2 + 0.15**2, abs=0.03)
    assert found.noise == pytest.approx(0.15, abs=0.02)
    assert {one.reliability for one in found.labelers} == {None}  # two alone cannot tell who is wrong


def test_the_chosen_one_first_in_every_record_does_not_look_like_agreement_by_chance():
    """As files of chosen and rejected have it: the same verdicts, only the order in which the record has the two."""
    records = [Judged(one[0].group, tuple(said.judgment for said in one)) for one in by_group(crowd(PEOPLE, 400))]
    turned = []
    for record in records:
        if record.judgments[0].choice == 1:
            group = Group(record.group.prompt, record.group.completions[::-1])
            answers = tuple(
                Preference(1 - one.choice, labeler=one.labeler, order=one.order[::-1]) for one in record.judgments
            )
            record = Judged(group, answers)
        turned.append(record)
    one, other = worth_of(said_in(records)), worth_of(said_in(turned))
    assert [c.value for c in one.coefficients] == [c.value for c in other.coefficients]
    assert next(c.value for c in one.coefficients if "nominal" in c.name) > 0.2


def habits(person):
    return person.habits.longer.share.value, person.habits.first.share.value, person.habits.seconds


def test_leanings():
    said = [Said(pair(n), Preference(1, labeler="long", order=(n % 2, 1 - n % 2)), 2.0 + n) for n in range(40)]
    said += [Said(pair(n), Preference(n % 2, labeler="first", order=(n % 2, 1 - n % 2))) for n in range(40)]
    said += [Said(pair(n), Preference("tie", labeler="tie")) for n in range(3)]
    found = worth_of(said)
    people = {one.name: one for one in found.labelers}
    assert tuple(habits(people["long"])) == (1, 0.5, 21.5)
    assert tuple(habits(people["first"])) == (0.5, 1, None)
    assert people["tie"].habits.longer is None and people["tie"].judged == 3
    assert [one.name for one in found.labelers][-1] == "tie"
    told = found.as_json()["labelers"]["first"]["first"]
    assert told["n"] == 40 and told["interval"][0] > 0.85


def test_thumbs_are_questions_too():
    group = Group((Message("user", "q"),), (Completion((Message("assistant", "a"),)),))
    records = [Judged(group, (Label(True, labeler="x"), Label(True, labeler="y"), Label(False, labeler="z")))]
    found = worth_of(said_in(records))
    assert found.questions == 1 and found.coefficients[0].value == pytest.approx(1 / 3)
    assert {one.name: one.agrees.value for one in found.labelers} == {"x": 0.5, "y": 0.5, "z": 0}


def test_nobody_who_judged_what_others_judged():
    found = worth_of(crowd({"x": 0.9}, 5))
    assert found.noise is None and all(one.value is None and one.why for one in found.coefficients)
    assert found.labelers[0].agrees is None and found.as_json()["noise"] is None


def test_where_there_are_ties_ordinal_figures_stand_beside_the_others():
    """AC2 by hand: (0, 1), (1, 2), (0, 0), (2, 2), weights 1, 2/3, 0.

    P = (2/3 + 2/3 + 1 + 1) / 4 = 5/6; shares 3/8, 2/8, 3/8; the weights sum to 3 + 4 x 2/3 = 17/3, so
    Pe = 17/3 / 6 x (15 + 12 + 15) / 64 = 119/192, and (160 - 119) / (192 - 119) = 41/73.
    """
    said = []
    for number, choices in enumerate([(0, "tie"), ("tie", 1), (0, 0), (1, 1)]):
        group = pair(number)
        said += [Said(group, Preference(one, labeler=name)) for one, name in zip(choices, ("ada", "ben"), strict=True)]
    found = {one.name: one.value for one in worth_of(said).coefficients}
    assert found["Gwet's AC2"] == pytest.approx(41 / 73) and "Gwet's AC1" in found
    assert "Gwet's AC2" not in {one.name for one in worth_of(said[4:]).coefficients}  # nobody saw a tie
