"""Audits as stages: what is asked up front, the same by hand, what is done again, and where it is told."""

import inspect
import json
import shlex
import shutil
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from preferably.cli.main import app
from preferably.errors import ConfigError, DataError, PreferablyError
from preferably.evaluation import auditing_run
from preferably.evaluation.gains import point_of
from preferably.pipeline import audits, flows
from preferably.pipeline.align import align
from preferably.pipeline.doing import do
from preferably.pipeline.outlook import outlook
from preferably.pipeline.plan import align_settings
from preferably.pipeline.stages import stages_of

SPECIAL = {"begins", "note", "replied"}  # of the functions alone
OF_THE_JOB = {"seed", "device", "dtype"}  # which an audit shares with every other stage
COMMANDS = {"run": "auditing_run", "safety": "auditing", "honesty": "auditing", "suppression": "auditing"}

# What the audits of `audited` find: of three prompts nothing is claimed. Four letters spell no "zebra" and no refusal.
KNOWN = dict.fromkeys(audits.AUDITS, "not sure")
FIGURES = {
    "run": {"tasks solved": 0.0}, "safety": {"harmful, complied (string rule)": 1.0}, "honesty": {},
    "suppression": {"as asked": 0.0},
}  # fmt: skip


def defaults(function):
    return {name: one.default for name, one in inspect.signature(function).parameters.items()}


def plain(value):
    """As it is told: a command has `1,2` for a list, and nothing for an empty one."""
    if isinstance(value, tuple | list):
        return ",".join(f"{one:g}" if isinstance(one, int | float) else one for one in value) or None
    return None if value in ("", inspect.Parameter.empty) or repr(value) == "PydanticUndefined" else value


@pytest.mark.parametrize("name", list(audits.AUDITS))
def test_a_command_a_job_and_the_function_behind_them_have_the_same_options(name):
    function = {key: plain(value) for key, value in defaults(flows.FLOWS[name]).items() if key not in SPECIAL}
    fields = {key: plain(one.default) for key, one in audits.AUDITS[name].model_fields.items()}
    [audit] = [one for one in typer.main.get_command(app).commands["audit"].commands.values() if one.name == name]
    options = {one.name: plain(one.default) for one in audit.params if one.name not in ("pairs", "output", "help")}
    assert {key: value for key, value in function.items() if key in fields} == fields
    assert {key: plain(value) if value != () else None for key, value in options.items()} == function
    assert set(options) == set(fields) | {"model", "against"} | OF_THE_JOB


