"""docs/evaluation-suites.md: its program runs, and what it names is there."""

import json
import re
from pathlib import Path

from preferably.evaluation.instructions import RULES

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "evaluation-suites.md").read_text(encoding="utf-8")


def test_the_program_pairs_two_runs_of_lm_eval(tmp_path, monkeypatch, capsys):
    """12 questions, 3 of them gained and none lost: +0.25. One more was asked before alone."""
    right = {"before": [0.0] * 12, "after": [1.0] * 3 + [0.0] * 9}
    for which, values in right.items():
        folder = tmp_path / "results" / which / "model"
        folder.mkdir(parents=True)
        rows = [{"doc_hash": f"h{k}", "acc": value, "filter": "none"} for k, value in enumerate(values)]
        rows += [{"doc_hash": "other", "acc": 1.0}] if which == "before" else []
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "samples_arc_challenge_2026-01-01T00-00-00.jsonl").write_text(lines)
    monkeypatch.chdir(tmp_path)
    (program,) = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    exec(program, {})
    mean, *_, n, dropped, separable = capsys.readouterr().out.split()
    assert (float(mean), n, dropped, separable) == (0.25, "12", "1", "False")


def test_counts_that_are_named_are_those_of_the_code():
    assert f"All {len(RULES)} kinds of instructions" in TEXT
