"""A small job, with its files, for the tests of `preferably align`."""

import json

import pytest

ROWS = [f"{letter} {number}? " for letter in "abcdef" for number in range(8)]
QUICK = {"max_steps": 2, "batch_size": 8, "sample_prompts": 2, "sample_tokens": 4, "learning_rate": 1e-3}
RULES = (
    "def score(prompts, completions):\n    return [-float(sum(c in 'aeiou' for c in text)) for text in completions]\n"
)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


class Watch:
    """Remembers what a job told."""

    def __init__(self):
        self.done, self.did, self.moved, self.gates, self.notes = [], [], [], [], []

    def begins(self, stage, number, of, *, done, moved):
        (self.done if done else self.did).append(stage.name)
        if moved is not None:
            self.moved.append(moved)

    def closed(self, gate, *, skipped):
        self.gates.append((gate.gate, skipped))

    def training(self, name):
        from preferably.training.closing import Progress

        return Progress()

    def counting(self, name):
        return (lambda total: None), (lambda more: None)

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def job(tmp_path, tiny_model_directory):
    """`job(**changes)`: the values of an align.yaml whose files are there; SFT, pairs of a file, DPO, evaluation."""
    write(tmp_path / "demonstrations.jsonl", [{"prompt": row, "completion": "yes"} for row in ROWS])
    write(tmp_path / "pairs.jsonl", [{"prompt": row, "chosen": "yes", "rejected": "no no"} for row in ROWS])
    write(
        tmp_path / "prompts.jsonl", [{"prompt": f"held {number} {letter}"} for number in range(4) for letter in "uvw"]
    )
    write(tmp_path / "ask.jsonl", [{"prompt": f"ask {letter} {number}"} for number in range(6) for letter in "xyzpq"])
    (tmp_path / "rules.py").write_text(RULES)

    def make(**changes):
        values = {
            "model": str(tiny_model_directory), "output": str(tmp_path / "out"), "device": "cpu", "dtype": "float32",
            "prompts": str(tmp_path / "prompts.jsonl"),
            "sft": {"data": str(tmp_path / "demonstrations.jsonl")} | QUICK,
            "preferences": [{"files": str(tmp_path / "pairs.jsonl")}],
            "train": [{"method": "dpo"} | QUICK],
            "evaluate": {"judge": f"{tmp_path}/rules.py:score", "max_tokens": 4},
        } | changes  # fmt: skip
        return {name: value for name, value in values.items() if value is not None}

    make.place = tmp_path
    make.rows = lambda name, rows: write(tmp_path / name, rows)
    make.quick = QUICK
    make.watch = Watch
    return make
