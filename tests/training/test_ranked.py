"""Scores of a batch to losses and metrics, and the training of a reward model from files."""

import json
import math
from dataclasses import replace

import pytest
import torch

import preferably
from preferably.batches.group import collate
from preferably.data.load import load_feedback
from preferably.errors import ConfigError, DataError
from preferably.models.loading import load_reward
from preferably.objectives.listwise import plackett_luce
from preferably.training.closing import Progress
from preferably.training.ranked import blocks_of, center, ranked_losses

NONE = {"margin": 0.0}


def ranked(tiny, shapes, ranks, strengths=None):
    groups = tiny.groups(shapes)
    strengths = strengths or [None] * len(groups)
    return [
        replace(group, ranks=tuple(one), strength=strength)
        for group, one, strength in zip(groups, ranks, strengths, strict=True)
    ]


def test_losses_are_of_each_group_whatever_their_forms(tiny):
    groups = ranked(tiny, [(2, [3, 4]), (1, [2, 2, 5]), (3, [1, 1]), (2, [2, 3])],
                    [[(2, 1)], [(1, 3, 2)], [(1, 1)], [(1, 2)]])  # fmt: skip
    scores = torch.tensor([[0.5], [1.0], [2.0], [0.0], [1.0], [0.3], [0.3], [1.0], [0.0]])
    losses, metrics = ranked_losses(scores, collate(groups), NONE)
    expected = [
        plackett_luce(torch.tensor([[1.0, 0.5]]), (1, 1)), plackett_luce(torch.tensor([[2.0, 1.0, 0.0]]), (1, 1, 1)),
        plackett_luce(torch.tensor([[0.3, 0.3]]), (2,)), plackett_luce(torch.tensor([[1.0, 0.0]]), (1, 1)),
    ]  # fmt: skip
    assert torch.allclose(losses, torch.cat(expected))
    assert sorted(metrics["rewards/accuracies"].tolist()) == [1.0] * 5  # two pairs, and the three of the ranking
    assert float(metrics["rewards/chosen"].mean()) == pytest.approx((1.0 + 2.0 + 1.0) / 3)
    assert float(metrics["rewards/rejected"].mean()) == pytest.approx((0.5 + 0.0 + 0.0) / 3)


def test_a_margin_is_asked_for_in_proportion_to_the_strength(tiny):
    groups = ranked(tiny, [(2, [3, 4]), (2, [3, 4])], [[(1, 2)], [(1, 2)]], strengths=[3.0, None])
    losses, _ = ranked_losses(torch.tensor([[1.0], [0.0], [1.0], [0.0]]), collate(groups), {"margin": 0.5})
    assert losses.tolist() == pytest.approx(
        [-float(torch.nn.functional.logsigmoid(torch.tensor(1.0 - 1.5))), 0.313262], abs=1e-5
    )


def test_each_axis_has_its_own_order_and_what_was_not_rated_is_left_out(tiny):
    groups = ranked(tiny, [(2, [3, 4, 2])], [[(1, 2, 0), (0, 0, 0)]])
    scores = torch.tensor([[1.0, 9.0], [0.0, 9.0], [5.0, 9.0]], requires_grad=True)
    losses, metrics = ranked_losses(scores, collate(groups), NONE)
    assert losses.item() == pytest.approx(0.313262, abs=1e-5) and len(metrics["rewards/accuracies"]) == 1
    losses.sum().backward()
    assert scores.grad[2].tolist() == [0.0, 0.0] and scores.grad[:, 1].tolist() == [0.0] * 3


def test_a_row_in_which_thirty_tie_is_no_trouble(tiny):
    groups = ranked(tiny, [(2, [1] * 31)], [[(1,) * 30 + (2,)]])
    losses, metrics = ranked_losses(torch.zeros(31, 1), collate(groups), NONE)
    assert losses.item() == pytest.approx(math.lgamma(32), rel=1e-5) and len(metrics["rewards/accuracies"]) == 30


def test_ties_alone_are_measured_on_nothing_under_the_same_names(tiny):
    """Several processes add up what they measured, name by name."""
    batch = collate(ranked(tiny, [(3, [2, 2])], [((1, 1),)]))
    losses, seen = ranked_losses(torch.zeros(2, 1, requires_grad=True), batch, NONE)
    assert losses.shape == (1,) and {name: len(values) for name, values in seen.items()} == dict.fromkeys(
        ("rewards/accuracies", "rewards/chosen", "rewards/rejected"), 0
    )


def test_blocks():
    assert blocks_of([1, 1, 2, 3, 3]) == (2, 1, 2) and blocks_of([2, 5]) == (1, 1)


