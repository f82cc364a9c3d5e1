"""A guard from the other half of the labels: the commands of docs/ppo.md as they stand there."""

import json
import shlex
from pathlib import Path

from typer.testing import CliRunner

from preferably.cli.main import app

DOCS = Path(__file__).parents[2] / "docs" / "ppo.md"
TINY = "--max-steps 2 --batch-size 4 --device cpu --dtype float32".split()


def test_the_commands_of_the_docs_make_a_guard_that_watches(tiny_model_directory, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/sft").symlink_to(tiny_model_directory)
    pairs = [{"prompt": f"{k}? {chr(97 + k % 26)}", "chosen": "a" * (1 + k % 3), "rejected": "b" * (1 + k % 4)}
             for k in range(40)]  # fmt: skip
    Path("comparisons.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    Path("prompts.jsonl").write_text("".join(json.dumps({"prompt": f"say {k}"}) + "\n" for k in range(12)))
    part = DOCS.read_text().partition("## A guard")[2].partition("\n## ")[0]
    lines = [shlex.split(line)[1:] for line in part.splitlines() if line.startswith("    preferably ")]
    assert [line[:2] for line in lines] == [*[["train", "reward"]] * 2, ["train", "ppo"]]
    for line in lines:
        more = ["--set=sample_tokens=6", "--set=held_out=4"] if line[1] == "ppo" else ["--set=held_out=2"]
        done = CliRunner().invoke(app, [*line, *TINY, *more])
        assert done.exit_code == 0, (line, done.output, done.exception)
    accounts = [json.loads(Path("runs", name, "data.json").read_text()) for name in ("rm", "guard")]
    sizes = [one["train"] + one["held_out"] for one in accounts]
    assert sum(sizes) == 40 and [one["half"] for one in accounts] == [
        {"name": "a", "other": sizes[1]}, {"name": "b", "other": sizes[0]}
    ]  # fmt: skip
    held = [{json.loads(row)["prompt"] for row in Path("runs", name, "held_out.jsonl").read_text().splitlines()}
            for name in ("rm", "guard")]  # fmt: skip
    assert all(held) and not held[0] & held[1]
    told = [json.loads(line) for line in Path("runs/ppo/metrics.jsonl").read_text().splitlines()]
    seen = [one for one in told if "eval_guard/scores" in one]
    assert seen and seen[-1]["eval_guard/scores"] != seen[-1]["eval_objective/scores"]  # two models, two opinions
