"""The table of methods says true things."""

import inspect
import math

import pytest

from preferably.errors import ConfigError
from preferably.methods import METHODS, method_named, resolve_hyperparameters


def functions():
    from preferably.objectives import listwise, pairwise, policy, supervised, unpaired

    return {
        name: function
        for module in (listwise, pairwise, policy, supervised, unpaired)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
        if name not in ("log_ratio_difference", "clipped_value")
    }


OFFLINE = [row for row in METHODS.values() if not row.online]


@pytest.mark.parametrize("row", [row for row in OFFLINE if not row.scores], ids=lambda row: row.name)
def test_the_loss_exists_and_takes_what_the_table_says(row):
    takes = inspect.signature(functions()[row.loss]).parameters.values()
    keywords = {p.name for p in takes if p.kind is p.KEYWORD_ONLY}
    required = {p.name for p in takes if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    listed = set(row.hyperparameters) - {"nll_weight"}  # added by the step, whatever the loss
    assert required <= listed <= keywords


def test_every_objective_is_some_methods():
    assert {row.loss for row in METHODS.values()} == set(functions())


@pytest.mark.parametrize("row", [row for row in METHODS.values() if row.online], ids=lambda row: row.name)
def test_facts_of_methods_that_draw_their_completions(row):
    assert row.feedback == "prompts" and row.loss in functions() and row.reference
    assert (row.learns == "tokens") == bool(row.advantage) == ("kl_coef" in row.hyperparameters)
    assert row.samples > 1 or row.advantage == "gae"  # what has no critic compares completions of a prompt
    for name, value in row.hyperparameters.items():
        assert value.low <= value.default <= value.high and value.about, name


@pytest.mark.parametrize("row", OFFLINE, ids=lambda row: row.name)
def test_facts_that_hang_together(row):
    assert METHODS[row.name] is row and row.about.endswith(".") and row.paper.startswith("https://")
    assert row.reference == (row.loss_at_start is not None) == (row.name not in ("sft", "orpo", "reward"))
    assert row.baseline == (row.name == "kto") and row.parts == ((1.0, row),)
    assert row.count == ("tokens" if row.feedback == "demonstrations" else "groups")
    for name, value in row.hyperparameters.items():
        assert value.low <= value.default <= value.high and value.about, name


def test_the_start_of_each_loss_worked_out_by_hand():
    at_start = {row.name: row.loss_at_start for row in OFFLINE}
    assert at_start.pop("sft") is at_start.pop("orpo") is at_start.pop("reward") is None
    # DPO and its kin: -log sigmoid(0). IPO: (1 / (2 * 0.1))^2. Hinge: max(0, 1 - 0). KTO: 1 - sigmoid(0).
    assert at_start == {
        "dpo": math.log(2), "cdpo": math.log(2), "rdpo": math.log(2), "ipo": pytest.approx(25),
        "ipo-sum": pytest.approx(25),
        "hinge": 1, "kto": 0.5,
    }  # fmt: skip


def test_lengths_are_means_for_ipo_and_orpo_and_sums_for_the_others():
    assert [row.name for row in METHODS.values() if row.length == "mean"] == ["ipo", "orpo"]


def test_a_method_by_its_name():
    assert method_named("ipo") is METHODS["ipo"]


@pytest.mark.parametrize(
    ("said", "near"), [("DPO", None), ("dp", "dpo"), ("rpdo", "rdpo"), ("ipo_sum", "ipo-sum"), ("x" * 9, None)]
)
def test_an_unknown_method_is_refused_with_the_nearest_and_all_names(said, near):
    with pytest.raises(ConfigError) as caught:
        method_named(said)
    words = str(caught.value)
    assert f"no method {said!r}" in words and all(name in words for name in METHODS)
    assert near is None or f"did you mean {near!r}" in words


def test_hyperparameters_are_checked_against_the_row():
    dpo = METHODS["dpo"]
    assert resolve_hyperparameters(dpo, {}) == {"beta": 0.1, "label_smoothing": 0.0, "nll_weight": 0.0}
    assert resolve_hyperparameters(dpo, {"beta": 1e-4})["beta"] == 1e-4  # the ends of the range are inside
    assert resolve_hyperparameters(dpo, {"beta": 100})["beta"] == 100
    with pytest.raises(ConfigError, match="sft does not take 'beta' .got 0.1.; it takes: none"):
        resolve_hyperparameters(METHODS["sft"], {"beta": 0.1})
    for value in (0.99e-4, 100.1, math.nan, math.inf, -math.inf):
        with pytest.raises(ConfigError, match="out of range for dpo"):
            resolve_hyperparameters(dpo, {"beta": value})


# Sums


def test_an_sft_term_beside_a_method_is_its_nll_weight():
    row = method_named("dpo+0.1*nll")
    assert row.terms == ((1.0, METHODS["dpo"]),) and row.reference and row.feedback == "pairs" and row.count == "groups"
    assert resolve_hyperparameters(row, {}) == {"beta": 0.1, "label_smoothing": 0.0, "nll_weight": 0.1}
    assert method_named(" 2 * kto + 0.25*nll").hyperparameters["nll_weight"].default == 0.25


def test_a_sum_starts_where_the_sum_of_its_terms_does():
    row = method_named("0.5*dpo+2*hinge")
    assert row.loss_at_start == pytest.approx(0.5 * math.log(2) + 2)
    assert method_named("dpo+orpo").loss_at_start is None and method_named("dpo+0.1*nll").loss_at_start is None
    assert method_named("kto+kto").baseline and not row.baseline
    assert [weight for weight, _ in row.parts] == [0.5, 2.0]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("dpo+", "no method ''"),
        ("dpo+0.1*npl", "no method 'npl'"),
        ("dpo+x*nll", "no weight above 0"),
        ("dpo+-1*nll", "no weight above 0"),
        ("dpo+0*nll", "no weight above 0"),
        ("dpo+inf*nll", "no weight above 0"),
        ("dpo+nan*nll", "no weight above 0"),
        ("dpo+kto", "cannot be summed"),
        ("sft+0.1*nll", "cannot be summed"),
        ("2*nll", "cannot be summed"),
    ],
)
def test_sums_that_make_no_sense_are_refused(said, why):
    with pytest.raises(ConfigError, match=why):
        method_named(said)


