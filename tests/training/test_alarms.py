"""Each alarm on its condition and not just short of it. Thresholds are written out here, not imported."""

import pytest

from preferably.training.alarms import ALARMS, raised

CALM = {
    "objective/kl": 1.0, "objective/kl_per_token": 0.05, "samples/length": 20.0, "samples/repetition": 0.1,
    "samples/unfinished": 0.1, "eval_loss": 0.6, "eval_rewards/accuracies": 0.6, "eval_logratio/chosen_per_token": 0.0,
    "eval_groups": 1000.0, "samples/share/7/big": 0.05, "samples/same_start": 0.3,
    "samples/same_token": 0.4, "samples/count": 64.0, "objective/rollout_kl": 1.0,
    "objective/rollout_kl_per_token": 0.05,
}  # fmt: skip

# (code, what changes, enough to speak, just not enough)
EDGES = [
    ("kl_high", "objective/kl", 10.001, 10.0),
    ("kl_high", "objective/rollout_kl", 10.001, 10.0),
    ("kl_high_per_token", "objective/kl_per_token", 0.501, 0.5),
    ("kl_high_per_token", "objective/rollout_kl_per_token", 0.501, 0.5),
    ("likelihood_displacement", "eval_logratio/chosen_per_token", -0.4, -0.399),
    ("length_drift", "samples/length", 32.0, 31.99),
    ("length_drift", "samples/length", 12.5, 12.51),
    ("repetition", "samples/repetition", 0.2, 0.1999),
    ("unfinished", "samples/unfinished", 0.5, 0.499),
    ("held_out_loss_rising", "eval_loss", 0.6601, 0.6599),
    ("one_word", "samples/share/7/big", 0.151, 0.149),
    ("one_word", "samples/share/8/new", 0.1001, 0.0999),
    ("same_start", "samples/same_start", 0.8, 0.799),
    ("same_start", "samples/same_token", 0.9, 0.899),
    ("below_chance", "eval_rewards/accuracies", 0.468, 0.47),
]


def codes(now, start=CALM, already=()):
    return [warning.code for warning in raised(7, now, start, set(already))]


def test_nothing_speaks_where_nothing_changed():
    assert codes(CALM) == []


@pytest.mark.parametrize(("code", "key", "enough", "not_enough"), EDGES)
def test_each_speaks_on_its_condition_and_not_just_short_of_it(code, key, enough, not_enough):
    assert codes(CALM | {key: enough}) == [code]
    assert codes(CALM | {key: not_enough}) == []


def test_a_length_that_a_few_rambling_samples_make_is_no_drift():
    noisy = CALM | {"samples/length": 33.0, "samples/length_se": 3.0}
    assert codes(noisy) == [] == codes(CALM | {"samples/length": 12.0}, CALM | {"samples/length_se": 2.0})
    assert codes(noisy | {"samples/length": 40.0}) == ["length_drift"]


@pytest.mark.parametrize(("code", "key", "enough", "not_enough"), EDGES)
def test_each_speaks_once_a_run(code, key, enough, not_enough):
    assert codes(CALM | {key: enough}, already=[code]) == []
    assert codes(CALM | {key: enough}, already=[other for other in ALARMS if other != code]) == [code]


def test_every_alarm_is_tested_here():
    assert {code for code, *_ in EDGES} == set(ALARMS)


@pytest.mark.parametrize(("kl", "length", "says"), [
    (9.0, 10.0, ["kl_high_per_token"]), (15.0, 200.0, ["kl_high"]), (15.0, 20.0, ["kl_high", "kl_high_per_token"]),
    (2.5, 20.0, []),  # the most that the quickstart reaches
])  # fmt: skip
@pytest.mark.parametrize("of", ["objective/", "objective/rollout_"])
def test_a_sequence_and_a_token_have_an_alarm_each_and_neither_hides_the_other(kl, length, says, of):
    far = {f"{of}kl": kl, f"{of}kl_per_token": kl / length}
    assert codes(CALM | far | {"samples/length": length}, CALM | {"samples/length": length}) == says
    assert codes(far, start={}) == says  # rollouts without an evaluation


def test_a_negative_loss_may_rise_by_a_tenth_of_its_size_too():
    start = CALM | {"eval_loss": -1.0}
    assert codes(CALM | {"eval_loss": -0.91}, start) == []
    assert codes(CALM | {"eval_loss": -0.89}, start) == ["held_out_loss_rising"]


