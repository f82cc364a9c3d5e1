"""Rows of files as tasks, and fresh completions of a model in the queue."""

import json

import pytest
from typer.testing import CliRunner

from preferably.cli.main import app
from preferably.errors import ConfigError, DataError
from preferably.feedback.store.store import Store
from preferably.labeling.material import tasks_in


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_row_is_a_task_or_is_told_why_not(tmp_path):
    rows = [
        {"prompt": "a?", "completions": ["x", "y"]},
        {"prompt": "a?", "completions": ["y", "x"]},  # the same group
        {"prompt": "b?", "completions": ["x", "y", "z"]},
        {"prompt": "c?", "chosen": "x", "rejected": "y"},
        {"prompt": "d?", "completion": "alone"},
    ]
    found, account = tasks_in([written(tmp_path / "rows.jsonl", rows)], max_rejected=1)
    assert [(task.kind, task.group.prompt_text) for task in found] == [
        ("pair", "a?"),
        ("ranking", "b?"),
        ("pair", "c?"),
    ]
    assert (account.read, account.used, account.deduplicated, sum(account.rejected.values())) == (5, 3, 1, 1)
    with pytest.raises(DataError):
        tasks_in([tmp_path / "rows.jsonl"])  # more than 1% of the rows cannot be asked


def test_gold_is_what_the_row_says(tmp_path):
    rows = [
        {"prompt": "a?", "chosen": "x", "rejected": "y"},
        {"prompt": "b?", "completions": ["x", "y"], "choice": "tie"},
    ]
    found, _ = tasks_in([written(tmp_path / "rows.jsonl", rows)], gold=True)
    assert [task.gold["expected"] for task in found] == [{"choice": 0}, {"choice": "tie"}]
    with pytest.raises(DataError):
        tasks_in([written(tmp_path / "none.jsonl", [{"prompt": "a?", "completions": ["x", "y"]}])], gold=True)
    with pytest.raises(ConfigError, match="--kind is"):
        tasks_in([tmp_path / "rows.jsonl"], kind="essay")


def test_fresh_completions_of_a_model_wait_in_the_queue(tmp_path, tiny):
    model = tiny.write_model(tmp_path / "model", std=0.3)
    prompts = written(tmp_path / "prompts.jsonl", [{"prompt": f"q{n} "} for n in range(5)])
    store = str(tmp_path / "p.db")
    asked = [
        "sample",
        "--model",
        str(model),
        "--data",
        str(prompts),
        "--max-tokens",
        "8",
        "--temperature",
        "1",
        "--queue",
        store,
    ]
    refused = CliRunner().invoke(app, [*asked, "--output", str(tmp_path / "one.jsonl")])
    assert isinstance(refused.exception, ConfigError) and not (tmp_path / "one.jsonl").exists()
    done = CliRunner().invoke(app, [*asked, "--samples", "2", "--output", str(tmp_path / "two.jsonl")])
    assert done.exit_code == 0, done.output
    assert "5 tasks queued in the batch two.jsonl" in done.output
    again = CliRunner().invoke(app, ["label", "queue", str(tmp_path / "two.jsonl"), "--store", store])
    assert "0 tasks queued in the batch two.jsonl, 5 were there already" in again.output
    with Store(store) as opened:
        assert opened.counts()["items"] == 5


def test_links_are_of_one_person_each(tmp_path):
    store = str(tmp_path / "p.db")
    asked = ["label", "invite", "http://127.0.0.1:8000/", "--store", store, "--count", "3"]
    assert isinstance(CliRunner().invoke(app, asked).exception, DataError)  # a store that nobody made yet
    Store(store).close()
    links = CliRunner().invoke(app, asked).output.split()
    assert len(set(links)) == 3 and all(link.startswith("http://127.0.0.1:8000/join#") for link in links)
