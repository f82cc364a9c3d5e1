"""The table of methods says true things."""

import inspect
import math

import pytest

from preferably.errors import ConfigError
from preferably.methods import METHODS, method_named, resolve_hyperparameters


def functions():
    from preferably.objectives import pairwise, supervised

    return {"nll": supervised.nll} | {
        name: function
        for name, function in inspect.getmembers(pairwise, inspect.isfunction)
        if function.__module__ == pairwise.__name__ and name != "log_ratio_difference"
    }


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_the_loss_exists_and_takes_what_the_table_says(row):
    takes = inspect.signature(functions()[row.loss]).parameters.values()
    keywords = {p.name for p in takes if p.kind is p.KEYWORD_ONLY}
    required = {p.name for p in takes if p.kind is p.KEYWORD_ONLY and p.default is p.empty}
    listed = set(row.hyperparameters) - {"nll_weight"}  # added by the step, whatever the loss
    assert required <= listed <= keywords


def test_every_objective_is_some_methods():
    assert {row.loss for row in METHODS.values()} == set(functions())


@pytest.mark.parametrize("row", METHODS.values(), ids=lambda row: row.name)
def test_facts_that_hang_together(row):
    assert METHODS[row.name] is row and row.about.endswith(".") and row.paper.startswith("https://")
    assert row.reference == (row.feedback == "pairs") == (row.loss_at_start is not None)
    assert row.count == ("tokens" if row.feedback == "demonstrations" else "groups")
    for name, value in row.hyperparameters.items():
        assert value.low <= value.default <= value.high and value.about, name


def test_the_start_of_each_loss_worked_out_by_hand():
    at_start = {row.name: row.loss_at_start for row in METHODS.values()}
    assert at_start.pop("sft") is None
    # DPO and its kin: -log sigmoid(0). IPO: (1 / (2 * 0.1))^2. Hinge: max(0, 1 - 0).
    assert at_start == {
        "dpo": math.log(2), "cdpo": math.log(2), "rdpo": math.log(2), "ipo": pytest.approx(25),
        "ipo-sum": pytest.approx(25),
        "hinge": 1,
    }  # fmt: skip


def test_lengths_are_means_for_ipo_and_sums_for_the_others():
    assert [row.name for row in METHODS.values() if row.length == "mean"] == ["ipo"]


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
