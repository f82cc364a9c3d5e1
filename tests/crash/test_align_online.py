"""A job of all that is dear: a store and a judge on a server, a reward model and PPO, two rounds; killed as it goes."""

import json

import pytest
import torch
import yaml
from crash_runs import LONG, final, rows
from fault_server import FaultServer
from transformers import LlamaConfig, LlamaForCausalLM

from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.models.loading import load

RULES = "def score(prompts, completions):\n    return [float(len(text)) for text in completions]\n"
QUICK = {"max_steps": 1, "batch_size": 4, "learning_rate": 1e-2, "sample_prompts": 2, "sample_tokens": 5}
# As in test_align_kills.py: killed just before each of these is touched for the first time, in this order; where it is
# a call, at that one: the answer of a judge is about to be kept, and two are.
ANSWER = ("preferably.judging.labeling._entries", 3, "SIGKILL")
FEW = (ANSWER, "out/round-1/ppo/checkpoints/step-00000001", "out/round-2/ppo/model")
MORE = (
    "out/round-1/sample-2/samples.jsonl", ANSWER, "out/round-1/check/findings.json",
    "out/round-1/ppo-reward/checkpoints/step-00000001", "out/round-1/ppo-reward/model", "out/round-1/ppo/metrics.jsonl",
    FEW[1], "out/round-1/ppo/model", "out/round-2/sample-2/samples.jsonl", ANSWER,
    "out/round-2/ppo-reward/model", "out/round-2/ppo/checkpoints/step-00000001", FEW[2],
    "out/round-2/evaluate-ppo/samples.jsonl", "out/round-2/evaluate-ppo-over-previous/evaluation/win_rate.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def job(tmp_path_factory, model):
    """`job(name, **changes)`: the arguments of a job, evaluated as told, and its output."""
    place = tmp_path_factory.mktemp("online")
    for name, kept in (("pairs", "dpo"), ("ask", "ppo")):
        told = [json.dumps(row) + "\n" for row in rows(kept)]
        (place / f"{name}.jsonl").write_text("".join(told))
    (place / "held.jsonl").write_text("".join(json.dumps({"prompt": f"held {at} k"}) + "\n" for at in range(4)))
    (place / "rules.py").write_text(
        "def score(prompts, completions):\n    return [float(len(c)) for c in completions]\n"
    )
    with Store(place / "people.db") as store:
        for row in rows("dpo"):
            said = (Completion((Message("assistant", row[side]),)) for side in ("chosen", "rejected"))
            group = Group((Message("user", row["prompt"]),), tuple(said))
            store.say([Entry(group, Preference(0, labeler="ada"))])
    torch.manual_seed(1)
    another = LlamaForCausalLM(LlamaConfig.from_pretrained(model))
    load(model, device="cpu").tokenizer.save_pretrained(place / "other")
    another.save_pretrained(place / "other")
    with FaultServer() as server:
        told = {"server": server.url, "model": "judge", "schema": "no", "logprobs": "no",
                "replies": f"{place}/replies.db", "concurrency": 1}  # fmt: skip
        (place / "judge.yaml").write_text(yaml.safe_dump(told))

        def make(name, **changes):
            out = place / name / "out"
            out.parent.mkdir(exist_ok=True)
            source = {"judge": f"{place}/judge.yaml", "prompts": f"{place}/ask.jsonl", "models": f"{place}/other",
                      "samples": 1, "max_tokens": 5, "limit": 10, "orders": "random"}  # fmt: skip
            values = {
                "model": str(model), "output": str(out), "device": "cpu", "dtype": "float32",
                "prompts": f"{place}/held.jsonl", "preferences": [{"store": f"{place}/people.db"}, source],
                "check": {"gate": "warn"}, "train": {"reward": QUICK, "ppo": QUICK}, "iterate": 2,
                "evaluate": {"judge": f"{place}/rules.py:score", "max_tokens": 5} | changes,
            }  # fmt: skip
            (out.parent / "align.yaml").write_text(yaml.safe_dump(values))
            return ["align", str(out.parent / "align.yaml")], out

        make.server = server
        yield make


@pytest.fixture(scope="module")
def whole(job, warm):
    argv, out = job("whole")
    done = warm.run(argv=argv, train={"output": str(out)})
    assert done.code == 0, done.said
    return out


def account(out):
    return json.loads((out / "align.json").read_text())


def ended(out):
    """What must be the same of two jobs: runs to the bit, and what stands in the account."""
    told = account(out)
    kept = [(one["name"], one["state"]) for one in told["stages"]]
    places = [out / f"round-{number}" / name for number in (1, 2) for name in ("ppo-reward", "ppo")]
    runs = [final(place) for place in places]
    for run, place in zip(runs, places, strict=True):
        run.pop("model/README.md", None)  # the card, which names the run
        del run["state"]["logs"]  # bytes, of which its name takes more or fewer
        run |= {name: (place / name).read_text() for name in run if name.endswith(".jsonl")}
    drawn = [(out / f"round-{number}" / "sample-2" / "samples.jsonl").read_text() for number in (1, 2)]
    return json.loads(json.dumps([told["state"], told["rounds"], kept, runs, drawn]).replace(str(out), ""))


def test_two_rounds_of_a_reward_model_and_ppo_on_a_store_and_a_judge(whole):
    told = account(whole)
    by_name = {one["name"]: one for one in told["stages"]}
    assert told["state"] == "finished" and {one["state"] for one in told["stages"]} == {"done"}
    assert [(one["round"], one["road"]) for one in told["rounds"]] == [(1, "ppo"), (2, "ppo")]
    configs = {name: yaml.safe_load((whole / name / "config.yaml").read_text()) for name in by_name if "/ppo" in name}
    start = configs["round-1/ppo"]["model"]
    for number in (1, 2):
        ppo, reward = configs[f"round-{number}/ppo"], configs[f"round-{number}/ppo-reward"]
        assert ppo["reward"] == [str(whole / f"round-{number}/ppo-reward")] and reward["model"] == start
    assert configs["round-2/ppo"]["model"] == str(whole / "round-1/ppo/model")
    # The store's 40 pairs are learnt in the first round; the reward model of the second has them and both rounds'.
    judged = {number: _answered(whole / f"round-{number}/judge-2/judgments.db") for number in (1, 2)}
    read = {name: json.loads((whole / name / "data.json").read_text())["read"] for name in configs}
    assert read["round-1/ppo-reward"] == 40 + judged[1]
    assert read["round-2/ppo-reward"] == 40 + judged[1] + judged[2]
    assert read["round-1/ppo"] == read["round-2/ppo"] == 40  # prompts
    # Two models answer, and the newest is the first of them.
    said = [json.loads(line) for line in (whole / "round-2/sample-2/samples.jsonl").read_text().splitlines()]
    [models] = {tuple(row["models"]) for row in said}
    assert models[0] == str(whole / "round-1/ppo") and models[1].endswith("/other")
    page = (whole / "report.html").read_text()
    assert "Round by round" in page and "ppo-reward" in page


def _answered(file):
    with Store(file) as store:
        return sum(1 for _ in store.judged())


def test_it_is_killed_at_any_point_and_ends_the_same(job, warm, whole):
    argv, out = job("killed")
    for point in MORE if LONG else FEW:
        fate = {"call": point} if point is ANSWER else {"fate": [str(out.parent / point), "kill"]}
        done = warm.run(argv=argv, train={"output": str(out)}, bare=True, **fate)
        assert done.code == -9, (point, done.code, done.said)
    done = warm.run(argv=argv, train={"output": str(out)}, bare=True)
    assert done.code == 0, done.said
    assert ended(out) == ended(whole)


def test_a_kill_at_a_rename_loses_nothing_that_was_made_before(job, warm, whole):
    """Evaluations of other settings: killed before what was there is moved away, behind that, and half-way; and then,
    with the settings of before, just before it is moved back, and behind that."""
    first, stage = ended(whole), "out/round-1/evaluate-ppo"
    tries = [one["tries"] for one in account(whole)["stages"]]
    root = whole.parent
    for changes, point in (
        ({"max_tokens": 4}, f"os.rename {root}/{stage}"), ({"max_tokens": 4}, f"os.mkdir {root}/{stage}"),
        ({"max_tokens": 4}, f"{root}/{stage}/samples.jsonl"), ({}, f"os.rename {root}/out/earlier"),
        ({}, f"os.mkdir {root}/{stage}"),
    ):  # fmt: skip
        argv, _ = job("whole", **changes)
        done = warm.run(argv=argv, train={"output": str(whole)}, fate=[point, "kill"], bare=True)
        assert done.code == -9, (point, done.code, done.said)
    done = warm.run(argv=job("whole")[0], train={"output": str(whole)}, bare=True)
    assert done.code == 0 and done.said.count("done before") == 13, done.said
    assert ended(whole) == first and [one["tries"] for one in account(whole)["stages"]] == tries
    [half] = (whole / "earlier").iterdir()  # what the changed settings had come to is kept, too
    assert not json.loads((half / "stage.json").read_text())["finished"]