@pytest.fixture(scope="module")
def comparisons(tmp_path_factory):
    """Answers with more of the letter b are better; pairs, rankings with ties, and ratings on two axes."""
    place = tmp_path_factory.mktemp("comparisons")
    texts = ["aaaa", "abaa", "abba", "bbab", "bbbb"]
    rows, rated = [], []
    for number in range(60):
        prompt = f"{number}? "
        some = [texts[(number * k + k) % 5] for k in (1, 2, 3)]
        ranks = sorted({text.count("b") for text in some}, reverse=True)
        if len(ranks) > 1:
            rows.append({"prompt": prompt, "completions": some, "ranks": [ranks.index(t.count("b")) + 1 for t in some]})
        one, other = texts[number % 5], texts[(number + 1 + number % 3) % 5]
        if one.count("b") != other.count("b"):
            chosen, rejected = sorted((one, other), key=lambda text: -text.count("b"))
            strength = float(chosen.count("b") - rejected.count("b"))
            rows.append({"prompt": f"pair {prompt}", "chosen": chosen, "rejected": rejected, "strength": strength})
        rated.append({"prompt": prompt, "completions": [one, other + "!"], "ratings": [
            {"b": one.count("b"), "short": 5}, {"b": other.count("b"), "short": 4}]})  # fmt: skip
    for name, written in (("ranked", rows), ("rated", rated)):
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in written))
    return place


COMMON = {"learning_rate": 3e-3, "batch_size": 8, "epochs": 6, "held_out": 0.2, "dtype": "float32", "device": "cpu"}


def test_a_reward_model_learns_what_is_better_and_is_centered(comparisons, tiny_model_directory, tmp_path):
    run = preferably.train(
        "reward", model=tiny_model_directory, data=comparisons / "ranked.jsonl", output=tmp_path / "rm", **COMMON
    )
    stored = json.loads((run.path / "evaluation" / "reward_model.json").read_text())
    assert stored["accuracy"]["value"] > 0.9 and stored["accuracy"]["n"] >= 20
    assert stored["baselines"]["longer"]["value"] == 0.5
    loaded = load_reward(run.model, device="cpu", dtype="float32")
    from preferably.judging.reward import score_groups

    trained = load_feedback([comparisons / "ranked.jsonl"], "rankings").groups
    held = {group.prompt for group in run.held_out}
    scores = torch.cat([s for s in score_groups(loaded, [g for g in trained if g.prompt not in held])])
    assert abs(float(scores.mean())) < 1e-4
    assert "Better than chance" in (run.path / "report.html").read_text()
    card = (run.path / "MODEL_CARD.md").read_text()
    assert "held-out pairs" in card and "text-classification" in card


def test_several_axes_are_learnt_apart(comparisons, tiny_model_directory, tmp_path):
    run = preferably.train(
        "reward", model=tiny_model_directory, data=comparisons / "rated.jsonl", output=tmp_path / "rm",
        axes="b=0.8,short=0.2", **COMMON,
    )  # fmt: skip
    loaded = load_reward(run.model, device="cpu", dtype="float32")
    assert loaded.policy.axes == ("b", "short") and loaded.policy.weights == (0.8, 0.2)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["eval_rewards/accuracies"] > 0.85
    with pytest.raises(ConfigError, match="No row has ratings on the axis 'kind'"):
        preferably.train(
            "reward", model=tiny_model_directory, data=comparisons / "rated.jsonl", output=tmp_path / "no",
            axes="kind", **COMMON,
        )  # fmt: skip


def test_a_run_on_axes_is_held_against_the_ratings_that_were_given(tmp_path, tiny_model_directory):
    """Of ratings 5 and 1 on one axis, 3 and 4 on the other, equal weights prefer the first; of ranks alone neither."""
    said = {"completions": ["b", "c"], "ratings": [{"x": 5, "y": 3}, {"x": 1, "y": 4}]}
    rows = [{"prompt": f"{at}? "} | said for at in range(12)]
    (tmp_path / "rated.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = preferably.train(
        "reward", model=tiny_model_directory, data=tmp_path / "rated.jsonl", output=tmp_path / "rm", axes="x=0.5,y=0.5",
        max_steps=1, batch_size=4, held_out=4, device="cpu", dtype="float32",
    )  # fmt: skip
    kept = [json.loads(line) for line in (run.path / "held_out.jsonl").read_text().splitlines()]
    assert kept[0]["ratings"] == [{"x": 5.0, "y": 3.0}, {"x": 1.0, "y": 4.0}]
    found = json.loads((run.path / "evaluation" / "reward_model.json").read_text())
    assert (found["pairs"], found["ties"]) == (4, 0)


