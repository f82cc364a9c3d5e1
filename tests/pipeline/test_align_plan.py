"""What align.yaml may say, what it means, and what is told of a mistake; nothing is run."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from preferably.cli.training import flags, once, pair
from preferably.config import settings
from preferably.errors import ConfigError
from preferably.pipeline.audits import AUDITS
from preferably.pipeline.plan import AlignSettings, Check, Evaluate, Ready, Source, align_settings, read_align
from preferably.pipeline.stages import stages_of

FULL = {
    "model": "m", "output": "out", "prompts": "held.jsonl", "sft": {"data": ["d.jsonl"], "lr": "1e-3"},
    "ready": {"checker": "rules.py:right"}, "preferences": [
        {"files": ["a.jsonl", "b.jsonl"]}, {"store": "preferably.db"},
        {"judge": "judge.yaml", "prompts": "ask.jsonl", "samples": 3},
        {"constitution": "desk.yaml", "judge": "judge.yaml", "prompts": "ask.jsonl"},
        {"judge": "rules.py:score", "prompts": "more.jsonl"},
    ],
    "train": [{"method": "dpo", "betas": [0.9, 0.95]}, {"reward": {}, "ppo": {"kl_coef": 0.1}}],
    "evaluate": {"judge": "judge.yaml", "axes": {"voice": "rules.py:voice"}, "slices": "topic"},
}  # fmt: skip
SCORED = {"judge": "rules.py:score", "prompts": "ask.jsonl"}


def test_every_stage_stands_after_those_that_it_needs():
    stages = stages_of(align_settings(FULL))
    assert [stage.name for stage in stages] == [
        "sft", "ready", "sample-3", "judge-3", "sample-4", "judge-4", "sample-5", "judge-5", "check", "dpo",
        "evaluate-dpo", "ppo-reward", "ppo", "evaluate-ppo",
    ]  # fmt: skip
    known = set()
    for stage in stages:
        assert set(stage.needs) <= known
        known.add(stage.name)
    by_name = {stage.name: stage for stage in stages}
    learnt = ["a.jsonl", "b.jsonl", "preferably.db", "out/judge-3/judgments.db", "out/judge-4/judgments.db",
              "out/judge-5/judgments.db"]  # fmt: skip
    assert by_name["dpo"].named("data") == by_name["ppo-reward"].named("data") == learnt
    assert by_name["check"].named("data") == learnt and by_name["check"].named("prompts") == ["held.jsonl"]
    assert by_name["judge-5"].command.startswith(
        "preferably label import out/sample-5/samples.jsonl --labeler rules.py:score --labeler-kind rule"
    )
    assert by_name["ppo"].named("data") == ["ask.jsonl", "more.jsonl"]
    assert by_name["ppo"].named("reward") == ["out/ppo-reward"] and by_name["ppo"].named("model") == ["out/sft"]
    assert by_name["evaluate-ppo"].needs == ["ppo", "sft"]


def test_a_guard_learns_from_the_other_half_or_from_labels_of_its_own():
    def scorers(guard, reward):
        road = {"reward": reward, "guard": guard, "ppo": {"kl_coef": 0.1}}
        stages = {one.name: one for one in stages_of(align_settings(FULL | {"train": road}))}
        ppo = stages["ppo"]
        assert ppo.named("reward") == ["out/ppo-reward"] and ppo.named("guard") == ["out/ppo-guard"]
        assert {"ppo-reward", "ppo-guard"} <= set(ppo.needs) and "--guard out/ppo-guard" in ppo.command
        return stages["ppo-reward"], stages["ppo-guard"]

    reward, guard = scorers({}, {"epochs": 2})
    assert (reward.settings["half"], guard.settings["half"]) == ("a", "b") and "half=b" in guard.command
    assert reward.settings["epochs"] == guard.settings["epochs"] == 2
    assert reward.named("data") == guard.named("data") != []
    reward, guard = scorers({"data": "other.jsonl", "epochs": 1}, {"epochs": 2})
    assert "half" not in reward.settings and "half" not in guard.settings
    assert guard.named("data") == ["other.jsonl"] != reward.named("data")
    audited = FULL | {"audit": [{"honesty": {"data": "q.jsonl"}}], "train": {"reward": {}, "guard": {}, "ppo": {}}}
    [audit] = [one for one in stages_of(align_settings(audited)) if one.kind == "audit"]
    assert audit.named("judge") == ["out/ppo-reward"]  # who taught it, of whom the guard is none


def test_a_round_begins_where_the_one_before_ended_and_each_road_goes_its_own_way():
    stages = {stage.name: stage for stage in stages_of(align_settings(FULL | {"iterate": 2, "ready": None}))}
    assert stages["round-1/dpo"].model == stages["round-1/ppo"].model == "out/sft"
    assert stages["round-2/dpo"].model == "out/round-1/dpo" and stages["round-2/ppo"].model == "out/round-1/ppo"
    assert stages["round-2/sample-3-ppo"].model == "out/round-1/ppo"
    # What is there before is learnt once: the second round is about the newest model.
    assert stages["round-2/dpo"].named("data") == [
        "out/round-2/judge-3-dpo/judgments.db", "out/round-2/judge-4-dpo/judgments.db",
        "out/round-2/judge-5-dpo/judgments.db",
    ]  # fmt: skip
    # A reward model learns from all rounds, and begins where the first one did.
    assert len(stages["round-2/ppo-reward"].named("data")) == 6 + 3
    assert stages["round-2/ppo-reward"].model == "out/sft"
    assert stages["round-2/evaluate-dpo"].named("against") == ["out/sft"]
    assert stages["round-2/evaluate-dpo-over-previous"].named("against") == ["out/round-1/dpo"]
    assert "round-1/evaluate-dpo-over-previous" not in stages
    one = {stage.name for stage in stages_of(align_settings(FULL | {"iterate": 2, "train": {"method": "dpo"}}))}
    assert "round-2/sample-3" in one


def test_a_job_whose_run_is_audited_keeps_checkpoints_along_which_it_can_be():
    """Policies keep 8, unless the file says otherwise; that decides nothing of what a model becomes."""
    plain = {stage.name: stage for stage in stages_of(align_settings(FULL))}
    audited = FULL | {"audit": [{"run": {"judge": "r.py:f"}}]}
    stages = {stage.name: stage for stage in stages_of(align_settings(audited))}
    kept = {name: one.free.get("keep") for name, one in stages.items() if one.kind in ("sft", "train")}
    assert kept == {"sft": None, "dpo": 8, "ppo-reward": None, "ppo": 8}
    assert all(plain[name].settings == stages[name].settings for name in kept) and "keep" not in plain["dpo"].free
    own = [{"method": "dpo", "keep": 3}]
    assert {one.name: one for one in stages_of(align_settings(audited | {"train": own}))}["dpo"].free["keep"] == 3


def test_who_may_pay_for_bluffs_in_a_job_is_asked():
    """The comparisons that it learnt from, and reward models of its road; the user's own words stand."""
    audited = FULL | {"audit": [{"honesty": {"data": "q.jsonl", "judge": "judge.yaml"}}]}
    stages = {stage.name: stage for stage in stages_of(align_settings(audited))}
    dpo, ppo = stages["audit-honesty-dpo"], stages["audit-honesty-ppo"]
    assert dpo.named("learnt") == ppo.named("learnt") == ["a.jsonl", "b.jsonl", "preferably.db"]
    assert dpo.named("feedback") == []
    assert dpo.named("judge") == ["judge.yaml"] and ppo.named("judge") == ["judge.yaml", "out/ppo-reward"]
    assert "ppo-reward" in ppo.needs and "--judge out/ppo-reward" in ppo.command
    own = {"data": "q.jsonl", "judge": "out/ppo-reward", "feedback": "mine.jsonl"}  # made by an earlier stage
    found = {one.name: one for one in stages_of(align_settings(FULL | {"audit": [{"honesty": own}]}))}
    ppo = found["audit-honesty-ppo"]
    assert ppo.named("feedback") == ["mine.jsonl"] and ppo.named("judge") == ["out/ppo-reward"]
    assert ppo.named("learnt") == []
    assert "ppo-reward" in ppo.needs
    labels = FULL | {"train": {"method": "kto"}, "audit": [{"honesty": {"data": "q.jsonl"}}]}
    [kto] = [one for one in stages_of(align_settings(labels)) if one.kind == "audit"]
    assert kto.named("learnt") == kto.named("feedback") == []
    there = {"method": "ppo", "reward": ["0.5*runs/rm", "length", "judge:judge.yaml"], "data": "ask.jsonl"}
    [ppo] = [one for one in stages_of(align_settings(labels | {"train": there})) if one.kind == "audit"]
    assert ppo.named("judge") == ["runs/rm"] and ppo.named("learnt") == []


