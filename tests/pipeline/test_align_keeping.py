"""What is done again and what is not: stages that take no time stand in for those that train."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from page_text import text_of

from preferably.errors import CheckpointError, ConfigError, DataError
from preferably.evaluation.best_of import Sampled
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.pipeline import doing
from preferably.pipeline.align import align
from preferably.pipeline.contents import of_judge, of_store
from preferably.pipeline.gates import GateError
from preferably.pipeline.outlook import outlook
from preferably.pipeline.plan import align_settings
from preferably.pipeline.stages import stages_of

STAGES = ["sft", "sample-2", "judge-2", "check", "dpo", "evaluate-dpo", "kto", "evaluate-kto"]
DRAWS = doing.DOES["sample"]


def told(stage):
    """All that a stage is given, so that what it makes differs where anything does."""
    read = [Path(one.name) for one in stage.inputs]
    files = [path / "model" / "model.safetensors" if path.is_dir() else path for path in read]
    contents = [file.read_text() for file in files if file.exists() and file.suffix in (".jsonl", ".safetensors")]
    contents += [of_store(file) for file in files if file.suffix == ".db"]
    return sha256(json.dumps([stage.settings, contents]).encode()).hexdigest()


def train(stage, watcher):
    (stage.folder / "model").mkdir(parents=True, exist_ok=True)
    (stage.folder / "status.json").write_text('{"state": "finished", "step": 1, "total_steps": 1}')
    (stage.folder / "model" / "config.json").write_text("{}")
    (stage.folder / "model" / "model.safetensors").write_text(told(stage))
    return {"steps": 1}


def evaluate(stage, watcher):
    (stage.folder / "evaluation").mkdir(exist_ok=True)
    (stage.folder / "evaluation" / "win_rate.json").write_text(json.dumps({"win_rate": 0.5, "judge": told(stage)}))
    (stage.folder / "samples.jsonl").write_text("")
    return {"win_rate": 0.5, "interval": [0.4, 0.6], "verdict": "not separable", "n": 12}


def sample(stage, watcher):
    row = {"prompt": told(stage), "completions": ["a", "b"], "ratings": [0.0, 1.0]}
    (stage.folder / "samples.jsonl").write_text(json.dumps(row) + "\n")
    return {}


def check(stage, watcher):
    rows = {"read": 1, "used": 1, "deduplicated": 0, "rejected": {}, "warned": {}}
    found = {"rows": rows, "groups": 1, "remarks": [], "lengths": None, "labelers": None, "prompts": {"distinct": 1}}
    (stage.folder / "findings.json").write_text(json.dumps({"findings": {"pairs": found}, "of": told(stage)}))
    (stage.folder / "labelers.json").write_text("{}")
    return {}


def audit(stage, watcher):
    name = stage.settings["audit"]
    found = {"audit": name, "outcome": "bad", "verdict": f"{name} says {told(stage)}", "findings": [], "tables": []}
    (stage.folder / "evaluation").mkdir(exist_ok=True)
    (stage.folder / "evaluation" / f"audit_{name}.json").write_text(json.dumps(found))
    return {"audit": name, "outcome": "bad", "verdict": found["verdict"], "findings": []}


@pytest.fixture
def quick(job, monkeypatch):
    monkeypatch.setattr(doing, "DOES", doing.DOES | {
        "sft": train, "train": train, "evaluate": evaluate, "sample": sample, "check": check, "audit": audit,
    })  # fmt: skip
    place = job.place

    def run(**changes):
        values = job(
            preferences=[{"files": str(place / "pairs.jsonl")},
                         {"judge": f"{place}/rules.py:score", "prompts": str(place / "ask.jsonl")}],
            train=[{"method": "dpo", "beta": 0.1}, {"method": "kto"}],
        ) | changes  # fmt: skip
        watch = job.watch()
        run.settings = align_settings(values)
        run.made = align(run.settings, watcher=watch)
        run.watch = watch
        return watch.did

    run.place = place
    return run


def test_the_digest_of_a_stage_is_that_of_its_settings_and_of_what_it_reads(quick, job):
    quick()
    kept = {name: json.loads((quick.place / "out" / name / "stage.json").read_text()) for name in ("sft", "sample-2")}

    def sha(data):
        return sha256(data).hexdigest()

    def joined(kind, *parts):
        return sha(b"\0".join([kind.encode(), *(part.encode() for part in parts)]))

    def data(name):
        return joined("data", sha((quick.place / name).read_bytes()))

    start = Path(job()["model"])
    ending = (".safetensors", ".json", ".jinja")
    files = [file for file in sorted(start.iterdir()) if file.suffix in ending]
    model = joined("model", *(f"{file.name} {sha(file.read_bytes())}" for file in files))
    settings = {"seed": 0, "device": "cpu", "dtype": "float32"} | job.quick
    want = ["sft", "sft", settings, [["model", model], ["data", data("demonstrations.jsonl")]]]
    assert kept["sft"]["digest"] == sha(json.dumps(want, sort_keys=True).encode())
    # The rules are a file of Python and a name in it; the model is what the stage before made.
    rules = sha((quick.place / "rules.py").read_bytes()) + "score"
    own = {"samples": 2, "temperature": 1.0, "max_tokens": 256, "limit": None, "seed": 0, "device": "cpu",
           "dtype": "float32"}  # fmt: skip
    read = [["model", kept["sft"]["output"]], ["prompts", data("ask.jsonl")], ["reward", rules]]
    assert kept["sample-2"]["digest"] == sha(json.dumps(["sample", "", own, read], sort_keys=True).encode())
    out = quick.place / "out" / "sft" / "model"
    parts = [f"{name} {sha((out / name).read_bytes())}" for name in ("config.json", "model.safetensors")]
    assert kept["sft"]["output"] == joined("model", *parts)


def test_nothing_is_done_twice_and_a_change_redoes_what_depends_on_it(quick):
    place = quick.place
    assert quick() == STAGES and quick() == [] and quick.watch.done == STAGES
    for name, again in {
        "demonstrations.jsonl": STAGES,
        "pairs.jsonl": STAGES[3:],
        "ask.jsonl": STAGES[1:],
        "prompts.jsonl": ["check", "evaluate-dpo", "evaluate-kto"],  # held out: what is trained on must not be in it
    }.items():
        before = (place / name).read_text()
        (place / name).write_text(before + before.splitlines()[0].replace("? ", "! ").replace("held", "kept") + "\n")
        assert quick() == again, name
        assert quick() == []
        (place / name).write_text(before)
        assert quick() == [], f"what was made of the earlier {name} is still there"
    two = {"train": [{"method": "dpo", "beta": 0.2}, {"method": "kto"}]}
    assert quick(**two) == ["dpo", "evaluate-dpo"] and quick() == [] and quick(**two) == []


def test_settings_by_which_nothing_changes_redo_nothing(quick):
    quick()
    kept = [{"method": "dpo", "beta": "1e-1", "keep": 3, "track": "none"}, {"method": "kto", "name": "kto"}]
    assert quick(train=kept, check={"max_conflicts": 0.5}) == []
    (quick.place / "pairs.jsonl").rename(quick.place / "renamed.jsonl")
    again = quick.settings.model_dump(mode="json")["preferences"]
    again[0]["files"] = str(quick.place / "renamed.jsonl")
    assert quick(preferences=again) == []


def test_what_comes_out_as_before_redoes_nothing_further(quick, monkeypatch):
    def the_same(stage, watcher):
        train(stage, watcher)
        (stage.folder / "model" / "model.safetensors").write_text(stage.name)
        return {}

    monkeypatch.setitem(doing.DOES, "sft", the_same)
    quick()
    file = quick.place / "demonstrations.jsonl"
    file.write_text(file.read_text() * 2)
    assert quick() == ["sft"]


def test_nothing_is_lost_and_each_thing_is_named_by_what_it_came_from(quick):
    quick()
    first = (quick.place / "out" / "dpo" / "model" / "model.safetensors").read_text()
    digest = json.loads((quick.place / "out" / "dpo" / "stage.json").read_text())["digest"]
    quick(train=[{"method": "dpo", "beta": 0.2}, {"method": "kto"}])
    moved = quick.place / "out" / "earlier" / f"dpo-{digest[:12]}"
    assert moved in quick.watch.moved and (moved / "model" / "model.safetensors").read_text() == first
    second = json.loads((quick.place / "out" / "dpo" / "evaluation" / "win_rate.json").read_text())
    quick()
    assert not moved.exists() and (quick.place / "out" / "dpo" / "model" / "model.safetensors").read_text() == first
    assert json.loads((quick.place / "out" / "dpo" / "evaluation" / "win_rate.json").read_text()) != second


def test_an_audit_that_is_not_asked_for_or_not_done_stands_nowhere_and_one_made_by_hand_stays(quick, monkeypatch):
    road, out = {"train": [{"method": "dpo"}]}, quick.place / "out"
    evaluation = out / "dpo" / "evaluation"

    def fails(stage, watcher):
        raise DataError("no row can be used")

    def standing():
        """The audits of the run that are told there, on its card and on the page of the job."""
        names = sorted(file.stem[6:] for file in evaluation.glob("audit_*.json"))
        for file in (out / "dpo" / "report.html", out / "dpo" / "MODEL_CARD.md"):
            assert [name for name in ("honesty", "safety") if f"{name} says" in file.read_text()] == names[1:], file
        page = (out / "report.html").read_text()
        assert "looked at alone" not in page
        return names, [name for name in ("honesty", "safety") if f"{name} says" in page]

    quick.place.joinpath("questions.jsonl").write_text('{"prompt": "a", "answerable": false}\n')
    honesty = {"honesty": {"data": str(quick.place / "questions.jsonl")}}
    quick(**road, audit=["safety", honesty])
    (evaluation / "audit_by_hand.json").write_text('{"outcome": "bad", "verdict": "looked at alone"}')
    quick(**road, audit=["safety", honesty])
    assert standing() == (["by_hand", "honesty", "safety"], ["honesty", "safety"])
    quick(**road, audit=[honesty])
    assert standing() == (["by_hand", "honesty"], ["honesty"])
    with monkeypatch.context() as patch:
        patch.setitem(doing.DOES, "audit", fails)
        with pytest.raises(DataError, match="audit-safety-dpo: no row can be used"):
            quick(**road, audit=[honesty, {"safety": {"samples": 2}}])
        assert standing() == (["by_hand", "honesty"], ["honesty"])
    assert quick(**road, audit=["safety", honesty]) == []
    assert standing() == (["by_hand", "honesty", "safety"], ["honesty", "safety"])
    with monkeypatch.context() as patch:
        patch.setitem(doing.DOES, "audit", fails)
        with pytest.raises(DataError):
            quick(**road, audit=[honesty, {"safety": {"samples": 2}}])
        assert standing() == (["by_hand", "honesty"], ["honesty"])


def test_an_output_that_was_changed_since_is_made_again_and_kept(quick):
    quick()
    model = quick.place / "out" / "dpo" / "model" / "model.safetensors"
    made = model.read_text()
    model.write_text("by hand")
    assert quick() == ["dpo"] and model.read_text() == made  # and so its evaluation still holds
    assert [(path / "model" / "model.safetensors").read_text() for path in quick.watch.moved] == ["by hand"]
    model.unlink()
    assert quick() == ["dpo"]
    (quick.place / "out" / "sft" / "stage.json").write_text("{")
    with pytest.raises(CheckpointError, match="sft/stage.json cannot be read"):
        quick()


def test_an_evaluation_of_other_settings_takes_its_place_in_the_run_and_gives_it_back(quick):
    rate = quick.place / "out" / "dpo" / "evaluation" / "win_rate.json"
    quick()
    first = rate.read_text()
    judge = {"judge": f"{quick.place}/rules.py:score", "max_tokens": 8}
    assert quick(evaluate=judge) == ["evaluate-dpo", "evaluate-kto"] and rate.read_text() != first
    assert quick() == [] and rate.read_text() == first


def test_a_stage_that_failed_is_told_by_name_and_the_job_goes_on_from_it(quick, monkeypatch):
    def fail(stage, watcher):
        raise DataError("no rows")

    monkeypatch.setitem(doing.DOES, "check", fail)
    with pytest.raises(DataError, match="check: no rows"):
        quick()
    account = json.loads((quick.place / "out" / "align.json").read_text())
    assert account["state"] == "failed" and account["reason"] == "check: no rows"
    assert [one["state"] for one in account["stages"]] == ["done"] * 3 + ["begun"] + ["new"] * 4
    assert "This job has not finished" in (quick.place / "out" / "report.html").read_text()
    monkeypatch.setitem(doing.DOES, "check", check)
    assert quick() == STAGES[3:]


def test_rows_at_fault_that_are_drawn_close_the_gate_before_they_are_judged_whatever_was_skipped_before(
    quick, job, monkeypatch
):
    def drawn(model, *, output, **how):
        answers = [["a", "b"], ["a", "b"], ["a", "b"], ["a", " "]]
        ratings = [[0.0, None], *[[0.0, 1.0]] * 3]
        rows = enumerate(zip(answers, ratings, strict=True))
        job.rows(output, [{"prompt": f"ask {at}", "completions": two, "ratings": scores} for at, (two, scores) in rows])
        return Sampled(4, 0, 0, 1, 0, 0.5, None)

    monkeypatch.setattr(doing.api, "sample", drawn)
    monkeypatch.setitem(doing.DOES, "sample", DRAWS)
    told = (
        r"The check gate is closed. sample-2: 1 of 4 rows \(25.0%\) are at fault \(empty 1\), more than max_rejected "
        r"0.01 allows; first: samples.jsonl:4 .* --skip-gate check"
    )
    with pytest.raises(GateError, match=told):
        quick()
    assert not (quick.place / "out" / "judge-2").exists()
    watch = job.watch()
    made = align(quick.settings, watcher=watch, skip=["check"])
    assert watch.gates == [("check", True)] and watch.did[0] == "judge-2"
    figures = {entry.stage.name: entry.kept.figures for entry in made.account.entries}
    judged = {"labeler": f"{quick.place}/rules.py:score", "asked": 8, "ok": 7, "failed": 1, "judged_by": None}
    assert figures["judge-2"]["judges"] == [judged]
    assert watch.notes == [f"judge-2: {quick.place}/rules.py:score gave no score to 1 of 8 answers."]
    counted = {"read": 4, "used": 3, "deduplicated": 0, "rejected": {"empty": 1}}
    assert figures["sample-2"]["accounting"].items() >= counted.items()
    seen = text_of(made.report.read_text())
    assert "sample-2 rows read 4 used 3 duplicates 0 rejected 1 At fault, the first: samples.jsonl:4" in seen
    assert "The check gate at sample-2 was closed and was skipped." in seen
    with pytest.raises(GateError, match="at fault"):  # that it was skipped once is no reason to pass
        quick()
    assert quick(check={"gate": "warn"}) == []
    assert [(one["stage"], one["went_on"]) for one in quick.made.account.gates] == [("sample-2", "warns")]
    assert quick(check={"max_rejected": 0.25}) == ["check"] and not quick.made.account.gates


def test_verdicts_that_say_something_else_are_other_data_and_another_name_is_another_labeler(quick, tmp_path):
    pair = Group((Message("user", "q"),), tuple(Completion((Message("assistant", text),)) for text in "ab"))
    for name, choice in (("one.db", 0), ("other.db", 1), ("same.db", 0)):
        with Store(tmp_path / name) as store:
            store.say([Entry(pair, Preference(choice, labeler="ada"), "the id")])
    one, other, same = (of_store(tmp_path / name) for name in ("one.db", "other.db", "same.db"))
    assert one == same != other
    quick()
    again = quick.settings.model_dump(mode="json")["preferences"]
    again[1]["judge"] = f"{quick.place}/./rules.py:score"
    assert quick(preferences=again) == STAGES[2:]


def test_what_is_missing_is_told_before_anything_begins(quick):
    with pytest.raises(DataError, match="nowhere.jsonl does not exist"):
        quick(prompts=str(quick.place / "nowhere.jsonl"))
    with pytest.raises(ConfigError, match="nothing.py does not exist"):
        quick(evaluate={"judge": f"{quick.place}/nothing.py:score"})
    assert not (quick.place / "out").exists()
    quick()
    with pytest.raises(ConfigError, match="no gate 'chek' to skip"):
        align(quick.settings, watcher=None, skip=["chek"])
    with pytest.raises(ConfigError, match="no gate 'chek' to skip"):
        list(outlook(quick.settings, skip=["chek"]))


def test_what_decides_or_scores_nothing_in_its_place_is_told_before_anything_begins(quick):
    place, rules = quick.place, f"{quick.place}/rules.py:score"
    (place / "other.py").write_text("def three(a, b, c):\n    return []\n")
    (place / "judge.yaml").write_text("server: http://127.0.0.1:9/v1\nmodel: m\n")
    (place / "principles.yaml").write_text("name: a\nversion: 1\nprinciples:\n- {id: a, text: do it, all of it}\n")
    ask = str(place / "ask.jsonl")
    for why, changes in {
        "evaluate-dpo: judge length is a part of a reward": {"evaluate": {"judge": "length"}},
        "rules.py:score is a part of a reward": {"evaluate": {"judge": f"0.5*{rules}"}},
        "axis short format:.* is a part": {"evaluate": {"judge": rules, "axes": {"short": "format:.{0,9}"}}},
        "takes 3 arguments": {"evaluate": {"judge": f"{place}/other.py:three"}},
        "audit-run-dpo: judge length is a part": {"audit": [{"run": {"judge": "length"}}]},
        "sample-1: reward people gives no scores": {
            "preferences": [{"judge": "people", "prompts": ask}],
            "train": [{"method": "dpo"}],
        },
        "judge.yaml gives no scores, .* is judge:": {
            "train": [{"method": "rloo", "data": ask, "reward": f"{place}/judge.yaml"}]
        },
        "is no constitution: principles.0.all of it": {
            "train": [{"method": "dpo"}],
            "preferences": [
                {"judge": f"{place}/judge.yaml", "prompts": ask, "constitution": f"{place}/principles.yaml"}
            ],
        },
        "Cannot load 'length'": {"ready": {"checker": "length"}},
    }.items():
        with pytest.raises(ConfigError, match=why):
            quick(**changes)
    assert not (place / "out").exists()


def test_the_weight_of_a_part_of_a_reward_is_part_of_what_a_policy_came_from(quick):
    def by(*reward):
        return quick(train=[{"method": "rloo", "data": str(quick.place / "ask.jsonl"), "reward": list(reward)}])

    by("0.01*length", "format:a.*b")
    assert by("1e-2*length", "1*format:a.*b") == []
    assert by("-0.01*length", "format:a.*b") == ["rloo"]  # which here comes out as before


def test_a_dry_run_tells_what_is_done_and_makes_nothing(quick):
    quick()
    changed = quick.settings
    assert [one.state for one in outlook(changed)] == ["done"] * 8
    file = quick.place / "pairs.jsonl"
    file.write_text(file.read_text() + "\n" + file.read_text().splitlines()[0].replace("? ", "! ") + "\n")
    before = sorted(quick.place.rglob("*"))
    found = {one.stage.name: one.state for one in outlook(changed)}
    assert found == dict.fromkeys(STAGES[:3], "done") | dict.fromkeys(STAGES[3:], "new")
    assert sorted(quick.place.rglob("*")) == before


def test_each_stage_stands_in_the_account_with_what_it_needs(quick):
    quick()
    account = json.loads((quick.place / "out" / "align.json").read_text())
    assert (account["schema"], account["state"], account["reason"]) == (1, "finished", "")
    assert [one["name"] for one in account["stages"]] == STAGES
    by_name = {one["name"]: one for one in account["stages"]}
    assert by_name["evaluate-dpo"]["needs"] == ["dpo", "sft"] and by_name["dpo"]["folder"] == "dpo"
    assert account["seconds"] == pytest.approx(sum(one["seconds"] for one in account["stages"]), abs=0.02)
    assert [one["road"] for one in account["rounds"]] == ["dpo", "kto"]
    assert account["rounds"][0]["training"] == {"steps": 1} and account["rounds"][0]["quality"]["win_rate"] == 0.5
    assert [stage.command for stage in stages_of(quick.settings)] == [one["command"] for one in account["stages"]]


def test_a_function_made_of_another_is_known_by_its_file(tmp_path):
    """`functools.partial` has no source of its own, and is in no file by itself."""
    rules = tmp_path / "rules.py"
    text = "import functools\n\n\ndef plain(prompts, completions, weight):\n    return [weight] * len(completions)\n"
    rules.write_text(f"{text}\n\nscore = functools.partial(plain, weight=2.0)\n")
    before = of_judge(f"{rules}:score")
    assert before and before == of_judge(f"{rules}:score") != of_judge(f"{rules}:plain")
    rules.write_text(f"{text}\n\nscore = functools.partial(plain, weight=3.0)\n")
    assert of_judge(f"{rules}:score") != before