def test_what_holds_no_pair_to_rank_ends_no_run(tmp_path, tiny_model_directory):
    rows = [{"prompt": f"{at}? ", "completions": ["b", "c"], "choice": "tie"} for at in range(8)]
    (tmp_path / "ties.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    warned = []
    run = preferably.train(
        "reward", model=tiny_model_directory, data=tmp_path / "ties.jsonl", output=tmp_path / "rm", max_steps=1,
        batch_size=4, held_out=2, device="cpu", dtype="float32",
        progress=Progress(warn=lambda code, *rest: warned.append(code)),
    )  # fmt: skip
    assert "not_evaluated" in warned and (run.path / "report.html").exists() and (run.path / "model").is_dir()


def test_a_run_that_patience_ended_is_held_against_its_held_out_part(comparisons, tiny_model_directory, tmp_path):
    run = preferably.train(
        "reward", model=tiny_model_directory, data=comparisons / "ranked.jsonl", output=tmp_path / "rm",
        **COMMON | {"patience": 1, "learning_rate": 1.0, "eval_every": 1},
    )  # fmt: skip
    assert "did not improve" in run.state.reason and (run.path / "evaluation" / "reward_model.json").exists()


def test_adapters_and_a_resumed_run(comparisons, tiny_model_directory, tmp_path):
    options = COMMON | {"lora": True, "lora_r": 4, "epochs": 1}
    whole = preferably.train(
        "reward", model=tiny_model_directory, data=comparisons / "ranked.jsonl", output=tmp_path / "whole", **options
    )
    asked = []

    def step(number, metrics):
        asked.append(number)
        if number == 4:
            raise KeyboardInterrupt

    from preferably.training.closing import Progress

    with pytest.raises(KeyboardInterrupt):
        preferably.train(
            "reward", model=tiny_model_directory, data=comparisons / "ranked.jsonl", output=tmp_path / "cut",
            progress=Progress(step=step), save_every=2, **options,
        )  # fmt: skip
    cut = preferably.train(
        "reward", model=tiny_model_directory, data=comparisons / "ranked.jsonl", output=tmp_path / "cut",
        save_every=2, resume=True, **options,
    )  # fmt: skip
    weights = [(run.model / "model.safetensors").read_bytes() for run in (whole, cut)]
    assert weights[0] == weights[1]


def test_centering_by_hand(tiny, tmp_path):
    from preferably.models.loading import load

    loaded = load(tiny.write_model(tmp_path / "m"), axes={"reward": 1.0}, device="cpu", dtype="float32")
    groups = tiny.groups([(3, [2, 5]), (4, [3, 3])])
    with torch.no_grad():
        raw = loaded.policy(collate(groups))
    center(loaded.policy, groups, 6)
    assert loaded.policy.mean[0] == pytest.approx(float(raw.mean()), abs=1e-6)
    assert loaded.policy.spread == pytest.approx(float(raw.std()), abs=1e-5)


def test_centering_looks_at_all_of_the_data(tiny, tmp_path, monkeypatch):
    """Not at the first file alone: `CENTERED` groups come from all over."""
    from preferably.models.loading import load
    from preferably.training import ranked as module

    loaded = load(tiny.write_model(tmp_path / "m"), axes={"reward": 1.0}, device="cpu", dtype="float32")
    groups = tiny.groups([(3, [2, 5]), (4, [3, 3]), (2, [6, 2]), (5, [1, 2])])
    with torch.no_grad():
        raw = loaded.policy(collate([groups[0], groups[2]]))
    monkeypatch.setattr(module, "CENTERED", 2)
    center(loaded.policy, groups, 6)
    assert loaded.policy.mean[0] == pytest.approx(float(raw.mean()), abs=1e-6)


def test_groups_made_in_memory_have_their_order_by_place_or_by_ranks(comparisons, tiny_model_directory, tmp_path):
    """As for DPO, of two completions the first is the chosen one."""
    from_file = load_feedback([comparisons / "ranked.jsonl"], "rankings").groups
    pairs = [replace(group, ranks=()) for group in from_file if len(group.completions) == 2]
    settings = COMMON | {"model": tiny_model_directory, "max_steps": 2}
    ours = preferably.train("reward", data=pairs, output=tmp_path / "pairs", **settings)
    same = [replace(group, ranks=(1, 2)) for group in pairs]
    theirs = preferably.train("reward", data=same, output=tmp_path / "ranked", **settings)
    read = [(run.path / "metrics.jsonl").read_text() for run in (ours, theirs)]
    assert read[0] == read[1] and ours.state.step == 2
    three = [replace(group, ranks=()) for group in from_file if len(group.completions) == 3]
    with pytest.raises(DataError, match="Group 0 has 3 completions and no ranks"):
        preferably.train("reward", data=three, output=tmp_path / "no", **settings)
    with pytest.raises(DataError, match="no ranks on kind"):
        preferably.train("reward", data=pairs, output=tmp_path / "none", axes="kind", **settings)


def test_a_plan_of_ties_knows_its_memory(tiny_model_directory, tmp_path):
    """What a tie costs is worked out from scores, which nobody has before a run."""
    rows = [{"prompt": f"{k}? ", "completions": ["ab", "b" * (k + 1)], "ranks": [1, 1]} for k in range(12)]
    (tmp_path / "ties.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = preferably.plan(
        "reward", model=tiny_model_directory, data=tmp_path / "ties.jsonl", output=tmp_path / "rm", device="cpu",
        batch_size=4, max_steps=2,
    )  # fmt: skip
    assert not isinstance(plan.estimate, str) and plan.estimate.memory.peak > 0
    assert plan.seconds is not None and plan.seconds["sampling"] == 0