def test_a_few_pairs_below_one_half_are_chance():
    assert codes(CALM | {"eval_rewards/accuracies": 0.3, "eval_groups": 10.0}) == []
    assert codes(CALM | {"eval_rewards/accuracies": 0.3, "eval_groups": 100.0}) == ["below_chance"]


def test_a_start_that_never_ended_its_samples_is_no_news():
    never = CALM | {"samples/unfinished": 0.9}
    assert codes(never | {"samples/unfinished": 1.0}, start=never) == []


def test_what_was_not_measured_sets_nothing_off():
    assert codes({}) == []
    assert codes({}, start={}) == []
    assert codes(CALM | {"eval_rewards/accuracies": 0.6}, start={}) == []


def test_a_loss_that_is_no_number_is_not_a_calm_one():
    """NaN held-out loss or KL: comparisons with NaN are false, and silence would be a lie."""
    assert codes(CALM | {"eval_loss": float("nan")}) == ["held_out_loss_rising"]


def test_several_speak_in_the_order_of_the_table_with_numbers_and_advice():
    now = CALM | {
        "objective/kl": 42.0,
        "objective/kl_per_token": 2.1,
        "samples/length": 60.0,
        "samples/repetition": 0.55,
    }
    first, beside, second, third = raised(12, now, CALM, set())
    assert (first.code, second.code, third.code) == ("kl_high", "length_drift", "repetition")
    assert beside.code == "kl_high_per_token" and beside.message == first.message
    assert "42.0 nats per sequence (2.10 per token)" in first.message and "raise beta" in first.advice
    assert "from 20 to 60 tokens" in second.message
    assert "55%" in third.message and "10% at the start" in third.message
    assert {warning.step for warning in (first, second, third)} == {12}


def test_preferences_that_were_drowned_are_told_at_the_end_only():
    """The figures of the quickstart at a hundredth of its beta, and of the quickstart itself."""
    drowned = CALM | {
        "eval_rewards/accuracies": 0.7149, "eval_rewards/margins": 0.00246, "eval_groups": 677.0,
        "eval_logratio/chosen_per_token": 0.0121, "objective/kl": 0.57,
    }  # fmt: skip

    def told(metrics, **more):
        return [warning.code for warning in raised(9, metrics, CALM, set(), **more)]

    assert told(drowned, last=True) == ["margin_flat"] and told(drowned) == []
    for calm in (
        {"eval_rewards/margins": 0.908},
        {"eval_rewards/accuracies": 0.51},  # nothing to be learnt is another matter
        {"eval_rewards/accuracies": 0.6, "eval_groups": 12.0},
    ):
        assert told(drowned | calm, last=True) == []
    without = {name: value for name, value in drowned.items() if name != "eval_logratio/chosen_per_token"}
    assert told(without, last=True) == []


def test_demonstrations_may_set_lengths_words_and_openings():
    """A run of SFT has no reference and no rewards."""
    shown = {"samples/length": 20.0, "samples/same_start": 0.1, "samples/share/7/big": 0.01}
    assert codes({"samples/length": 60.0, "samples/same_start": 1.0, "samples/share/7/big": 0.5}, shown) == []


def test_in_a_few_samples_a_word_rises_by_chance():
    """Three standard errors of 4 samples of 20 tokens: 3 x sqrt(0.2 x 0.8 / 80 + 0.05 x 0.95 / 80) = 0.153."""
    few = CALM | {"samples/count": 4.0}
    assert codes(few | {"samples/share/7/big": 0.2}, few) == []
    assert codes(few | {"samples/share/7/big": 0.25}, few) == ["one_word"]


def test_the_word_is_named():
    (warning,) = raised(3, CALM | {"samples/share/9/a/b": 0.25}, CALM, set())
    assert "'a/b' makes up 25% of all that is sampled, 0% at the start" in warning.message


def test_samples_that_began_alike_from_the_start_are_no_news():
    start = CALM | {"samples/same_start": 0.45}
    assert codes(CALM | {"samples/same_start": 0.84}, start) == []
    assert codes(CALM | {"samples/same_start": 0.86}, start) == ["same_start"]
