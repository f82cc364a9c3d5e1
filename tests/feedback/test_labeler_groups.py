"""Two groups of labelers with preferences of their own, by hand."""

import pytest

from preferably.feedback.labeler_groups import groups_of
from preferably.feedback.questions import Said, questions_of
from preferably.feedback.records import Completion, Group, Message, Origin, Preference

GROUPS = {"a": "UK", "b": "UK", "c": "Kenya", "d": "Kenya", "e": "Kenya", "x": ""}
TEXTS = {"base": "short", "tuned": "a good deal longer"}


def group(number, models=("base", "tuned")):
    made = tuple(Completion((Message("assistant", TEXTS[model]),), Origin(model)) for model in models)
    return Group((Message("user", f"q {number}"),), made)


def said(choices):
    """`choices`: by question, by labeler, which model."""
    found = []
    for number, answers in enumerate(choices):
        models = ("base", "tuned") if number % 2 else ("tuned", "base")  # in the record
        about = group(number, models)
        for name, model in answers.items():
            choice = model if model == "tie" else models.index(model)
            found.append(Said(about, Preference(choice, labeler=name, labeler_group=GROUPS[name])))
    return found


def told(choices):
    made = said(choices)
    return groups_of(questions_of(made), made, GROUPS)


B, T = "base", "tuned"


def test_what_groups_prefer_and_what_would_change_without_them():
    choices = [
        {"a": B, "b": B, "c": T, "d": T, "e": T},  # tuned; without Kenya base: reversed; without the UK the same
        {"a": B, "b": B, "c": T, "x": B},  # base; without the UK 1 to 1: lost
        {"a": T, "c": T, "d": B, "e": T},  # tuned; without Kenya tuned; without the UK tuned
        {"a": B, "c": T},  # none; without either one has its word: gained
        {"a": "tie", "b": "tie", "x": "tie"},  # a tie; without the UK x alone: a tie
    ]
    found = told(choices)
    assert [one.name for one in found.groups] == ["UK", "Kenya"]
    uk, kenya = found.groups
    assert (uk.labelers, uk.judged, kenya.labelers, kenya.judged) == (2, 8, 3, 8)
    assert (uk.without.verdicts, uk.without.changed, uk.without.lost, uk.without.gained) == (4, 0, 1, 1)
    assert (kenya.without.verdicts, kenya.without.changed, kenya.without.lost, kenya.without.gained) == (4, 1, 0, 1)
    # of verdicts: the UK says base five times, tuned once, two ties; Kenya tuned seven times, base once
    assert uk.win_rates["tuned"].value == pytest.approx((1 + 2 / 2) / 8)
    assert kenya.win_rates["tuned"].value == pytest.approx(7 / 8) and kenya.win_rates["base"].value == 1 / 8
    # of choices: the tuned one is the longer one
    assert uk.longer.value == pytest.approx(1 / 6) and kenya.longer.value == 7 / 8
    # of majorities: tuned, base, tuned, none, a tie
    assert found.win_rates == {"base": pytest.approx(1.5 / 4), "tuned": pytest.approx(2.5 / 4)}
    # without Kenya: base, base, tuned, base, a tie
    assert kenya.without.win_rates["tuned"] == pytest.approx(1.5 / 5)
    across = next(met for met in found.agreement if met.first != met.second)
    # pairs of one and one of the other that say the same: 0 of 6, 0 of 2, 2 of 3, 0 of 1; each question alike
    assert across.raw.value == pytest.approx((2 / 3) / 4) and across.raw.units == 4


def test_the_interval_of_a_group_counts_prompts_not_people():
    choices = [{"a": T, "b": T, "c": T, "d": T, "e": T} for _ in range(20)]
    found = told(choices)
    one, three = (item.win_rates["tuned"] for item in found.groups)  # Kenya with three people, the UK with two
    assert one.n == 60 and three.n == 40 and one.interval == three.interval


def test_one_group_is_nothing_to_compare():
    found = told([{"a": T, "b": B}])
    assert found.groups == [] and found.agreement == [] and found.as_json()["groups"] == {}
