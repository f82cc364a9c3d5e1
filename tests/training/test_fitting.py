"""`preferably reward fit` from a file to a model that every command takes for a reward model."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from preferably import api
from preferably.cli.main import app
from preferably.config import settings
from preferably.errors import ConfigError, DataError, ModelError
from preferably.feedback.records import Completion, Group, Message
from preferably.judging.linear import features_of, fit
from preferably.judging.reward import score_groups
from preferably.models.loading import load, load_reward
from preferably.training.closing import Progress
from preferably.training.fitting import fit_reward

WORDS = ("yes", "no way", "well", "perhaps", "I do not know", "soon", "ask me again", "42")


def group(prompt, *texts, role="text"):
    return Group((Message(role, prompt),), tuple(Completion((Message(role, text),)) for text in texts))


def command(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exit_code == 0, done.exception
    return " ".join(done.output.split())


@pytest.fixture(scope="module")
def fitted(tiny_model_directory, tmp_path_factory):
    """The folder of a run on pairs of which the shorter one is chosen, and what the command printed."""
    folder = tmp_path_factory.mktemp("fitted")
    rows = [
        {"prompt": f"{prompt}?", "chosen": f"{word}.", "rejected": f"{word}, {other}, {word}"}
        for prompt in range(8) for word in WORDS for other in WORDS[:2] if other != word
    ]  # fmt: skip
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data, output = folder / "pairs.jsonl", folder / "run"
    said = command(
        "reward", "fit", "--model", tiny_model_directory, "--data", data, "--output", output, "--held-out", "0.3"
    )
    return folder, said


def test_what_was_fitted_is_a_reward_model(fitted):
    folder, said = fitted
    assert "accuracy 1.000" in said and "fitted to" in said
    report = json.loads((folder / "run" / "evaluation" / "reward_model.json").read_text())
    assert report["accuracy"]["value"] == 1.0
    data = json.loads((folder / "run" / "data.json").read_text())
    assert data["train"] + data["held_out"] == data["used"] == 112
    loaded = load_reward(folder / "run", device="cpu")
    short, long = score_groups(loaded, [group("new?", "soon.", "soon, well, soon")])[0][:, 0].tolist()
    assert short > long
    again = command("evaluate", "--reward-model", folder / "run")  # on what it held out
    assert "accuracy 1.000" in again
    assert (folder / "run" / "report.html").exists()


def test_a_policy_is_sampled_and_trained_against_it(fitted, tiny_model_directory):
    """Best of n by its scores; then PPO, whose critic cannot begin from it and begins as the policy."""
    folder, _ = fitted
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": f"{n}?"}) + "\n" for n in range(8)))
    common = ("--model", tiny_model_directory, "--data", folder / "prompts.jsonl", "--reward", folder / "run")
    command("sample", *common, "--best-of", "2", "--max-tokens", "6", "--output", folder / "best.jsonl")
    assert len((folder / "best.jsonl").read_text().splitlines()) == 8
    told = []
    run = api.train(
        "ppo", model=tiny_model_directory, data=folder / "prompts.jsonl", reward=(str(folder / "run"),),
        output=folder / "ppo", max_steps=1, batch_size=4, sample_tokens=6, held_out=2, device="cpu", update_epochs=1,
        progress=Progress(warn=lambda *words: told.append(words[1])),
    )  # fmt: skip
    note = f"The critic cannot begin as {folder / 'run'}: a reward that was fitted reads more than states."
    assert [text.startswith(note) and "a head of zeros" in text for text in told if "critic" in text] == [True]
    seen = (run.path / "metrics.jsonl").read_text().splitlines()
    assert math.isfinite(json.loads(seen[-1])["objective/scores"])
    plan = api.plan(
        "ppo", model=tiny_model_directory, data=folder / "prompts.jsonl", reward=(str(folder / "run"),),
        output=folder / "planned", max_steps=1, batch_size=4, sample_tokens=6, device="cpu",
    )  # fmt: skip
    assert not plan.refused


def test_a_ranking_with_a_tie_is_its_pairs():
    """Three completions, two of them level: two wins and a tie, which count two thirds each."""
    values = np.array([[2.0, 1, 1, 1], [0, 2, 2, 2], [1, 0, 0, 0]])
    linear = fit([(1, 2, 2)], [values])
    assert linear.verdicts == 3
    gaps = np.array([values[0] - values[1], values[0] - values[2], values[1] - values[2]]) * linear.unit
    assert (gaps**2).mean(0) == pytest.approx([1, 0.16, 0.16, 0.16])  # one state, three other numbers
    chance = 1 / (1 + np.exp(-gaps @ linear.posterior.mean))
    slope = 2 / 3 * gaps.T @ (np.array([1, 1, 0.5]) - chance) - linear.posterior.mean / linear.posterior.spread**2
    assert slope == pytest.approx(np.zeros(4), abs=1e-6)  # the top of the posterior
    assert linear.weights == pytest.approx(linear.unit * linear.posterior.mean)
    lead, deviation = linear.lead(values)
    assert lead == pytest.approx([gaps[0] @ linear.posterior.mean, gaps[1] @ linear.posterior.mean])
    assert deviation == pytest.approx(linear.posterior.deviations(gaps[:2]))


def test_what_cannot_be_fitted_is_told(fitted, tiny_model_directory, tmp_path):
    def fails(kind, message, groups=None, **more):
        chosen = {"method": "reward", "model": str(tiny_model_directory), "output": str(tmp_path / "new"), **more}
        with pytest.raises(kind, match=message):
            fit_reward(settings(chosen), groups=groups)

    fails(ConfigError, "does not read learning_rate", learning_rate=1e-4)
    fails(ConfigError, "What is fitted is a reward", method="dpo")
    with pytest.raises(DataError, match="completions of a prompt are the same"):
        fit([(1, 2)], [np.ones((2, 4))])
    fails(ConfigError, "already holds a run", [group("a", "b", "c")], output=str(fitted[0] / "run"))
    scorer = load(tiny_model_directory, axes={"reward": 1.0}, device="cpu")
    with pytest.raises(ModelError, match="gives scores and no words"):
        features_of(scorer, [group("a", "b", "c")])
    assert features_of(load_reward(fitted[0] / "run", device="cpu"), [group("a", "y" * 200, "c")]) == [None]
