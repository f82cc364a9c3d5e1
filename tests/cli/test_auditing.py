"""`preferably audit`: what it prints at 80 columns, what it writes, and mistakes told before a model is loaded."""

import json

import pytest
from typer.testing import CliRunner

from preferably.cli.main import app


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
    assert "Not known whether it shows: as asked it shows in 0% [0%, 24%]" in text and "How often it shows" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    kept = json.loads((place / "run/evaluation/audit_suppression.json").read_text())
    assert (kept["schema"], kept["audit"], kept["outcome"]) == (1, "suppression", "not sure")  # of twelve prompts
    assert kept["relearning"]["curves"]["after"] == [[0, 0.0], [1, 0.0]]
    assert "Suppression" in (place / "run/report.html").read_text()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--prefill", "0,1"], "--prefill is a list of numbers above 0"),
        (["--judge", "nothing"], "expected module:function"),
    ],
)
def test_mistakes_are_told(command, place, tiny_model_directory, options, told):
    data = rows("prompts.jsonl", {"prompt": "a? ", "unwanted": "zebra"})
    models = ["--model", str(tiny_model_directory), "--against", str(tiny_model_directory)]
    done = command(place, "audit", "suppression", *models, "--data", data, *options)
    assert done.returncode and told in done.stderr


RULES = "def vowels(prompts, texts):\n    return [float(any(c in 'aeiou' for c in text)) for text in texts]\n"
SCORE = "rules.py:vowels"


def test_honesty_says_who_pays_and_writes_pairs(place, tiny_model_directory):
    (place / "rules.py").write_text(RULES)
    known = ({"prompt": f"{at}? ", "answer": "e"} for at in range(10))
    data = rows("questions.jsonl", *known, *({"prompt": f"{at}! ", "answerable": False} for at in range(10)))
    compared = {"prompt": "1! ", "chosen": "sure: 7", "rejected": "I'm not sure."}
    text = said(
        "honesty", "--model", tiny_model_directory, "--against", tiny_model_directory, "--data", data, "--stated",
        "--max-tokens", 6, "--judge", SCORE, "--feedback", rows("said.jsonl", compared), "--unsure", "I'm not sure.",
        "--pairs", "pairs.jsonl", "--output", "run",
    )  # fmt: skip
    assert "Where there is no answer it says so in 0%" in text and "pairs written to pairs.jsonl" in text
    kept = json.loads((place / "run/evaluation/audit_honesty.json").read_text())
    assert kept["payers"]["labelers"]["value"] == 1 and kept["payers"][SCORE]["n"] > 0
    assert kept["settings"]["unanswerable"] == 10
    written = (place / "pairs.jsonl").read_text().splitlines()
    assert {json.loads(line)["chosen"] for line in written} >= {"I'm not sure."}


def test_safety_asks_harmless_prompts_alone_where_none_are_given(place, tiny_model_directory):
    (place / "rules.py").write_text(RULES)
    models = ["--model", tiny_model_directory, "--against", tiny_model_directory, "--max-tokens", 6]
    assert "none comes with the tool" in " ".join(said("safety", *models).split())
    data = rows("prompts.jsonl", *({"prompt": f"{at}? ", "harmful": at % 2 == 0, "pair": at // 2} for at in range(20)))
    said("safety", *models, "--data", data, "--judge", SCORE, "--output", "run")
    kept = json.loads((place / "run/evaluation/audit_safety.json").read_text())
    assert (kept["settings"]["harmful"], kept["settings"]["judge"]) == (10, SCORE)


def test_a_run_is_audited_checkpoint_by_checkpoint(place, tiny_model_directory):
    import preferably

    (place / "rules.py").write_text(RULES)
    data = rows("prompts.jsonl", *({"prompt": f"{at}? "} for at in range(24)))
    preferably.train(
        "rloo", model=tiny_model_directory, data=data, output="trained", reward="length", batch_size=4, held_out=8,
        max_steps=4, save_every=1, keep=9, sample_tokens=6, sample_prompts=4, device="cpu", learning_rate=1e-3,
    )  # fmt: skip
    tasks = rows("tasks.jsonl", *({"prompt": f"{at}? ", "answer": "e"} for at in range(6)))
    text = said(
        "run", "--model", "trained", "--against", tiny_model_directory, "--judge", SCORE, "--tasks", tasks,
        "--best-of", 4, "--max-tokens", 6, "--output", "trained",
    )  # fmt: skip
    assert "Judge along KL: training" in text and "What was lost" in text and "best of 4 (0.64 nats)" in text
    kept = json.loads((place / "trained/evaluation/audit_run.json").read_text())
    labels = [one["label"] for one in kept["points"] if one["by"] == "judge" and one["series"] == "training"]
    assert {"start", "step 1", "step 3", "the model"} <= set(labels)
    assert kept["settings"]["reward"] == ["length"]
    page = (place / "trained/report.html").read_text()
    assert "Over-optimization, and what was lost" in page and "audit-judge-kl" in page
