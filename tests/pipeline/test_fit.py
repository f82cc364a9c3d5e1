"""How well a training fits, in the account of a job: of online roads too, with the reward model behind them."""

import json
from types import SimpleNamespace

from preferably.pipeline.account import Account, Entry
from preferably.pipeline.fit import fit_of
from preferably.pipeline.keeping import Kept


def test_the_last_of_each_figure_is_kept(tmp_path):
    lines = [
        {"step": 0, "eval_objective/scores": -0.5, "objective/kl": 0.0},
        {"step": 1, "objective/scores": 9.0},
        {"step": 2, "eval_objective/scores": 0.25},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert fit_of(tmp_path) == {"eval_objective/scores": 0.25, "objective/kl": 0.0}


def test_a_round_has_the_reward_model_that_it_learnt_from(tmp_path):
    def entry(name, number, road, **figures):
        stage = SimpleNamespace(
            name=name, kind="train", round=number, road=road, method="", folder=tmp_path / name, model="m"
        )
        return Entry(stage, "done", kept=Kept(figures=figures))

    entries = [
        entry("round-1/ppo-reward", 1, "ppo", scores=True, right=0.7), entry("round-1/ppo", 1, "ppo"),
        entry("round-1/dpo", 1, "dpo"),
        entry("round-2/ppo-reward", 2, "ppo", scores=True, right=0.8), entry("round-2/ppo", 2, "ppo"),
    ]  # fmt: skip
    rounds = Account({}, entries)._rounds(tmp_path)
    assert [(one["run"], (one["reward"] or {}).get("right")) for one in rounds] == [
        ("round-1/ppo", 0.7), ("round-1/dpo", None), ("round-2/ppo", 0.8)
    ]  # fmt: skip