def test_an_audit_of_a_run_is_told_who_judged_what_the_run_learnt_from():
    audited = FULL | {"audit": [{"run": {"judge": "r.py:f"}}]}
    stages = {stage.name: stage for stage in stages_of(align_settings(audited))}
    assert stages["audit-run-dpo"].named("taught_by") == ["judge.yaml", "rules.py:score"]
    assert stages["audit-run-ppo"].named("taught_by") == ["judge.yaml", "rules.py:score"]
    there = {"method": "ppo", "reward": "runs/rm", "data": "ask.jsonl"}
    [ppo] = [one for one in stages_of(align_settings(audited | {"train": there})) if one.kind == "audit"]
    assert ppo.named("taught_by") == []


@pytest.mark.parametrize("name", ["sft", "dpo", "ppo-reward", "ppo"])
def test_the_command_that_is_printed_says_what_the_stage_does(name):
    [stage] = [stage for stage in stages_of(align_settings(FULL)) if stage.name == name]
    program, verb, method, *rest = shlex.split(stage.command)
    assert (program, verb) == ("preferably", "train")
    given = []
    while rest:
        flag, value = rest.pop(0), rest.pop(0)
        given.append(pair(value) if flag == "--set" else flags([flag, value])[0])
    by_hand = settings({"method": method} | once(given))
    inputs = {one: stage.named(one) for one in ("data", "reward")}
    inputs["model"] = stage.model
    ours = settings({"method": stage.method, "output": f"out/{name}"} | stage.settings | stage.free
                    | {key: value for key, value in inputs.items() if value})  # fmt: skip
    assert by_hand == ours


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"itrate": 2}, "no key 'itrate'; did you mean 'iterate'"),
        ({"evaluate": {"jugde": "x"}}, "evaluate: there is no key 'jugde'; did you mean 'judge'"),
        ({"sft": {"data": "d", "lerning_rate": 1}}, "sft: There is no setting 'lerning_rate'"),
        ({"train": {"method": "dpo", "bta": 1}}, "train dpo: There is no setting 'bta'"),
        ({"train": {"method": "dpo", "output": "x"}}, "output is decided by the job"),
        ({"train": {"method": "dpo", "processes": 2}}, "align trains in one process"),
        ({"train": {"method": "reward"}}, "reward is no road by itself"),
        ({"train": {"reward": {}, "dpo": {}}}, "dpo learns from preferences and has no reward"),
        ({"train": {"reward": {}, "guard": {"half": "b"}, "ppo": {}}}, "half is decided by guard"),
        ({"train": {"reward": {}, "guard": {}, "ppo": {"guard": "runs/g"}}}, "two guards"),
        ({"train": {"reward": {}, "guard": {"epoch": 1}, "ppo": {}}}, "the guard of ppo"),
        ({"train": {"reward": {}, "guard": {}}}, "one method beside them"),
        ({"train": [{"method": "dpo"}, {"method": "dpo"}]}, "two roads of train are called 'dpo'"),
        ({"train": {"method": "dqo"}}, "dqo"),
        ({"train": [], "sft": None, "preferences": []}, "nothing is to be trained"),
        ({"train": []}, "nothing is trained on them"),
        ({"prompts": None}, "prompts is missing"),
        ({"preferences": []}, "there are none: give preferences"),
        ({"preferences": [{"files": "a", "store": "b"}]}, "preferences.0: is either files, or a store, or a judge"),
        ({"preferences": [{"judge": "j.yaml"}]}, "needs both judge and prompts"),
        ({"preferences": [{"judge": "r.py:f", "prompts": "p", "samples": 1}]}, "nothing to compare"),
        ({"preferences": [{"judge": "r.py:f", "prompts": "p", "models": "x"}]}, "judge is a .yaml file"),
        ({"preferences": [{"files": "a"}], "iterate": 2}, "no source has a judge to repeat"),
        ({"preferences": [{"files": "a"}], "train": {"reward": {}, "ppo": {}}}, "give it data, a file of prompts"),
        ({"audit": "soul"}, "there is no audit 'soul'"),
        ({"preferences": [SCORED], "train": {"method": "kto"}}, "kto learns from labels, and no source .*or files"),
        ({"preferences": [SCORED, {"files": "a"}], "train": {"method": "kto"}, "iterate": 2},
         r"kto learns from labels, and from round 2 on no source gives any: .*judge's .yaml as judge, or iterate: 1"),
        ({"iterate": 0}, "iterate: Input should be greater than or equal to 1"),
        ({"ready": {"samples": "many"}}, "ready.samples: .*got 'many'"),
        ({"ready": {"format": "["}}, "ready.format: is no regular expression"),
        ({"preferences": [{"files": "a", "limit": 9}]}, "preferences.0: has limit, which only a judge needs"),
        ({"preferences": [{"store": "a.db", "max_failed": 0.5}]}, "has max_failed, which only a judge needs"),
        ({"train": {"method": "dpo", "name": "dpo/b1"}}, "train.0.name"),
        ({"train": [], "preferences": []}, "evaluate judges what was trained on preferences"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told_with_its_place(changes, why):
    with pytest.raises(ConfigError, match=why):
        align_settings({name: value for name, value in (FULL | changes).items() if value is not None})


def test_rows_at_fault_are_as_many_as_the_gate_or_without_one_the_trainings_let_pass():
    def allowed(lenient=False, **changes):
        stages = stages_of(align_settings(FULL | changes), lenient=lenient)
        judges = [one for one in stages if one.kind == "judge"]
        assert all(f"--max-rejected {one.free['max_rejected']} --store" in one.command for one in judges)
        return {one.free["max_rejected"] for one in judges}

    assert allowed() == {0.01} and allowed(check={"max_rejected": 0.2}) == {0.2}
    assert allowed(check={"gate": "warn"}) == allowed(lenient=True) == {1.0}
    assert allowed(check=None) == {0.01}
    loose, looser = {"method": "dpo", "max_rejected": "3e-1"}, {"reward": {"max_rejected": 0.4}, "ppo": {}}
    assert allowed(check=None, train=loose) == allowed(check=None, train=[loose, looser]) == {0.3}
    own = loose | {"name": "own", "data": "mine.jsonl", "max_rejected": 0.0}  # it does not read them
    assert allowed(check=None, train=[own, looser]) == {0.4}


def test_a_road_that_would_take_the_place_of_another_stage_is_refused():
    for name in ("sft", "check", "earlier"):
        with pytest.raises(ConfigError, match=f"Two things of the job would be in out/{name}"):
            stages_of(align_settings(FULL | {"train": {"method": "dpo", "name": name}}))


def test_what_a_road_does_not_read_is_neither_checked_nor_asked_for_it():
    """Thumbs of its own are no reason to look for thumbs in the preferences, and a function needs no verdicts."""
    own = {"method": "kto", "data": "thumbs.jsonl"}
    changes = {"preferences": [SCORED], "train": [{"method": "dpo"}, own]}
    [check] = [stage for stage in stages_of(align_settings(FULL | changes)) if stage.kind == "check"]
    assert check.settings["kinds"] == ["pairs"]
    ppo = {"method": "ppo", "reward": "rules.py:score"}
    rounds = stages_of(
        align_settings(FULL | {"preferences": [SCORED], "train": [{"method": "dpo"}, ppo], "iterate": 2})
    )
    later = {stage.name for stage in rounds if stage.round == 2 and stage.kind in ("sample", "judge", "check")}
    assert later == {"round-2/sample-1-dpo", "round-2/judge-1-dpo", "round-2/check-dpo"}


def test_labels_come_from_files_and_from_verdicts():
    kto = FULL | {"train": {"method": "kto"}}
    judged = {"judge": "judge.yaml", "prompts": "ask.jsonl"}
    for changes in (
        {"preferences": [SCORED, {"files": "a"}]}, {"preferences": [judged], "iterate": 2},
        {"preferences": [SCORED], "iterate": 2,
         "train": [{"method": "kto", "data": "own.jsonl"}, {"method": "dpo"}]},
    ):  # fmt: skip
        assert align_settings(kto | changes).train[0].method == "kto"


def test_a_file_is_read_with_changes_on_top(tmp_path):
    file = tmp_path / "align.yaml"
    file.write_text(yaml.safe_dump(FULL))
    made = read_align(file, {"train.0.beta": 0.3, "evaluate.limit": 9})
    assert made.train[0].settings["beta"] == 0.3 and made.evaluate.limit == 9
    with pytest.raises(ConfigError, match="--set train.7.beta: there is no such place"):
        read_align(file, {"train.7.beta": 1})
    file.write_text("")
    with pytest.raises(ConfigError, match="holds nothing; expected"):
        read_align(file)


def test_the_docs_name_every_key():
    """In the table or the lines that say what a block takes, not just anywhere."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "align.md").read_text(encoding="utf-8")
    keys, rest = text.split("| key | what |", 1)[1].split("A source is one of", 1)
    sources, audits = rest.split("`audit` is a list", 1)
    rows = {line.split("`")[1]: line for line in audits.split("##")[0].splitlines() if line.startswith("| `")}
    told = [line for line in keys.splitlines() if line.startswith("| `")]
    table = {name: line for line in told for name in re.findall("`([a-z_]+)`", line.split("|")[1])}
    assert set(AlignSettings.model_fields) <= set(table)
    blocks = [(Ready, table["ready"]), (Check, table["check"]), (Source, sources), (Evaluate, table["evaluate"])]
    for part, said in [*blocks, *((AUDITS[one], rows[one]) for one in AUDITS)]:
        for name in part.model_fields:
            assert re.search(rf"`{name}\b[^`\n]*`", said), (part.__name__, name)
