"""A job as a user runs it, on a tiny model: gates, rounds, judges on a server, what is written."""

import json
import re

import pytest
import yaml
from fault_server import MARK, FaultServer, reply

from preferably.errors import ConfigError, DataError
from preferably.feedback.store.store import Store
from preferably.models.tokenizers import load_tokenizer
from preferably.pipeline.align import align
from preferably.pipeline.gates import GateError
from preferably.pipeline.outlook import Outlook, outlook
from preferably.pipeline.plan import align_settings
from preferably.pipeline.stand_ins import drawn


def run(job, skip=(), **changes):
    watch = job.watch()
    made = align(align_settings(job(**changes)), watcher=watch, skip=skip)
    return made, watch


def account(job):
    return json.loads((job.place / "out" / "align.json").read_text())


def test_two_rounds_each_from_the_model_before_with_figures_of_their_own(job):
    place = job.place
    source = {"judge": f"{place}/rules.py:score", "prompts": str(place / "ask.jsonl"), "samples": 4, "max_tokens": 8}
    changes = {
        "sft": None,
        "preferences": [source],
        "iterate": 2,
        "check": {"max_rejected": 0.2},
        "train": [{"method": "dpo", "held_out": 0.3} | job.quick],
    }
    made, watch = run(job, **changes)
    assert made.stopped_by is None and watch.did == [
        "round-1/sample-1", "round-1/judge-1", "round-1/check", "round-1/dpo", "round-1/evaluate-dpo",
        "round-2/sample-1", "round-2/judge-1", "round-2/check", "round-2/dpo", "round-2/evaluate-dpo",
        "round-2/evaluate-dpo-over-previous",
    ]  # fmt: skip
    out = place / "out"
    first, second = (out / f"round-{number}" / "dpo" for number in (1, 2))
    settings = [yaml.safe_load((one / "config.yaml").read_text()) for one in (first, second)]
    assert settings[0]["model"] == job()["model"] and settings[1]["model"] == str(first / "model")
    # The second round learns from what the first round's model says, and that alone.
    assert settings[1]["data"] == [str(out / "round-2" / "judge-1" / "judgments.db")]
    assert (out / "round-1/sample-1/samples.jsonl").read_text() != (out / "round-2/sample-1/samples.jsonl").read_text()
    # What the rule said is in a store, as what people and language models say is: its scores, by its name.
    for number in (1, 2):
        drawn = [json.loads(line) for line in (out / f"round-{number}/sample-1/samples.jsonl").read_text().splitlines()]
        scored = {
            one["prompt"]: sorted(zip(one["completions"], one["ratings"], strict=True))
            for one in drawn if all(text.strip() for text in one["completions"])
        }  # fmt: skip
        with Store(out / f"round-{number}/judge-1/judgments.db", create=False) as store:
            kept = list(store.entries())
        assert {(one.labeler_kind, one.judgment.labeler, one.judgment.axis) for one in kept} == {
            ("rule", source["judge"], "overall")
        }
        assert len(kept) == len(scored) and scored == {
            one.group.prompt_text: sorted(
                zip((each.text for each in one.group.completions), one.judgment.scores, strict=True)
            )
            for one in kept
        }
    for one, told in zip((first, second), account(job)["rounds"], strict=True):
        rate = json.loads((one / "evaluation" / "win_rate.json").read_text())
        assert rate["against"] == job()["model"] and told["quality"]["win_rate"] == rate["win_rate"]
        last = [json.loads(line) for line in (one / "metrics.jsonl").read_text().splitlines()][-1]
        assert told["training"]["eval_loss"] == last["eval_loss"]
    over = json.loads((out / "round-2/evaluate-dpo-over-previous/evaluation/win_rate.json").read_text())
    assert over["against"] == str(first / "model") or over["against"] == str(first)
    assert account(job)["rounds"][1]["over_previous"]["win_rate"] == over["win_rate"]
    page = (out / "report.html").read_text()
    assert "Round by round" in page and "made preferences that they learnt" in page
    assert run(job, **changes)[1].did == []
    # An evaluation that is no longer asked for is shown neither by the page nor by the runs; asked for again, it is.
    made, watch = run(job, **changes | {"evaluate": None})
    assert watch.did == [] and "was trained and not judged" in made.report.read_text()
    for one in (first, second):
        assert not (one / "evaluation/win_rate.json").exists() and not (one / "samples.jsonl").exists()
        assert "win rate over" not in (one / "MODEL_CARD.md").read_text()
    assert run(job, **changes)[1].did == [] and (second / "evaluation/win_rate.json").exists()


