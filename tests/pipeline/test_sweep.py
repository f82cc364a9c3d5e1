"""A sweep as a user runs it, on a tiny model: resumed, enlarged, refused."""

import json
import re
import shutil
import signal

import pytest

from preferably import api
from preferably.cli import sweeping
from preferably.errors import CheckpointError, ConfigError, DataError, TrainingError
from preferably.pipeline import sweep as module
from preferably.pipeline.sweep import _named_in, sweep
from preferably.training.disk import NoSpaceError
from preferably.training.run_directory import RunDirectory

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
            "dpo", model=changes.pop("model", tiny_model_directory), data=changes.pop("data", place / "pairs.jsonl"),
            output=place / output, judge=changes.pop("judge", short), grid=grid, samples=1, max_tokens=4,
            **OPTIONS | changes,
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
        warned = [flag["kind"] for flag in stored["flags"] if flag["warning"] and flag["side"] == "model"]
        assert list(point.flags) == warned
    kept = json.loads((swept.place / "all" / "sweep.json").read_text())
    assert [point["win_rate"] for point in kept["points"]] == [point.win_rate for point in swept.first.points]
    assert kept["grid"] == {"beta": ["0.1", 0.5]} and kept["frontier"] and kept["recommendation"]["reason"]


def test_the_page_draws_the_interval_of_every_point(swept):
    page = (swept.place / "all" / "sweep.html").read_text()
    drawn = json.loads(re.search(r'id="specs">(.*?)</script>', page, re.DOTALL)[1])["frontier"]["data"]["values"]
    found = {value["path"]: (value["low"], value["high"]) for value in drawn if value.get("path")}
    assert found == {point.path: pytest.approx(point.interval) for point in swept.first.points}
    assert all(low < high for low, high in found.values())


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


def test_an_evaluation_that_did_not_end_is_made_again(swept, monkeypatch):
    append = RunDirectory.append
    full = {"samples.jsonl"}

    def cut_short(self, name, values):
        if name in full:
            raise NoSpaceError("full")
        append(self, name, values)

    monkeypatch.setattr(RunDirectory, "append", cut_short)
    with pytest.raises(NoSpaceError):
        swept({"beta": [0.1]}, output="cut")
    full.clear()
    (point,) = swept({"beta": [0.1]}, output="cut").points
    assert (swept.place / "cut" / "runs" / "beta=0.1" / "samples.jsonl").exists() and point.measured


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


def test_what_is_wrong_for_all_stops_the_first_and_is_a_point_of_a_later_one(swept, monkeypatch):
    honest, failing = api.train, {}

    def fail(*arguments, **options):
        if options["beta"] in failing:
            raise failing[options["beta"]]
        return honest(*arguments, **options)

    monkeypatch.setattr(api, "train", fail)
    failing[0.1] = DataError("no rows")
    with pytest.raises(DataError, match="no rows"):
        swept({"beta": [0.1, 0.5]}, output="early")
    failing |= {0.1: CheckpointError("no permission"), 0.7: NoSpaceError("full")}
    found = swept({"beta": [0.5, 0.1]}, output="early", max_steps=1)  # nothing had begun, so it is no other sweep
    assert [(point.state, point.reason) for point in found.points] == [("finished", ""), ("failed", "no permission")]
    with pytest.raises(NoSpaceError):
        swept({"beta": [0.5, 0.7]}, output="early", max_steps=1)


def test_a_sweep_that_is_asked_to_stop_goes_on_later(swept, monkeypatch):
    honest = module._trained
    asked = []

    def stop(*arguments):
        asked.append(1)
        return signal.SIGTERM if len(asked) == 2 else honest(*arguments)

    monkeypatch.setattr(module, "_trained", stop)
    found = swept({"beta": [0.1, 0.5]}, output="stopped")
    assert not found.finished and found.stopped_by == signal.SIGTERM and len(found.points) == 1
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
        ({"max_length": [64, 128]}, {}, "max_length cannot be swept: which prompts are held out"),
        ({"truncation_mode": ["keep_end"]}, {}, "truncation cannot be swept"),
        ({"max_rejected": [0.1]}, {}, "max_rejected cannot be swept"),
        ({"lr": [1e-6], "learning_rate": [1e-5]}, {}, "a setting twice"),
        ({"beta": [0.1]}, {"judge": "nowhere.py:score"}, "nowhere.py does not exist"),
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


def test_a_file_that_changed_under_its_name_is_refused(swept, tmp_path, tiny, tiny_model_directory):
    model = shutil.copytree(tiny_model_directory, tmp_path / "model")
    pairs, rules = tmp_path / "pairs.jsonl", tmp_path / "rules.py"
    shutil.copy(swept.place / "pairs.jsonl", pairs)
    rules.write_text("PLUS = 1\ndef score(prompts, completions):\n    return [PLUS] * len(completions)\n")
    own = {"model": model, "data": pairs, "judge": f"{rules}:score", "output": tmp_path / "sweep"}
    swept({"beta": [0.1]}, **own)
    names = {pairs: "pairs.jsonl", rules: "the source of the judge", model / "model.safetensors": "model.safetensors"}
    for file, told in names.items():
        before = file.read_bytes()
        if file.suffix == ".safetensors":
            tiny.write_model(model, seed=1)
        else:
            file.write_bytes(before.replace(b"PLUS = 1", b"PLUS = 2") + b"\n")
        with pytest.raises(ConfigError, match=rf"sweep of other settings \([^;]*{told} has changed\)"):
            swept({"beta": [0.1]}, **own)
        file.write_bytes(before)
    assert swept({"beta": [0.1]}, **own).finished


def test_what_points_are_rewarded_by_is_part_of_a_sweep(tmp_path):
    (tmp_path / "rules.py").write_text("def score(prompts, completions):\n    return [1.0] * len(completions)\n")
    reward = f"{tmp_path}/rules.py:score"
    before = dict(_named_in({"reward": (reward,), "guard": f"2*{reward}", "kl_coef": 0.1}))
    assert set(before) == {f"reward {reward}", f"guard 2*{reward}"}
    (tmp_path / "rules.py").write_text("def score(prompts, completions):\n    return [2.0] * len(completions)\n")
    after = dict(_named_in({"reward": (reward,), "guard": f"2*{reward}", "kl_coef": 0.1}))
    assert all(after[name] != before[name] for name in before)


def test_the_values_of_a_grid_that_is_given_again_are_joined(monkeypatch):
    class Got(Exception):
        pass

    def caught(*arguments, **options):
        raise Got(options["grid"])

    monkeypatch.setattr(module, "sweep", caught)
    with pytest.raises(Got) as told:
        sweeping.sweep(
            type("Context", (), {"args": []}), "dpo", "m", ["d"], "o", "j:s", ["beta=0.05", "lr=1e-6", "beta=0.3,1"]
        )
    assert told.value.args[0] == {"beta": ["0.05", "0.3", "1"], "learning_rate": ["1e-6"]}


def test_names_of_other_tools_are_read(swept):
    found = swept({"lr": ["1e-6"]}, output="aliases")
    assert found.points[0].settings == {"learning_rate": 1e-6}