# Objectives of a user's own

OWN = """
import torch
def pairs(policy_chosen, policy_rejected, reference_chosen, reference_rejected, chosen_length, *, beta, gamma=0.5): ...
def free(policy_chosen, policy_rejected): ...
def thumbs(policy, reference, desirable, baseline, *, beta): ...
def demonstrations(policy, length): ...
def mixed(policy_chosen, desirable): ...
def strange(logits): ...
def nothing(*, beta=0.1): ...
def no_default(policy, *, gamma): ...
"""


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return f"{tmp_path}/own.py"


def test_the_names_of_the_parameters_say_what_an_objective_needs(own):
    pairs, free = method_named(f"{own}:pairs"), method_named(f"{own}:free")
    assert (pairs.feedback, pairs.reference, pairs.count, pairs.baseline) == ("pairs", True, "groups", False)
    assert {name: row.default for name, row in pairs.hyperparameters.items()} == {"beta": 0.1, "gamma": 0.5}
    assert (free.feedback, free.reference, free.hyperparameters) == ("pairs", False, {})
    thumbs, shown = method_named(f"{own}:thumbs"), method_named(f"{own}:demonstrations")
    assert (thumbs.feedback, thumbs.reference, thumbs.baseline) == ("labels", True, True)
    assert (shown.feedback, shown.reference, shown.count) == ("demonstrations", False, "tokens")
    assert method_named(f"{own}:pairs+0.1*nll").hyperparameters["nll_weight"].default == 0.1


@pytest.mark.parametrize("name", ["mixed", "strange", "nothing"])
def test_an_objective_that_asks_for_what_is_not_given_is_refused_with_what_is(own, name):
    with pytest.raises(ConfigError, match="labels: policy, reference, desirable, baseline, length"):
        method_named(f"{own}:{name}")


def test_a_hyperparameter_of_an_own_objective_needs_a_number(own):
    with pytest.raises(ConfigError, match="'gamma' of .* needs a number as its default"):
        method_named(f"{own}:no_default")