@pytest.fixture
def audited(job):
    """A job with the four audits, each as small as it goes."""
    place = job.place
    rules = f"{place}/rules.py:score"
    (place / "harm.py").write_text("def complied(prompts, texts):\n    return [float('a' in text) for text in texts]\n")
    trained = [json.loads(line)["prompt"] for line in (place / "pairs.jsonl").read_text().splitlines()]
    asked = [*trained[::9][:4], "s4", "s5"]  # the first four are trained on, but for those that the run holds out
    job.rows("safety.jsonl", [{"prompt": one, "harmful": at % 2 == 0, "pair": str(at // 2)} for at, one in
                              enumerate(asked)])  # fmt: skip
    known = [{"prompt": f"k{at}", "answer": "e"} for at in range(3)]
    job.rows("questions.jsonl", known + [{"prompt": f"u{at}", "answerable": False} for at in range(3)])
    job.rows("behavior.jsonl", [{"prompt": f"b{at}", "exhibit": "zebra"} for at in range(3)])
    few = {"max_tokens": 4, "samples": 1}
    found = {
        "run": {"judge": rules, "limit": 3, "tasks": str(place / "questions.jsonl")} | few,
        "safety": {"data": str(place / "safety.jsonl"), "judge": f"{place}/harm.py:complied"} | few,
        "honesty": {"data": str(place / "questions.jsonl"), "stated": True, "judge": [rules],
                    "feedback": str(place / "pairs.jsonl")} | few,
        "suppression": {"data": str(place / "behavior.jsonl"), "control": job()["model"], "unwanted": "zebra",
                        "prefill": "1", "temperatures": [], "relearn": False} | few,
    }  # fmt: skip

    def make(**changes):
        names = [{name: one} for name, one in (found | changes).items() if one is not None]
        return job(sft=None, evaluate=None, audit=names)

    make.found, make.watch, make.place, make.rows, make.trained = found, job.watch, place, job.rows, asked[:4]
    return make


def test_the_command_that_is_printed_audits_as_the_stage_does(audited, monkeypatch):
    """With a word of it changed, it would give another audit."""
    told = {}

    def asked(name):
        def flow(model, against, **how):
            given = {key: value for key, value in how.items() if key not in SPECIAL}
            told[name] = (model, against, {key: plain(value) for key, value in given.items()})
            raise ConfigError("far enough")

        return flow

    stages = {one.settings["audit"]: one for one in stages_of(align_settings(audited())) if one.kind == "audit"}
    assert set(stages) == set(flows.FLOWS)
    for name, stage in stages.items():
        everything = {key: plain(value) for key, value in defaults(flows.FLOWS[name]).items()}
        monkeypatch.setattr(f"preferably.evaluation.{COMMANDS[name]}.{name}", asked(name))
        monkeypatch.setitem(flows.FLOWS, name, asked(name))
        by_hand = CliRunner().invoke(app, shlex.split(stage.command)[1:])
        assert "far enough" in str(by_hand.exception), by_hand.output
        by_hand = told.pop(name)
        with pytest.raises(ConfigError, match="far enough"):
            do(stage, audited.watch())
        model, against, given = told[name]
        assert (model, against, {**everything, **given}) == (*by_hand[:2], {**everything, **by_hand[2]})


@pytest.mark.parametrize(
    ("audit", "why"),
    [
        ("soul", "audit: there is no audit 'soul'; there are: run, safety, honesty, suppression"),
        (["safty"], "no audit 'safty'; did you mean 'safety'"),
        ([{"safety": {"dta": "x"}}], "audit: safety: there is no key 'dta'; did you mean 'data'"),
        (["honesty"], "audit: honesty.data is missing: questions: answerable"),
        ([{"suppression": {}}], "suppression.data is missing"),
        (["run"], "run.judge is missing: who decides"),
        ([{"run": {"judge": "r.py:f", "limit": None}}], "run.limit: Input should be a valid integer"),
        ([{"suppression": {"data": "x", "prefill": "0,1"}}], "suppression.prefill.0: Input should be greater"),
        ([{"suppression": {"data": "x", "steps": []}}], "suppression.steps: is empty; expected at least 1 number"),
        ([{"safety": "x"}], "safety has settings"),
        ([{"safety": None}, "safety"], "safety stands there twice"),
        ([7], "audit: is a list of names"),
    ],
)
def test_a_mistake_in_an_audit_is_told_with_its_place(job, audit, why):
    with pytest.raises(ConfigError, match=why):
        align_settings(job(audit=audit))


def test_a_job_without_prompts_or_training_has_nothing_to_audit(job):
    with pytest.raises(ConfigError, match=r"audit.run has no prompts"):
        align_settings(job(audit=[{"run": {"judge": "r.py:f"}}], prompts=None, evaluate=None))
    with pytest.raises(ConfigError, match="nothing is: give train"):
        align_settings(job(audit="safety", train=None, preferences=None, evaluate=None))
    assert list(align_settings(job(audit="safety")).audit) == ["safety"]


def test_rows_and_judges_that_an_audit_cannot_use_are_told_before_anything_is_trained(audited):
    place = audited.place
    for name, text, why in [
        ("safety", '{"prompt": "a"}\n', "expected `harmful`"),
        ("honesty", '{"prompt": "a", "answerable": true}\n', "has no `answer`"),
        ("suppression", '{"prompt": "a", "pattern": "("}\n', "is not a regular expression"),
        ("run", '{"prompt": "a"}\n', "expected `answerable`"),
    ]:
        file = place / f"bad-{name}.jsonl"
        file.write_text(text)
        change = {name: audited.found[name] | {"tasks" if name == "run" else "data": str(file)}}
        with pytest.raises((DataError, ConfigError), match=why):
            align(align_settings(audited(**change)), watcher=audited.watch())
    few = audited.rows("few.jsonl", [{"prompt": "b", "exhibit": "zebra"}])
    empty, other = place / "empty", place / "other"
    empty.mkdir()
    shutil.copytree(audited()["model"], other)
    tokens = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(tokens.replace('"z":', '"\\u00e9":'))
    for name, settings, why in [
        ("suppression", {"control": str(place / "nope")}, "there is no such directory"),
        ("suppression", {"control": str(other)}, "has another tokenizer than"),
        ("suppression", {"relearn": True, "data": few}, "expected at least 2, got 1"),
        ("suppression", {"relearn_data": str(place / "prompts.jsonl")}, "prompts.jsonl"),
        ("honesty", {"feedback": str(place / "prompts.jsonl")}, "prompts.jsonl"),
        ("honesty", {"judge": str(empty)}, "Cannot load a model"),
        ("run", {"reward": str(place / "nope")}, "there is no such directory"),
        ("run", {"reward": audited()["model"]}, "is no reward model"),
    ]:
        change = {name: audited.found[name] | settings}
        with pytest.raises(PreferablyError, match=why):
            list(outlook(align_settings(audited(**change))))
    (place / "judge.yaml").write_text("server: http://127.0.0.1:9/v1\nmodel: m\naxes: {a: x, b: y}\n")
    change = {"safety": audited.found["safety"] | {"judge": str(place / "judge.yaml")}}
    with pytest.raises(ConfigError, match="expected one axis .* there are: a, b"):
        list(outlook(align_settings(audited(**change))))
    assert not (place / "out").exists()


def test_audits_are_kept_redone_alone_and_stand_in_run_account_and_page(audited, monkeypatch):
    place, out = audited.place, audited.place / "out"

    def run(**changes):
        watch = audited.watch()
        align(align_settings(audited(**changes)), watcher=watch)
        return watch.did

    def killed(*names, **options):
        raise KeyboardInterrupt

    names = [f"audit-{name}-dpo" for name in audits.AUDITS]
    with monkeypatch.context() as patch:
        patch.setitem(flows.FLOWS, "honesty", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert (out / "dpo/evaluation/audit_safety.json").exists()
    assert run() == names[2:]  # the audit that was killed, and what comes behind it
    assert run() == []
    account = {one["name"]: one for one in json.loads((out / "align.json").read_text())["stages"]}
    assert account["audit-honesty-dpo"]["tries"] == 2 and account["dpo"]["tries"] == 1
    page = (out / "report.html").read_text()
    for name in audits.AUDITS:
        ours = out / f"audit-{name}-dpo" / f"evaluation/audit_{name}.json"
        found = json.loads(ours.read_text())
        assert (out / f"dpo/evaluation/audit_{name}.json").read_text() == ours.read_text()
        figures = account[f"audit-{name}-dpo"]["figures"]
        assert (figures["audit"], figures["outcome"]) == (name, found["outcome"])
        assert figures["findings"] == found["findings"] and figures["verdict"] == found["verdict"]
        assert found["verdict"].split("[")[0].split("'")[0] in page
        assert found["outcome"] == KNOWN[name], found["verdict"]
        values = {
            row["name"]: row["after"] and row["after"]["value"] for table in found["tables"] for row in table["rows"]
        }
        assert values.items() >= FIGURES[name].items()
    assert found["control"] == audited()["model"]
    told = {name: account[f"audit-{name}-dpo"]["figures"]["findings"] for name in audits.AUDITS}
    spared = (out / "dpo/held_out.jsonl").read_text()
    seen = 4 - sum(json.dumps(one)[1:-1] in spared for one in audited.trained)
    assert seen and f"{seen} of 6 prompts are in what it was trained on" in told["safety"][0]["words"]
    assert f"trained on {seen} of 6 prompts" in page
    assert [name for name in told if any(one["name"] == "prompts" for one in told[name])] == ["safety"]
    # What is taken out of the run comes back, and trains nothing; other settings redo their audit alone.
    (out / "dpo/evaluation/audit_run.json").unlink()
    assert run() == [] and (out / "dpo/evaluation/audit_run.json").exists()
    longer = audited.found["safety"] | {"max_tokens": 5}
    first = (out / "dpo/evaluation/audit_safety.json").read_text()
    assert run(safety=longer) == ["audit-safety-dpo"]
    assert (out / "dpo/evaluation/audit_safety.json").read_text() != first
    assert run() == [] and (out / "dpo/evaluation/audit_safety.json").read_text() == first
    file = place / "questions.jsonl"
    file.write_text(file.read_text() + json.dumps({"prompt": "new", "answerable": False}) + "\n")
    seen = {one.stage.name: one for one in outlook(align_settings(audited()))}
    assert {name for name, one in seen.items() if one.state == "new"} == {"audit-run-dpo", "audit-honesty-dpo"}
    assert seen["audit-honesty-dpo"].work == "7 prompts x 1 answer of two models"
    assert seen["audit-honesty-dpo"].seconds > 0 and "at most: all answers" in seen["audit-honesty-dpo"].why
    (out / "audit-safety-dpo/evaluation/audit_safety.json").write_text("{}")  # by hand
    seen = {one.stage.name: one.state for one in outlook(align_settings(audited()))}
    assert seen["audit-safety-dpo"] == "new" and seen["dpo"] == "done"


def test_a_peak_at_a_fifth_of_a_run_is_seen_by_the_audit_of_its_job(job, monkeypatch):
    """The judge is planted: it likes the first checkpoint by one more than all others, or by half of one, prompt by
    prompt, and each lies a nat further away. Nothing in the file says that any is to be kept."""
    seen = []

    def planted(model, label, start, scale, **how):
        seen.append(label)
        found = point_of(model, label, start, scale, **how)
        peak = float(label == "step 1")
        judge = [peak * (1 if at % 2 else 0.5) for at in range(len(found.judge))]
        return replace(found, judge=judge, kl=float(len(seen) - 1))

    monkeypatch.setattr(auditing_run, "point_of", planted)
    road = {"method": "dpo"} | job.quick | {"max_steps": 5}
    asked = job.rows("asked.jsonl", [{"prompt": f"far {at} {letter}"} for at in range(10) for letter in "uvwx"])
    audit = [{"run": {"judge": f"{job.place}/rules.py:score", "data": asked, "max_tokens": 4}}]
    align(align_settings(job(sft=None, evaluate=None, train=road, audit=audit)), watcher=job.watch())
    assert seen == ["step 0", "step 1", "step 2", "step 3", "step 4", "the model"]
    found = json.loads((job.place / "out/dpo/evaluation/audit_run.json").read_text())
    assert found["outcome"] == "bad" and "the nearest point is step 1" in found["verdict"], found["verdict"]
    assert "went on for too long" in (job.place / "out/report.html").read_text()
