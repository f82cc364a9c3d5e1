"""Pairs of which it is only likely that the chosen one is the better: into losses, and from labelers into a run."""

import json
import math
import random
from dataclasses import replace

import pytest
import torch

import preferably
from preferably.batches.group import collate
from preferably.config import settings
from preferably.data.load import load_feedback
from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Completion, Group, Message
from preferably.methods import METHODS, method_named
from preferably.training.ranked import ranked_losses
from preferably.training.steps import losses_of

SOFT = [name for name, row in METHODS.items() if row.soft]


def sigma(x):
    return 1 / (1 + math.exp(-x))


def losses(tiny, name, probabilities, policy, **options):
    """Losses and the gradient of their sum, at these log-probs (or scores) of two pairs."""
    groups = tiny.groups([(2, [3, 4]), (1, [2, 2])])
    groups = [replace(one, probability=p, ranks=((1, 2),)) for one, p in zip(groups, probabilities, strict=True)]
    row = method_named(name)
    numbers = {key: value.default for key, value in row.hyperparameters.items()} | options
    values = torch.tensor(policy, requires_grad=True)
    if row.scores:
        found, _ = ranked_losses(values[:, None], collate(groups), numbers)
    else:
        found, _ = losses_of(values, torch.zeros(4), collate(groups), row, numbers)
    found.sum().backward()
    return found.detach(), values.grad


def test_the_methods_that_read_probabilities():
    assert SOFT == ["dpo", "ipo", "ipo-sum", "hinge", "reward"]
    assert method_named("dpo+0.5*ipo").soft and not method_named("dpo+orpo").soft


@pytest.mark.parametrize("name", [*SOFT, "dpo+0.5*ipo+0.1*nll"])
def test_a_sure_label_is_the_plain_loss_bit_for_bit(tiny, name):
    policy = [-3.1, -4.7, -4.2, -3.3]
    plain, sure = (losses(tiny, name, given, policy) for given in ([None, None], [1.0, None]))
    assert torch.equal(plain[0], sure[0]) and torch.equal(plain[1], sure[1])


@pytest.mark.parametrize("name", ["dpo", "ipo-sum", "hinge", "reward"])
def test_an_even_chance_pulls_nowhere_at_no_margin(tiny, name):
    _, slope = losses(tiny, name, [0.5, 0.5], [-3.0, -3.0, -4.0, -4.0])
    assert slope.tolist() == pytest.approx([0.0] * 4, abs=1e-7)


def test_dpo_by_hand(tiny):
    found, slope = losses(tiny, "dpo", [0.8, 0.7], [-1.0, -3.0, -2.0, -1.0], beta=0.5)
    one, two = math.log(sigma(1)), math.log(sigma(-0.5))  # beta h = 1 and -0.5
    assert found.tolist() == pytest.approx([-0.8 * one - 0.2 * (one - 1), -0.7 * two - 0.3 * (two + 0.5)])
    # d loss / d policy_chosen = beta (sigma(beta h) - p)
    assert slope[[0, 2]].tolist() == pytest.approx([0.5 * (sigma(1) - 0.8), 0.5 * (sigma(-0.5) - 0.7)])
    assert slope[[1, 3]].tolist() == pytest.approx([-0.5 * (sigma(1) - 0.8), -0.5 * (sigma(-0.5) - 0.7)])


def test_ipo_and_hinge_by_hand(tiny):
    found, _ = losses(tiny, "ipo-sum", [0.8, 0.8], [-1.0, -3.0, -2.0, -2.0], beta=0.1)
    assert found.tolist() == pytest.approx([0.8 * 3.0**2 + 0.2 * 7.0**2, 25.0])  # h = 2, wanted 5
    found, _ = losses(tiny, "hinge", [0.8, 0.8], [-1.0, -3.0, -2.0, -2.0], beta=0.1)
    assert found.tolist() == pytest.approx([0.8 * 0.8 + 0.2 * 1.2, 1.0])


def test_ipo_is_least_where_its_paper_says(tiny):
    """The least loss of IPO is at h = (2 p - 1) / (2 beta)."""
    _, slope = losses(tiny, "ipo-sum", [0.8, 0.6], [-1.0, -4.0, -2.0, -3.0], beta=0.1)  # h = 3 and 1
    assert slope.tolist() == pytest.approx([0.0] * 4, abs=1e-5)


def test_a_reward_model_by_hand(tiny):
    found, slope = losses(tiny, "reward", [0.8, None], [1.5, 0.5, 0.0, 2.0])
    expected = [-0.8 * math.log(sigma(1)) - 0.2 * math.log(sigma(-1)), -math.log(sigma(-2))]
    assert found.tolist() == pytest.approx(expected)
    assert slope[:2].tolist() == pytest.approx([sigma(1) - 0.8, 0.8 - sigma(1)])


def test_a_margin_moves_where_a_soft_label_is_met(tiny):
    groups = [replace(one, probability=0.8, ranks=((1, 2),), strength=2.0) for one in tiny.groups([(2, [3, 4])])]
    scores = torch.tensor([[1.5], [0.5]])
    found, _ = ranked_losses(scores, collate(groups), {"margin": 0.25})  # x = 1 - 0.25 x 2 = 0.5
    assert found.item() == pytest.approx(-0.8 * math.log(sigma(0.5)) - 0.2 * math.log(sigma(-0.5)))