def test_a_gate_stops_with_what_to_do_and_is_skipped_on_demand(job):
    ready = {"limit": 2, "max_tokens": 4, "samples": 1}
    changes = {"sft": None, "ready": ready, "evaluate": None}
    with pytest.raises(GateError, match=r"The ready gate is closed. ready: fine-tune first: .* --skip-gate ready\."):
        run(job, **changes)
    assert not (job.place / "out" / "dpo").exists() and account(job)["state"] == "stopped at a gate"
    assert "gate closed" in (job.place / "out" / "report.html").read_text()
    made, watch = run(job, skip=["ready"], **changes)
    assert watch.gates == [("ready", True)] and watch.done == ["ready"] and watch.did == ["check", "dpo"]
    assert [(gate["gate"], gate["went_on"]) for gate in account(job)["gates"]] == [("ready", "skipped")]
    assert "The ready gate at ready was closed and was skipped." in made.report.read_text()
    _, watch = run(job, **changes | {"ready": ready | {"gate": "warn"}})
    assert watch.gates == [("ready", False)] and watch.did == []


def test_the_data_gate_sees_faults_contradictions_leaks_and_a_lean(job):
    pairs = [json.loads(line) for line in (job.place / "pairs.jsonl").read_text().splitlines()]
    only = {"sft": None, "evaluate": None, "train": [{"method": "dpo", "max_steps": 1}]}

    def closed(rows, **check):
        job.rows("pairs.jsonl", rows)
        with pytest.raises(GateError) as told:
            run(job, check=check, **only)
        return str(told.value)

    against = [{"prompt": row["prompt"], "chosen": row["rejected"], "rejected": row["chosen"]} for row in pairs[:4]]
    assert "4 of 52 rows (7.7%) contradict an earlier one" in closed(pairs + against)
    assert "--skip-gate check" in closed([*pairs, {"prompt": "held 0 u", "chosen": "a", "rejected": "b"}])
    assert "2 of 50 rows (4.0%) were rejected" in closed(pairs + [{"prompt": "x", "chosen": "y"}, {"prompt": "x"}])
    # "yes" over "no no": the shorter one every time.
    assert "the longer answer is the chosen one in 0% of pairs, below min_longer 0.3" in closed(pairs, min_longer=0.3)
    assert "there are 48 pairs, fewer than least 100" in closed(pairs, least=100)
    assert not (job.place / "out" / "dpo").exists()


def test_what_is_held_out_and_learnt_from_is_found_before_anything_is_trained(job):
    pairs = (job.place / "pairs.jsonl").read_text()
    (job.place / "pairs.jsonl").write_text(pairs + '{"prompt": "Held 0 u!", "chosen": "a", "rejected": "b"}\n')
    with pytest.raises(GateError, match=r"1 of \d+ prompts of .*, are in .*pairs.jsonl too, the first 'held 0 u'"):
        run(job)
    assert not (job.place / "out").exists()
    _, watch = run(job, skip=["check"], train=[{"method": "dpo"} | job.quick])
    assert "sft" in watch.did and "dpo" in watch.did


def test_what_a_training_reads_by_itself_is_held_against_held_out_prompts_too(job):
    """No check sees it, so nothing would stop it later."""
    own = job.place / "own.jsonl"
    own.write_text('{"prompt": "held 0 u", "completion": "yes"}\n{"prompt": "new", "completion": "yes"}\n')
    with pytest.raises(GateError, match=r"1 of \d+ prompts of .*, are in .*own.jsonl too"):
        run(job, sft=job.quick | {"data": str(own)})
    assert not (job.place / "out").exists()


def test_a_column_that_no_prompt_has_is_told_before_anything_is_trained(job):
    evaluate = job()["evaluate"] | {"slices": ["topci"]}
    with pytest.raises(ConfigError, match="No prompt has a column 'topci'"):
        run(job, evaluate=evaluate)
    assert not (job.place / "out").exists()


def test_rows_of_prompts_that_ask_nothing_new_are_told(job):
    prompts = job()["prompts"]
    with open(prompts, "a", encoding="utf-8") as file:
        file.write('{"prompt": "held 0 u"}\n')
    made, _ = run(job, sft=None)
    told = {"file": prompts, "limit": None, "read": 13, "used": 12, "rejected": 0, "repeated": 1}
    assert account(job)["prompts"] == [told]
    assert "Of 13 rows of prompts.jsonl 12 prompts came (1 repeated)." in made.report.read_text()


def test_prompts_at_fault_are_found_before_anything_is_trained(job):
    prompts = job()["prompts"]
    with open(prompts, "a", encoding="utf-8") as file:
        file.write('{"question": "not a prompt"}\n')
    with pytest.raises(DataError, match=r"1 of \d+ rows .* Mend these rows, or take them out\.$"):
        run(job)
    assert not (job.place / "out").exists()


