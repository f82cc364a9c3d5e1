"""`preferably init` and `preferably align` as typed."""

import json

import yaml


def test_a_starter_is_written_once_and_recipes_are_named(command, tmp_path):
    done = command(tmp_path, "init")
    assert done.returncode == 0 and "preferably align --dry-run" in done.stdout, done.stderr
    assert (tmp_path / "align.yaml").exists() and (tmp_path / "judge.yaml").exists()
    again = command(tmp_path, "init")
    assert again.returncode == 2 and "nothing is overwritten" in again.stderr
    listed = command(tmp_path, "init", "--list")
    assert [line.split()[0] for line in listed.stdout.splitlines() if line[0] != " "] == [
        "brand-voice", "constitution", "harmless", "not-sure", "shorter"
    ]  # fmt: skip
    made = command(tmp_path, "init", "--recipe", "shorter", "desk/align.yaml")
    assert "cd desk; preferably align --dry-run" in made.stdout and (tmp_path / "desk" / "rules.py").exists()
    missing = command(tmp_path, "align", "--dry-run")
    assert missing.returncode == 3 and "does not exist; paths are as seen from the folder" in missing.stderr


def test_a_dry_run_a_closed_gate_and_the_way_past_it(command, tmp_path, tiny_model_directory):
    pairs = [
        {"prompt": f"{one} {number}? ", "chosen": "yes", "rejected": "no no"} for one in "abc" for number in range(6)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    (tmp_path / "held.jsonl").write_text('{"prompt": "held u"}\n{"prompt": "held v"}\n')
    quick = {"max_steps": 1, "batch_size": 8, "sample_prompts": 0, "sample_tokens": 4}
    values = {
        "model": str(tiny_model_directory), "output": "out", "prompts": "held.jsonl", "device": "cpu",
        "ready": {"samples": 1, "max_tokens": 4}, "preferences": [{"files": "pairs.jsonl"}],
        "train": {"method": "dpo"} | quick,
    }  # fmt: skip
    (tmp_path / "align.yaml").write_text(yaml.safe_dump(values))
    plan = command(tmp_path, "align", "--dry-run")
    assert plan.returncode == 0 and not (tmp_path / "out").exists(), plan.stderr
    [trained] = [line for line in plan.stdout.splitlines() if line.startswith("dpo ")]
    assert "to do" in trained and " GB " in trained and "1 steps on" in trained
    assert "preferably train dpo --model" in plan.stdout and "preferably ready --model" in plan.stdout
    closed = command(tmp_path, "align")
    assert closed.returncode == 7 and "error: The ready gate is closed." in closed.stderr
    past = command(tmp_path, "align", "--skip-gate", "ready", "--set", "train.beta=0.3")
    assert past.returncode == 0, past.stderr
    assert "gate ready (skipped)" in past.stderr and "not evaluated" in past.stdout
    assert yaml.safe_load((tmp_path / "out" / "dpo" / "config.yaml").read_text())["beta"] == 0.3
