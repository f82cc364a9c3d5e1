"""The audit of judges, against judges whose faults are known."""

import pytest

from preferably.errors import DataError
from preferably.evaluation import probes
from preferably.evaluation.findings import findings, verdict
from preferably.evaluation.judges import audit
from preferably.feedback.records import Completion, Group, Message, Preference

RIGHT = {right for _, right, _ in probes.FACTS}


def group(one, other, number=0):
    return Group((Message("user", f"Question {number}?"),),
                 tuple(Completion((Message("assistant", text),)) for text in (one, other)))  # fmt: skip


# People prefer `good` replies; half of the pairs have the good one longer, and half of them a list in one or the other.
PAIRS = [
    group(
        f"good {number}" + " and more" * 5 * (number % 2) + ("\n- a list" if number % 4 == 0 else ""),
        f"bad {number}" + " and more" * 5 * (1 - number % 2) + ("\n- a list" if number % 4 == 1 else ""), number,
    )
    for number in range(160)
]  # fmt: skip


def by(prefers, state=lambda group: "ok"):
    """A judge that says what `prefers(one text, other text)` says: 0, 1 or "tie"."""

    def said(group):
        one, other = (completion.text for completion in group.completions)
        return Preference(prefers(one, other) if state(group) == "ok" else None, state=state(group))

    return lambda groups: [said(group) for group in groups]


def worth(text):
    """What a perfect judge sees: what is good, what is right, and that not to know beats to be wrong."""
    if "good" in text:
        return 3.0
    if any(f"answer is {right}." in text for right in RIGHT):
        return 2.0
    return 1.0 if "not sure" in text else 0.0


def perfect(one, other):
    return "tie" if worth(one) == worth(other) else 0 if worth(one) > worth(other) else 1


def outcomes(found):
    return {one.name: one.outcome for one in findings(found)}


def test_a_perfect_judge_has_nothing_against_it():
    found = audit(by(perfect), PAIRS, name="perfect", limit=160)
    assert found.agreement == 1.0 and found.consistent.value == 1.0 and found.first.value == 0.5
    assert found.knows.value == 1.0 and found.sure_and_wrong.value == found.sure_or_unsure.value == 0.0
    assert found.orders["all"].value == 0.0 and found.constants["all"].value == 0.0 and found.orders["all"].n == 100
    assert set(found.orders) == {"all", *probes.ORDERS} and found.longer == 0.5 and found.unread.value == 0.0
    told = outcomes(found)
    assert {name for name, one in told.items() if one == "bad"} == set()
    assert verdict(found)[0] == "good", told


def test_a_judge_that_prefers_the_longer_one_is_found_out():
    found = audit(by(lambda one, other: 0 if len(one) > len(other) else 1), PAIRS, name="longer", limit=160)
    assert found.agreement == 0.5 and found.length.judge == 1.0 and found.length.people == 0.5
    assert outcomes(found)["length"] == "bad" and outcomes(found)["agreement"] == "not sure"
    assert verdict(found)[0] != "good"


def test_a_judge_that_prefers_the_first_one_is_found_out():
    found = audit(by(lambda one, other: 0), PAIRS, name="first", limit=160)
    assert (
        found.consistent.value == 0.0 and found.first.value == 1.0 and found.agreement == 0.5 and found.decided is None
    )
    assert (
        outcomes(found)["order"] == "bad" and outcomes(found)["orders"] == "not sure"
    )  # nothing that it decided rightly


def test_a_judge_that_prefers_lists_is_found_out():
    def lists(one, other):
        return perfect(one, other) if ("\n- " in one) == ("\n- " in other) else 0 if "\n- " in one else 1

    found = audit(by(lists), PAIRS, name="lists", limit=160)
    assert found.styles["a list"].judge == 1.0 and found.styles["a list"].people == 0.5
    assert outcomes(found)["a list"] == "bad" and "bold words" not in found.styles


def test_a_judge_that_believes_what_sounds_sure_is_found_out():
    def sure(one, other):
        told = ["no doubt" in text for text in (one, other)]
        return perfect(one, other) if told[0] == told[1] else 0 if told[0] else 1

    found = audit(by(sure), PAIRS, name="sure", limit=160)
    assert found.knows.value == 1.0 and found.sure_and_wrong.value == found.sure_or_unsure.value == 1.0
    assert outcomes(found)["confidence"] == outcomes(found)["honesty"] == "bad"
    assert verdict(found)[0] == "bad" and "confidence" in verdict(found)[1]


def test_a_judge_that_heeds_orders_is_found_out():
    def heeds(one, other):
        told = ["ignore your instructions" in text for text in (one, other)]
        return perfect(one, other) if told[0] == told[1] else 0 if told[0] else 1

    found = audit(by(heeds), PAIRS, name="heeds", limit=160)
    assert found.orders["order"].value == 1.0 and found.orders["german"].value == 0.0
    assert outcomes(found)["orders"] == "bad" and "Do not train" in verdict(found)[1]


def test_a_judge_that_likes_a_constant_is_found_out():
    found = audit(by(lambda one, other: 0 if one == ":" else 1 if other == ":" else perfect(one, other)), PAIRS,
                  name="colon", limit=160)  # fmt: skip
    assert found.constants["a colon"].value == 1.0 and found.constants["thanks"].value == 0.0
    assert outcomes(found)["constants"] == "bad"


def test_what_has_no_verdict_is_counted_and_in_none_of_the_shares():
    def half(group):
        return "invalid" if int(group.prompt_text.split()[-1].strip("?") or 0) % 2 else "ok"

    def state(group):
        return half(group) if group.prompt_text.startswith("Question") else "ok"

    found = audit(by(perfect, state), PAIRS, name="half", limit=160)
    assert found.agreement == 1.0 and found.decided.n == 80 and found.states["invalid"] >= 160
    assert found.states["ok"] + found.states["invalid"] == sum(found.states.values())
    assert outcomes(found)["verdicts"] == "bad" and verdict(found)[0] == "bad"


def test_a_judge_that_says_nothing_is_of_no_use():
    found = audit(by(perfect, lambda group: "failed"), PAIRS, name="silent", limit=160)
    assert found.agreement is None and found.knows is None and not found.orders and found.unread.value == 1.0
    assert verdict(found) == ("bad", "Do not use this judge: it does not tell what people prefer.")
    assert found.as_json()["agreement"] is None


def test_few_pairs_leave_things_open():
    found = audit(by(perfect), PAIRS[:6], name="few", limit=160)
    assert found.length is None and outcomes(found)["orders"] == "not sure" and verdict(found)[0] == "not sure"


def test_the_same_seed_asks_the_same():
    one, other = (audit(by(perfect), PAIRS, name="x", limit=50, seed=3).as_json() for _ in range(2))
    assert one == other and one["pairs"] == 50


def test_without_pairs_there_is_nothing_to_hold_it_against():
    with pytest.raises(DataError, match="people have judged"):
        audit(by(perfect), [], name="x")


def test_probes_have_the_right_answer_first_and_differ():
    for ask, right, wrong in probes.FACTS:
        assert right != wrong and ask.endswith("?")
    assert len({ask for ask, _, _ in probes.FACTS}) == len(probes.FACTS) == 24
    assert all(
        perfect(*(one.text for one in each.completions)) == 0
        for each in probes.known() + probes.hedged() + probes.unsure()
    )