@pytest.mark.parametrize("method, options", [
    ("sft", {}), ("kto", {}), ("orpo", {}), ("cdpo", {}), ("rdpo", {}), ("dpo", {"label_smoothing": 0.1}),
    ("dpo+orpo", {}), ("ppo", {"reward": "length"}), ("reward", {"axes": "helpful"}),
])  # fmt: skip
def test_methods_that_cannot_take_them_say_so(method, options):
    with pytest.raises(ConfigError, match=r"aggregate.*dpo, ipo, hinge and reward"):
        settings({"method": method, "model": "m", "output": "o", "aggregate": "posterior"} | options)


def test_methods_that_can_do():
    for method in (*SOFT, "dpo+0.1*nll"):
        made = settings({"method": method, "model": "m", "output": "o", "aggregate": "posterior"})
        assert made.aggregate == "posterior"
    with pytest.raises(ConfigError, match="aggregate"):
        settings({"method": "dpo", "model": "m", "output": "o", "aggregate": "average"})


PEOPLE = {"ada": 0.95, "ben": 0.9, "eli": 0.6, "gus": 0.55, "ida": 0.6}


def rows(n, seed=0, each=3):
    """Rows of people who are right by a chance of their own; `good` answers are the better ones."""
    rng, found = random.Random(seed), []
    for number in range(n):
        for name in rng.sample(list(PEOPLE), each):
            answers = [f"good {number}", f"bad {number}"]
            if rng.random() > PEOPLE[name]:
                answers.reverse()
            found.append({"prompt": f"q {number}", "chosen": answers[0], "rejected": answers[1], "labeler": name})
    return found


def write(place, lines):
    place.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return place


def test_labels_by_posterior_are_nearer_the_truth_than_the_majority(tmp_path):
    file = write(tmp_path / "rows.jsonl", rows(600))
    majority, soft = (load_feedback([file], "pairs", aggregate=how).groups for how in ("majority", "posterior"))
    assert len(majority) == len(soft) == 600 and all(group.probability is None for group in majority)
    wrong = [sum(group.completions[0].text.startswith("bad") for group in groups) for groups in (majority, soft)]
    assert wrong[1] < 0.75 * wrong[0]
    # How sure they say that they are is how sure they are: of those at 0.9 and more nine of ten are right.
    for low, high in ((0.5, 0.75), (0.75, 0.9), (0.9, 1.0)):
        some = [group for group in soft if low <= group.probability < high]
        right = sum(group.completions[0].text.startswith("good") for group in some) / len(some)
        mean = sum(group.probability for group in some) / len(some)
        assert right == pytest.approx(mean, abs=3 * math.sqrt(0.25 / len(some))), (low, len(some))


def test_rankings_of_two_take_them_and_of_more_do_not(tmp_path):
    file = write(tmp_path / "rows.jsonl", rows(200))
    groups = load_feedback([file], "rankings", aggregate="posterior").groups
    assert len(groups) == 200 and all(group.ranks == (1, 2) and 0.5 < group.probability < 1 for group in groups)
    more = {"prompt": "p", "completions": ["a", "b", "c"], "ranks": [1, 2, 3], "labeler": "ada"}
    with pytest.raises(DataError, match="of two completions, and 3 are compared"):
        load_feedback([write(tmp_path / "more.jsonl", [*rows(200), more])], "rankings", aggregate="posterior")


def test_few_labelers_are_told_why_not(tmp_path):
    file = write(tmp_path / "rows.jsonl", [{**row, "labeler": "ada"} for row in rows(50, each=1)])
    with pytest.raises(DataError, match="needs 3 labelers with 30 shared verdicts each; this data has 0"):
        load_feedback([file], "pairs", aggregate="posterior")


@pytest.mark.parametrize("method", ["dpo", "reward"])
def test_a_run_learns_from_soft_labels(tmp_path, tiny_model_directory, method):
    file = write(tmp_path / "rows.jsonl", rows(100))
    options = {"max_steps": 2, "batch_size": 4, "device": "cpu", "aggregate": "posterior"}
    run = preferably.train(method, model=tiny_model_directory, data=file, output=tmp_path / "run", **options,
                           **({"sample_prompts": 0} if method == "dpo" else {}))  # fmt: skip
    lines = map(json.loads, (run.path / "metrics.jsonl").read_text().splitlines())
    first = next(line["loss"] for line in lines if "loss" in line)
    assert first == pytest.approx(math.log(2), abs=1e-5) if method == "dpo" else math.isfinite(first)
    account = json.loads((run.path / "data.json").read_text())
    assert (account["read"], account["used"]) == (300, 300)
    counted = account["trust"]["labelers"]
    assert set(counted) == set(PEOPLE) and counted["ada"] > counted["gus"] and 0.5 < account["trust"]["others"] < 1


def test_groups_made_in_memory_are_not_read_halfway(tmp_path, tiny_model_directory):
    answers = tuple(Completion((Message("text", text),)) for text in ("a b", "b a"))
    group = Group((Message("text", "q"),), answers, probability=0.8)
    for method, options in (("orpo", {}), ("cdpo", {}), ("dpo", {"aggregate": "posterior"})):
        with pytest.raises(ConfigError, match=r"probability|aggregate"):
            preferably.train(method, model=tiny_model_directory, data=[group] * 4, output=tmp_path / "run", **options)
