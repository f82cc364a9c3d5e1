"""A sweep as a user runs it, on a tiny model: resumed, enlarged, refused."""

import json
import shutil

import pytest

from preferably import api
from preferably.errors import ConfigError, TrainingError
from preferably.pipeline import sweep as module
from preferably.pipeline.sweep import sweep

PAIRS = [
    {"prompt": f"{letter} {number}? ", "chosen": "yes", "rejected": "no no"}
    for letter in "abcdef"
    for number in range(8)
]
OPTIONS = {"max_steps": 2, "sample_tokens": 4, "sample_prompts": 2, "batch_size": 8}


def short(prompts, completions):
    return [-float(len(text)) for text in completions]


@pytest.fixture(scope="module")
def swept(tmp_path_factory, tiny_model_directory):
    place = tmp_path_factory.mktemp("sweep")
    (place / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))

    def run(grid, output="all", **changes):
        return sweep(
            "dpo", model=tiny_model_directory, data=place / "pairs.jsonl", output=place / output, judge=short,
            grid=grid, samples=1, max_tokens=4, **OPTIONS | changes,
        )  # fmt: skip

    run.place = place
    run.first = run({"beta": ["0.1", 0.5]})
    return run


def test_every_point_is_a_run_with_its_win_rate_and_kl(swept):
    assert [point.settings for point in swept.first.points] == [{"beta": 0.1}, {"beta": 0.5}]
    for point in swept.first.points:
        stored = json.loads((swept.place / "all" / "runs" / f"beta={point.settings['beta']}" / "evaluation" /
                             "win_rate.json").read_text())  # fmt: skip
        assert point.win_rate == stored["win_rate"] and point.kl == stored["kl"]["mean"] and point.measured
    kept = json.loads((swept.place / "all" / "sweep.json").read_text())
    assert [point["win_rate"] for point in kept["points"]] == [point.win_rate for point in swept.first.points]
    assert kept["grid"] == {"beta": ["0.1", 0.5]} and kept["frontier"] and kept["recommendation"]["reason"]


def test_what_is_done_is_not_done_again_and_a_larger_grid_adds_points(swept, monkeypatch):
    trained, honest = [], api.train

    def spy(*arguments, **options):
        trained.append(options["output"].name)
        return honest(*arguments, **options)

    monkeypatch.setattr(api, "train", spy)
    before = [point.win_rate for point in swept.first.points]
    assert [point.win_rate for point in swept({"beta": [0.1, 0.5]}).points] == before and trained == []
    assert len(swept({"beta": [0.1, 0.5, 2.0]}).points) == 3 and trained == ["beta=2.0"]
    shutil.rmtree(swept.place / "all" / "runs" / "beta=0.5" / "evaluation")
    assert [point.win_rate for point in swept({"beta": [0.1, 0.5]}).points] == before and trained == ["beta=2.0"]


def test_a_run_that_fails_is_a_point_and_stops_nothing(swept, monkeypatch):
    honest = api.train

    def fail(*arguments, **options):
        if options["beta"] == 0.1:
            raise TrainingError("Steps 1 to 3 had a loss that is not finite.")
        return honest(*arguments, **options)

    monkeypatch.setattr(api, "train", fail)
    found = swept({"beta": [0.1, 0.5]}, output="failing")
    assert [point.state for point in found.points] == ["failed", "finished"]
    assert "not finite" in found.points[0].reason and any("1 of 2 runs failed" in h for h in found.recommendation.hints)


def test_a_sweep_that_is_asked_to_stop_goes_on_later(swept, monkeypatch):
    honest = module._trained
    asked = []

    def stop(*arguments):
        asked.append(1)
        return False if len(asked) == 2 else honest(*arguments)

    monkeypatch.setattr(module, "_trained", stop)
    found = swept({"beta": [0.1, 0.5]}, output="stopped")
    assert not found.finished and len(found.points) == 1
    monkeypatch.setattr(module, "_trained", honest)
    assert swept({"beta": [0.1, 0.5]}, output="stopped").finished


@pytest.mark.parametrize(
    ("grid", "options", "why"),
    [
        ({}, {}, "needs values"),
        ({"beta": []}, {}, "needs values"),
        ({"beat": [1]}, {}, "did you mean 'beta'"),
        ({"beta": [0.1, -1]}, {}, "out of range"),
        ({"beta": ["x"]}, {}, "beta"),
        ({"seed": [1, 2]}, {}, "cannot be swept"),
        ({"beta": [0.1]}, {"beta": 0.2}, "give it once"),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused_before_the_first_run(swept, grid, options, why):
    with pytest.raises(ConfigError, match=why):
        swept(grid, output="refused", **options)
    assert not (swept.place / "refused").exists()


def test_another_sweep_is_not_mixed_in(swept):
    with pytest.raises(ConfigError, match="sweep of other settings .*options.*then.*now"):
        swept({"beta": [0.1]}, max_steps=3)


def test_names_of_other_tools_are_read(swept):
    found = swept({"lr": ["1e-6"]}, output="aliases")
    assert found.points[0].settings == {"learning_rate": 1e-6}
