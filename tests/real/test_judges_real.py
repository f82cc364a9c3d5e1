"""The audit of judges on pairs that people made to be hard to judge (LLMBar)."""

import json
from pathlib import Path

import pytest

from preferably.data.comparable import comparable
from preferably.evaluation.findings import findings, verdict
from preferably.evaluation.judges import audit
from preferably.feedback.views import pairs
from preferably.judging.judge import judge_by_score

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "real" / "data" / "llmbar"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="shared/real/data/llmbar is not here")
FILES = sorted(FOLDER.glob("*.json")) if FOLDER.exists() else []


def longer(prompts, completions):
    return [len(one) for one in completions]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_judge_of_length_agrees_with_people_as_counted_by_hand(file):
    rows = json.loads(file.read_text(encoding="utf-8"))
    found, _ = comparable([file])
    audited = audit(judge_by_score(longer), pairs(found), name="longer", limit=1000)
    apart = [len(row["output_1"]) - len(row["output_2"]) for row in rows]
    by_hand = [
        0.5 if gap == 0 else float((gap > 0) == (row["label"] == 1)) for gap, row in zip(apart, rows, strict=True)
    ]
    assert audited.pairs == len(rows) and audited.agreement == pytest.approx(sum(by_hand) / len(rows), abs=0.005)
    assert audited.consistent.value == 1.0 and audited.over_longer.mean == 0.0
    outcomes = {one.name: one.outcome for one in findings(audited)}
    assert outcomes["order"] == "good" and verdict(audited)[0] != "good"