def test_a_reward_model_and_its_guard_learn_from_a_half_each(job):
    quick, place = job.quick, job.place
    road = {"reward": quick, "guard": {"max_steps": 1}, "ppo": quick | {"data": f"{place}/ask.jsonl", "held_out": 4}}
    changes = {"sft": None, "train": road}
    looked = {one.stage.name: one for one in outlook(align_settings(job(**changes)))}
    assert looked["ppo"].memory and not any(one.refused for one in looked.values())
    made, watch = run(job, **changes)
    assert watch.did == ["check", "ppo-reward", "ppo-guard", "ppo", "evaluate-ppo"]
    halves = [json.loads((made.path / f"ppo-{role}/data.json").read_text()) for role in ("reward", "guard")]
    assert [one["half"]["name"] for one in halves] == ["a", "b"]
    sizes = [one["train"] + one["held_out"] for one in halves]
    assert sum(sizes) == 48 and [one["half"]["other"] for one in halves] == sizes[::-1]
    held = [(made.path / f"ppo-{role}/held_out.jsonl").read_text().splitlines() for role in ("reward", "guard")]
    prompts = [{json.loads(line)["prompt"] for line in lines} for lines in held]
    assert all(prompts) and prompts[0].isdisjoint(prompts[1])
    looked = [json.loads(line) for line in (made.path / "ppo/metrics.jsonl").read_text().splitlines()]
    assert any("eval_guard/scores" in one for one in looked)
    [told] = account(job)["rounds"]
    assert told["method"] == "ppo" and told["reward"]["steps"] == 2  # its own, not the guard's


def longest(body):
    mark = MARK.search(body["messages"][0]["content"])
    if mark is None:
        return reply("hello")
    found = re.findall(rf"--- reply ?([A-Z]) {mark[1]}\n(.*?)\n--- end", body["messages"][1]["content"], re.DOTALL)
    return reply(json.dumps({"mark": mark[1], "better": max(found, key=lambda one: len(one[1]))[0]}))


def test_a_judge_on_a_server_fills_a_store_by_principles_and_is_paid_once(job):
    place = job.place
    (place / "desk.yaml").write_text("name: desk\nversion: 1\nprinciples:\n- {id: long, text: Longer is better.}\n")
    with FaultServer(answer=longest) as server:
        told = {"server": server.url, "model": "judge", "schema": "no", "logprobs": "no",
                "replies": f"{place}/replies.db", "prices": [1.0, 1.0]}  # fmt: skip
        (place / "judge.yaml").write_text(yaml.safe_dump(told))
        source = {"judge": str(place / "judge.yaml"), "constitution": str(place / "desk.yaml"),
                  "prompts": str(place / "ask.jsonl"), "max_tokens": 6, "limit": 6}  # fmt: skip
        changes = {
            "sft": None, "preferences": [source], "train": [{"method": "dpo", "held_out": 0} | job.quick],
            "evaluate": {"judge": str(place / "judge.yaml"), "max_tokens": 6, "limit": 4},
        }  # fmt: skip
        run(job, **changes)
        asked = len(server.seen)
        by_name = {one["name"]: one["figures"] for one in account(job)["stages"]}
        [judge] = by_name["judge-1"]["judges"]
        assert judge["asked"] == judge["ok"] == 12 and judge["failed"] == 0  # 6 pairs in both orders
        [spent] = account(job)["asked"]
        assert spent["requests"] == asked and spent["cost"] == pytest.approx(spent["tokens"] * 1e-6)
        # Its concurrency is no part of what it says, so a change asks nothing again.
        (place / "judge.yaml").write_text(yaml.safe_dump(told | {"concurrency": 2}))
        assert run(job, **changes)[1].did == [] and len(server.seen) == asked
        (place / "judge.yaml").write_text(yaml.safe_dump(told | {"rubric": "Short is good."}))
        assert run(job, **changes)[1].did[0] == "judge-1" and len(server.seen) > asked


def test_questions_that_get_no_answer_hold_the_job_and_are_asked_again(job):
    place = job.place
    plan = {"fault": "400"}
    with FaultServer(
        answer=longest, plan=lambda tries, body, random: plan["fault"] if random.random() < 0.4 else ""
    ) as server:
        told = {
            "server": server.url,
            "model": "judge",
            "schema": "no",
            "logprobs": "no",
            "replies": f"{place}/replies.db",
        }
        (place / "judge.yaml").write_text(yaml.safe_dump(told))
        source = {"judge": str(place / "judge.yaml"), "prompts": str(place / "ask.jsonl"), "max_tokens": 6}
        only = {"sft": None, "preferences": [source], "evaluate": None, "train": [{"method": "dpo"} | job.quick]}
        with pytest.raises(DataError, match=r"judge-1: \d+ of 60 questions to judge got no answer .* max_failed 0.01"):
            run(job, **only)
        plan["fault"] = ""
        _, watch = run(job, **only)
        assert watch.done == ["sample-1"] and watch.did == ["judge-1", "check", "dpo"]


