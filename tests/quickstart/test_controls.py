"""Nothing but the truth wins in the world of the quickstart, and its labels are worth what they are said to be."""

from random import Random
from statistics import mean

import pytest

from preferably.feedback.records import Preference
from preferably.quickstart.controls import (
    CORRECTNESS_ONLY,
    EQUAL,
    IDEAL,
    STYLE_ONLY,
    degenerate_policies,
    feature_agreement,
    mean_score,
    sample_pairs,
    truth_gap,
    win_rate,
)
from preferably.quickstart.desk import BY_NAME
from preferably.quickstart.labelers import LABELERS, compare, crowd_probability, label_ceiling, probability
from preferably.quickstart.phrasing import find_prompt, sample_prompts
from preferably.quickstart.replies import EXAMPLE_A, EXAMPLE_B, EXAMPLE_PROMPT, demonstrations, write_reply
from preferably.quickstart.truth import WEIGHTS, score_reply

PAIRS = sample_pairs(2000, 0)
DIFFERENT = [pair for pair in PAIRS if abs(truth_gap(pair)) > EQUAL]


def mixture_score(seed: int) -> float:
    random = Random(seed)
    return mean_score(lambda prompt: write_reply(BY_NAME[prompt.topic], random))


def test_no_single_feature_gives_the_truth_away():
    table = feature_agreement(PAIRS)
    assert len(table) > 80
    assert max(table.values()) < 0.70, max(table, key=lambda name: table[name])


def test_the_mixture_has_room_on_every_axis_but_is_no_failure():
    scores = [score_reply(prompt, reply) for prompt, reply in demonstrations(4000, 1)]
    assert 0.6 < mean(score.axes["correctness"] == 1 for score in scores) < 0.85
    for axis in ("directness", "voice", "brevity"):
        assert 0.4 < mean(score.axes[axis] for score in scores) < 0.8
    assert all(min(score.axes[axis] for score in scores) < 0.3 for axis in WEIGHTS)
    assert 0.93 < len(DIFFERENT) / len(PAIRS)


def test_wrong_replies_read_as_well_as_right_ones():
    lengths: dict[bool, list[int]] = {True: [], False: []}
    for prompt, reply in demonstrations(8000, 2):
        truth = score_reply(prompt, reply)
        assert truth.malformed == 0
        lengths[truth.axes["correctness"] == 1].append(len(reply.split()))
    assert mean(lengths[True]) == pytest.approx(mean(lengths[False]), abs=1.5)
    for share in (0.1, 0.5, 0.9):
        right, wrong = (sorted(group)[int(share * len(group))] for group in lengths.values())
        assert abs(right - wrong) <= 2


@pytest.mark.parametrize("name", degenerate_policies())
def test_degenerate_policies_do_not_pay(name: str):
    assert mean_score(degenerate_policies()[name]) < mixture_score(0) - 0.08


@pytest.mark.parametrize("name", ["empty", "opener only", "the right answer again and again", "gibberish", "echo"])
def test_garbage_is_far_below_a_fluent_wrong_reply_in_the_worst_style(name: str):
    leak = (
        "As per our records, the following applies. Have you seen our Family plan? It could save you money every "
        "month. This is a question that we hear a lot. We take each and every question seriously. Their PIN is 4821. "
        "You can use it with their email today."
    )
    prompt = find_prompt("What is the PIN of my boss?")
    assert prompt is not None
    worst = score_reply(prompt, leak)
    assert worst.malformed == 0
    policy = degenerate_policies()[name]
    assert all(score_reply(asked, policy(asked)).total < worst.total - 0.3 for asked in sample_prompts(200, 0))


def test_style_and_correctness_each_win_and_both_together_win_most():
    ideal, style, correctness = (
        mean(win_rate(habits, seed=seed) for seed in range(4)) for habits in (IDEAL, STYLE_ONLY, CORRECTNESS_ONLY)
    )
    assert 0.87 < ideal < 0.93
    assert 0.65 < style < 0.735
    assert 0.58 < correctness < 0.68
    assert win_rate(STYLE_ONLY, STYLE_ONLY) == pytest.approx(0.5, abs=0.03)


def test_labels_agree_with_the_truth_as_often_as_people_do():
    random = Random(0)
    verdicts = [(compare(*pair, random), truth_gap(pair)) for pair in DIFFERENT for _ in range(3)]
    agreed = [(label.choice == 0) == (gap > 0) for label, gap in verdicts if isinstance(label.choice, int)]
    assert 0.75 < mean(agreed) < 0.82
    assert 0.9 < len(agreed) / len(verdicts) < 1.0
    assert mean(agreed) <= label_ceiling(DIFFERENT) + 0.02
    assert {label.labeler for label, _ in verdicts} == {labeler.name for labeler in LABELERS}


def test_groups_differ_as_they_are_said_to():
    def agreement(group: str) -> float:
        people = [labeler for labeler in LABELERS if labeler.group == group]
        chances = []
        for pair in DIFFERENT[:500]:
            chance = mean(probability(*pair, labeler, first) for labeler in people for first in (0, 1))
            chances.append(chance if truth_gap(pair) > 0 else 1 - chance)
        return mean(chances)

    assert agreement("careful") > agreement("likes_longer") > agreement("hasty") > 0.68


def test_the_two_choices_have_chances_that_add_up_and_position_counts_only_for_the_hasty():
    prompt = find_prompt(EXAMPLE_PROMPT)
    assert prompt is not None
    for labeler in LABELERS:
        chance = probability(prompt, EXAMPLE_A, EXAMPLE_B, labeler, first=0)
        assert chance + probability(prompt, EXAMPLE_B, EXAMPLE_A, labeler, first=1) == pytest.approx(1.0)
        shown_second = probability(prompt, EXAMPLE_A, EXAMPLE_B, labeler, first=1)
        assert (chance > shown_second) == (labeler.group == "hasty")
    assert crowd_probability(prompt, EXAMPLE_A, EXAMPLE_B) > 0.7


def test_compare_draws_with_the_probability_it_names():
    prompt = find_prompt(EXAMPLE_PROMPT)
    assert prompt is not None
    random = Random(0)
    labeler = LABELERS[0]
    labels = [compare(prompt, EXAMPLE_A, EXAMPLE_B, random, labeler) for _ in range(4000)]
    assert all(isinstance(label, Preference) and label.order in ((0, 1), (1, 0)) for label in labels)
    expected = probability(prompt, EXAMPLE_A, EXAMPLE_B, labeler)
    assert mean(label.choice == 0 for label in labels) == pytest.approx(expected, abs=0.02)
    assert mean(label.order == (0, 1) for label in labels) == pytest.approx(0.5, abs=0.03)


def test_equal_replies_are_ties_or_a_coin():
    prompt = find_prompt(EXAMPLE_PROMPT)
    assert prompt is not None
    random = Random(0)
    choices = [compare(prompt, EXAMPLE_A, EXAMPLE_A, random, LABELERS[0]).choice for _ in range(2000)]
    assert choices.count("tie") / 2000 == pytest.approx(0.5, abs=0.05)
    assert choices.count(0) / 2000 == pytest.approx(0.25, abs=0.05)
