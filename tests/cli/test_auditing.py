"""`preferably audit`: what it prints at 80 columns, what it writes, and mistakes told before a model is loaded."""

import json

import pytest
from typer.testing import CliRunner

from preferably.cli.main import app
from preferably.cli.main import main as preferably_main


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "evaluation").mkdir(parents=True)
    return tmp_path


def rows(name, *some):
    with open(name, "w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in some)
    return name


def said(*arguments, code=0):
    done = CliRunner().invoke(app, ["audit", *map(str, arguments)], env={"COLUMNS": "80"})
    assert done.exit_code == code, done.output + repr(done.exception)
    return done.stdout


def test_suppression_prints_a_verdict_and_keeps_the_audit_with_the_run(place, tiny_model_directory):
    data = rows("prompts.jsonl", *({"prompt": f"{at}? ", "unwanted": "zebra"} for at in range(12)))
    text = said(
        "suppression", "--model", tiny_model_directory, "--against", tiny_model_directory, "--data", data,
        "--max-tokens", 4, "--samples", 1, "--steps", "1", "--output", "run", "--relearn-rate", 1e-4,
    )  # fmt: skip
    assert "Never shown by either model as asked" in text and "How often it shows" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    kept = json.loads((place / "run/evaluation/audit_suppression.json").read_text())
    assert (kept["schema"], kept["audit"], kept["outcome"]) == (1, "suppression", "good")
    assert kept["relearning"]["curves"]["after"] == [[0, 0.0], [1, 0.0]]
    assert "Suppression" in (place / "run/report.html").read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--prefill", "0,1"], "--prefill is a list of numbers above 0"),
        (["--judge", "nothing"], "expected module:function"),
    ],
)
def test_mistakes_are_told(place, tiny_model_directory, options, told, monkeypatch, capsys):
    data = rows("prompts.jsonl", {"prompt": "a? ", "unwanted": "zebra"})
    models = ["--model", str(tiny_model_directory), "--against", str(tiny_model_directory)]
    monkeypatch.setattr("sys.argv", ["preferably", "audit", "suppression", *models, "--data", data, *options])
    with pytest.raises(SystemExit):
        preferably_main()
    assert told in capsys.readouterr().err