def test_a_dry_run_estimates_what_can_be_known(job, monkeypatch):
    monkeypatch.setattr("preferably.training.pace.ENOUGH", 0.01)  # how near it comes is measured elsewhere
    place, ask = job.place, str(job.place / "ask.jsonl")
    files, sampled = {"files": str(place / "pairs.jsonl")}, {"judge": f"{place}/rules.py:score", "prompts": ask}

    longest = []

    def as_long(*names, **how):
        longest.append(how["most"])
        return drawn(*names, **how)

    monkeypatch.setattr("preferably.pipeline.outlook.drawn", as_long)
    changes = {"preferences": [files, sampled | {"samples": 3, "max_tokens": 6}], "ready": {}}
    changes["train"] = [{"method": "dpo", "held_out": 0} | job.quick]
    found = {one.stage.name: one for one in outlook(align_settings(job(**changes)))}
    assert all(one.seconds > 0 and one.memory > 1e6 for name, one in found.items() if name not in ("check", "judge-2"))
    assert found["judge-2"].work == f"scores by {place}/rules.py:score of at most 90 answers, kept as ratings"
    assert found["sft"].work.startswith("2 steps on") and found["sft"].why == found["sft"].refused == ""
    assert found["ready"].work == "12 prompts x 4 answers"
    assert found["ready"].why == "at most: all answers 256 tokens long"
    assert found["sample-2"].work == "30 prompts x 3 answers"
    assert found["check"].why == "how many rows there will be is not known before"
    # 48 pairs of the file, and of 30 prompts with three answers 30 x 3.
    assert found["dpo"].work == "2 steps on 138 rows"
    assert longest == [2048]  # as long as a training takes them, unless it says otherwise
    assert found["dpo"].why == f"estimated on {job()['model']}; at most: 138 pairs, with what is to be sampled"
    assert found["evaluate-dpo"].why == f"at most: all answers 4 tokens long, without what {place}/rules.py:score takes"
    assert not (place / "out").exists()


def test_a_dry_run_counts_what_judges_are_asked_and_names_those_whose_questions_it_does_not_count(job, monkeypatch):
    monkeypatch.setattr("preferably.training.pace.ENOUGH", 0.01)
    monkeypatch.setattr("preferably.pipeline.outlook._training", lambda stage, *rest: Outlook(stage, "new", ""))
    place, principle = job.place, "be kind " * 10_000

    def described(name, **more):
        told = {"server": "http://127.0.0.1:9/v1", "model": name, "max_tokens": 1} | more
        (place / f"{name}.yaml").write_text(yaml.safe_dump(told))
        return str(place / f"{name}.yaml")

    judge, voice = described("judge", prices=[1.0, 0.0]), described("voice")
    complied = described("complied", axes={"complied": "1 is no, 2 is yes"}, scale=2)
    texts = [{"id": "short", "text": "be brief"}, {"id": "long", "text": principle}]
    (place / "principles.yaml").write_text(yaml.safe_dump({"name": "c", "version": 1, "principles": texts}))
    few, ask = {"max_tokens": 4, "limit": 4}, str(place / "ask.jsonl")
    source = {"judge": judge, "prompts": ask, "constitution": str(place / "principles.yaml")} | few
    road, safety = {"method": "dpo"} | job.quick, {"safety": {"judge": complied, "limit": 5, "max_tokens": 4}}
    changes = {"preferences": [source], "train": [road], "audit": [safety]}
    changes["evaluate"] = {"judge": judge, "axes": {"voice": voice, "same": judge}} | few
    found = {one.stage.name: one for one in outlook(align_settings(job(sft=None, **changes)))}
    # Four prompts, one pair each, in both orders; the principle goes with each question, and little else.
    [count, cost] = re.fullmatch(r"at most (\d+) questions to \S+, (\S+) by its prices", found["judge-1"].work).groups()
    tokens = len(load_tokenizer(job()["model"])[0](principle)["input_ids"])
    assert count == "8" and float(cost) == pytest.approx(8 * tokens / 1e6, rel=0.1)
    work = found["evaluate-dpo"].work
    assert work.startswith(f"4 prompts x 1 answer of two models, 8 questions to {judge}, ") and work.count(judge) == 1
    assert work.endswith(f" by its prices and 8 questions to {voice}")
    asked = "5 prompts x 1 answer of two models"
    assert found["audit-safety-dpo"].work == f"{asked}; without the questions to {complied}, which are not counted"
