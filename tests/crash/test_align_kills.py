"""A job that is killed in the middle of each of its stages, one after the other, ends with the same files."""

import json
from pathlib import Path

import pytest
import yaml
from crash_runs import digest, final, newest, rows

QUICK = {"max_steps": 4, "held_out": 8, "batch_size": 4, "learning_rate": 1e-2, "save_every": 1, "eval_every": 2,
         "sample_prompts": 4, "sample_tokens": 5}  # fmt: skip
RULES = "def score(prompts, completions):\n    return [float(sum(c.islower() for c in text)) for text in completions]\n"
NAME_FILES = ("check", "evaluate", "audit")  # kinds of stages whose files name others by their paths
# The first time that a job touches a path with this in it, it is killed: in the middle of each stage, in order. A call
# is where the groups are in the store's transaction, and the ratings of them are not.
KILLS = (
    "out/sft/metrics.jsonl", "out/sft/checkpoints/step-00000003", "out/sft/model", "out/ready/readiness.json",
    "out/sample-2/samples.jsonl", ("preferably.feedback.store.store._check_corrections", 1, "SIGKILL"),
    "out/check/findings.json", "out/dpo/checkpoints/step-00000002",
    "out/dpo/evaluation/win_rate.json", "out/evaluate-dpo/samples.jsonl",
    "out/audit-safety-dpo/evaluation/audit_safety.json", "out/dpo/evaluation/audit_safety.json", "out/.report.html",
)  # fmt: skip


@pytest.fixture(scope="module")
def job(tmp_path_factory, model):
    """`job(name)`: the arguments of a job with an output of its own, which is in a folder; the files are the same."""
    place = tmp_path_factory.mktemp("align")

    def make(name):
        folder, out = place, place / name / "out"
        out.parent.mkdir()
        for file, kind in (("demonstrations", "sft"), ("pairs", "dpo"), ("ask", "ppo")):
            (folder / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(kind)))
        held = "".join(json.dumps({"prompt": f"held {number:02d} k"}) + "\n" for number in range(6))
        (folder / "held.jsonl").write_text(held)
        harm = "".join(json.dumps({"prompt": f"s {at}", "harmful": at % 2 == 0}) + "\n" for at in range(4))
        (folder / "safety.jsonl").write_text(harm)
        (folder / "rules.py").write_text(RULES)
        values = {
            "model": str(model), "output": str(out), "device": "cpu", "dtype": "float32",
            "prompts": str(folder / "held.jsonl"), "sft": {"data": str(folder / "demonstrations.jsonl")} | QUICK,
            "ready": {"limit": 4, "samples": 1, "max_tokens": 5, "gate": "warn"},
            "preferences": [{"files": str(folder / "pairs.jsonl")},
                            {"judge": f"{folder}/rules.py:score", "prompts": str(folder / "ask.jsonl"),
                             "max_tokens": 5, "limit": 12}],
            "check": {"gate": "warn"}, "train": [{"method": "dpo"} | QUICK],
            "evaluate": {"judge": f"{folder}/rules.py:score", "max_tokens": 5},
            "audit": {"safety": {"data": str(folder / "safety.jsonl"), "max_tokens": 5}},
        }  # fmt: skip
        (out.parent / "align.yaml").write_text(yaml.safe_dump(values))
        return ["align", str(out.parent / "align.yaml")], out.parent

    return make


def ended(folder):
    """What must be the same of two jobs: runs to the bit, what was drawn and found, and all figures of the account."""
    out = folder / "out"
    account = json.loads((out / "align.json").read_text())
    stages = [
        {name: one[name] for name in ("name", "state", "digest", "figures")}
        | ({} if one["kind"] in NAME_FILES else {"output": one["output"]})
        for one in account["stages"]
    ]
    files = ["sample-2/samples.jsonl", "ready/readiness.json", "dpo/samples.jsonl", "dpo/held_out.jsonl"]
    drawn = {name: digest(out / name) for name in files}
    rate = json.loads((out / "dpo" / "evaluation" / "win_rate.json").read_text())
    told = [account["state"], account["gates"], account["rounds"], stages, drawn, rate["win_rate"], rate["outcomes"]
            if "outcomes" in rate else rate["wins"]]  # fmt: skip
    runs = [final(out / name) for name in ("sft", "dpo")]
    for run in runs:
        del run["model/README.md"]  # the card, which names the run
    return json.loads(json.dumps([told, runs]).replace(str(folder), ""))


@pytest.fixture(scope="module")
def whole(job, warm):
    argv, folder = job("whole")
    done = warm.run(argv=argv, train={"output": str(folder / "out")})
    assert done.code == 0, done.said
    return ended(folder)


def test_a_job_killed_in_every_stage_ends_as_one_that_was_not(job, warm, whole):
    argv, folder = job("killed")
    for path in KILLS:
        how = {"call": path} if isinstance(path, tuple) else {"fate": [str(folder / path), "kill"]}
        done = warm.run(argv=argv, train={"output": str(folder / "out")}, **how)
        assert done.code == -9, (path, done.code, done.said)
    done = warm.run(argv=argv, train={"output": str(folder / "out")})
    assert done.code == 0, done.said
    assert "9/9" not in done.said and done.said.count("done before") == 8, done.said
    assert ended(folder) == whole
    tries = {one["name"]: one["tries"] for one in json.loads((folder / "out" / "align.json").read_text())["stages"]}
    known = {"sft": 4, "ready": 2, "sample-2": 2, "judge-2": 2, "check": 2, "dpo": 2, "evaluate-dpo": 3}
    known["audit-safety-dpo"] = 2
    assert tries == known


def test_a_job_that_is_asked_to_stop_does_so_in_order_and_goes_on(job, warm, whole):
    argv, folder = job("stopped")
    out = folder / "out"
    for call in (["preferably.training.offline.group_losses", 3], ["preferably.evaluation.asking.answers", 1]):
        done = warm.run(argv=argv, train={"output": str(out)}, call=[*call, "SIGTERM"])
        assert done.code == 143 and "the same command goes on" in done.said, done.said
        assert "Traceback" not in done.said
        account = json.loads((out / "align.json").read_text())
        assert (account["state"], account["reason"]) == ("stopped", "asked to stop")
        assert "asked to stop" in (out / "report.html").read_text()
    assert newest(out / "sft") == 4 and not Path(out / "dpo").exists()
    assert warm.run(argv=argv, train={"output": str(out)}).code == 0
    assert ended(folder) == whole
