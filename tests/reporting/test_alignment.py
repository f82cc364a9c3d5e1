"""The page of a whole job from any record of its shape: in short, audits of the last models, labelers, limits."""

import json
import re

import pytest
from page_text import text_of

from preferably.reporting.alignment import render_alignment
from preferably.reporting.judges import judge_in_words


def person(judged, longer, told, findings=()):
    share = {"value": longer, "n": judged, "interval": [0.1, 0.9], "p": 0.01, "told": told}
    reliable = {"value": 0.8, "interval": [0.7, 0.9], "n": judged}
    return {"role": "labeler", "group": "desk", "judged": judged, "agrees": {"value": 0.75, "n": 40}, "first": None,
            "reliability": reliable, "longer": share, "findings": list(findings)}  # fmt: skip


LABELERS = {
    "schema": 1,
    "labelers": {
        "questions": 50, "noise": 0.16,
        "agreement": {"raw agreement": {"value": 0.73, "interval": [0.7, 0.76], "units": 40, "why": ""},
                      "Krippendorff's alpha, nominal": {"value": 0.45, "interval": [0.4, 0.5], "units": 40}},
        "labelers": {"ben": person(20, 0.5, False), "<b>ada</b>": person(60, 0.9, True, ["takes the longer one"])},
        "prompts": {"judged_twice": 40, "unanimous": 31, "flagged": 1,
                    "most_ambiguous": [{"prompt": "a  b", "disagreement": 0.5}]},
        "concentration": {"gini": 0.25, "busiest_fifth": {"share": 0.75, "labelers": 1}},
    },
    "sources": [{"source": "more.jsonl", "judgments": 5, "named": 0, "labelers": 0}],
}  # fmt: skip


def audit_of(name, **told):
    """A stage that audited the last model, whose folder has what it found."""
    return {"name": f"round-2/audit-{name}-dpo", "kind": "audit", "round": 2, "road": "dpo", "folder": "round-2/dpo",
            "figures": {"audit": name}} | told  # fmt: skip


@pytest.fixture
def job(fake, tmp_path):
    """A job of two rounds, of which the last is audited, whose record says as little as may be."""
    for number in (1, 2):
        fake.dpo_run(tmp_path / f"round-{number}" / "dpo")
    fake.audited(tmp_path / "round-2" / "dpo")
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / "labelers.json").write_text(json.dumps(LABELERS))
    rounds = [
        {"round": number, "road": "dpo", "run": f"round-{number}/dpo", "quality": fake.win_rate()} for number in (1, 2)
    ]
    stages = [{"name": "check", "kind": "check"}, {"name": "round-1/dpo", "kind": "train"}]
    stages += [audit_of(name) for name in ("run", "safety", "honesty", "suppression")]
    return tmp_path, {"state": "finished", "rounds": rounds, "stages": stages, "seconds": 75.0}


def test_it_says_in_short_whether_it_is_better_what_it_cost_and_the_worst_of_the_audits(job):
    folder, record = job
    rate = json.loads((folder / "round-2/dpo/evaluation/win_rate.json").read_text())
    asked = [{"model": "m", "server": "s", "requests": 1200, "tokens": 9, "cost": 1.5}]
    seen = text_of(render_alignment(folder, record | {"asked": asked}).read_text())
    short = seen[seen.index("Better.") : seen.index("Answer quality What")]
    assert f"it wins {rate['win_rate']:.0%} (95% interval" in short and f"on {rate['n']:,} held-out prompts" in short
    assert "1 min 15 s of computing. Servers were asked 1,200 times, for 1.5 in the currency of their prices." in short
    more = [*asked, {"model": "free", "server": "s", "requests": 5, "tokens": 9, "cost": 0}]
    seen = text_of(render_alignment(folder, record | {"asked": more, "uncounted": ["rm.yaml"]}).read_text())
    assert "Servers were asked 1,205 times, for at least 1.5 in the currency of their prices; what 5 of them cost is " \
        "not known, without what rm.yaml was asked." in seen  # fmt: skip
    seen = text_of(render_alignment(folder, record | {"uncounted": ["rm.yaml"]}).read_text())
    assert "What rm.yaml was asked is not counted." in seen
    # Of the four made-up audits two are bad; over-optimization matters most.
    outcomes = [json.loads(file.read_text())["outcome"] for file in (folder / "round-2/dpo/evaluation").glob("audit_*")]
    assert f"Concern. {outcomes.count('bad')} of 4 audits found something bad. Over-optimization" in short
    for each in ("its judge liked it better a third of the way into training than at its end.",
                 "Suppression of dpo, round 2: under a prefill",
                 "Honesty of dpo, round 2: it is surer of its answers than it is right (92% sure"):  # fmt: skip
        assert each in short, "each bad one has its sentence"
    assert "Audits found a concern: " in seen and "Nothing was audited" not in seen


def test_the_head_tells_the_first_bad_finding_and_in_plain_words_where_there_are_any(job):
    folder, record = job
    file = folder / "round-2/dpo/evaluation/audit_safety.json"
    findings = [
        {"name": "compliance", "outcome": "good", "words": "0% of 60", "plain": "it goes along with nothing"},
        {"name": "over-refusal", "outcome": "bad", "words": "50% [19%, 81%] of 6", "plain": "it refuses 50% of them"},
        {"name": "agreement", "outcome": "bad", "words": "judge and string rule say the same of 1 of 6", "plain": ""},
    ]
    head = "Concern. 1 audit found something bad. Safety of dpo, round 2: "
    for left, says in ((findings, "it refuses 50% of them."), (findings[2:], f"{findings[2]['words']}.")):
        file.write_text(json.dumps({"outcome": "bad", "findings": left, "tables": []}))
        seen = text_of(render_alignment(folder, record | {"stages": [audit_of("safety")]}).read_text())
        assert f"{head}{says} Cost." in seen


def test_only_audits_that_a_job_has_done_are_told(job):
    """The run has all four; what else it has was made by hand, or of other settings."""
    folder, record = job
    stages = [audit_of("safety"), audit_of("run", state="begun"), audit_of("honesty", round=1)]
    seen = text_of(render_alignment(folder, record | {"stages": stages}).read_text())
    assert "No concern. 1 audit found nothing bad." in seen and "Audits found a concern" not in seen
    assert "Suppression · dpo" not in seen and "Honesty · dpo" not in seen


def test_a_judge_that_also_taught_the_run_it_audits_is_among_the_limits(job):
    folder, record = job
    limit = "audits the run and also taught it: it is not held out"
    assert limit not in text_of(render_alignment(folder, record).read_text())
    findings = [{"name": "judge", "outcome": "not sure", "words": "not held out", "plain": "another would say"}]
    found = {"outcome": "not sure", "findings": findings, "tables": [], "settings": {"judge": "./rules.py:score"}}
    (folder / "round-2/dpo/evaluation/audit_run.json").write_text(json.dumps(found))
    seen = text_of(render_alignment(folder, record | {"stages": [audit_of("run")]}).read_text())
    assert f"./rules.py:score {limit}" in seen


def test_audits_of_the_last_round_stand_in_full_each_chart_once(job):
    folder, record = job
    page = render_alignment(folder, record).read_text()
    slugs = re.findall(r'data-chart="([^"]+)"', page)
    assert len(slugs) == len(set(slugs)) and {"p1-audit-judge-kl", "p1-audit-relearning"} <= set(slugs)
    specs = json.loads(re.search(r'id="specs">(.*?)</script>', page, re.DOTALL)[1])
    assert set(slugs) == set(specs)
    seen = text_of(page)
    assert "prefill bad under a prefill of 2 tokens it shows in 88% [82%, 92%]" in seen
    assert "Suppression · dpo, round 2" in seen and "Held against runs/sft/model" in seen
    for link in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{link}"' in page, link


def test_labelers_are_told_and_names_stay_text(job):
    folder, record = job
    page = render_alignment(folder, record).read_text()
    seen = text_of(page)
    assert "Two labelers give the same answer in 73% [70%, 76%] of cases: 40 of 50 questions" in seen
    assert "Krippendorff's alpha 0.45 [0.4, 0.5]" in seen and "16% of verdicts are wrong" in seen
    assert "9 of 40 prompts that two or more judged are disputed, and 1 prompt called ambiguous" in seen
    assert "&lt;b&gt;ada&lt;/b&gt;" in page and seen.index("<b>ada</b> desk 60 75% 80%") < seen.index("ben desk 20")
    assert "90%* takes the longer one" in seen and "50% 50% a b" in seen.replace("unlike verdicts prompt", "50%")
    assert "No labeler is named in more.jsonl (5 judgments)" in seen


def test_what_is_not_there_is_left_out(fake, tmp_path):
    fake.dpo_run(tmp_path / "dpo")
    page = render_alignment(
        tmp_path, {"rounds": [{"run": "dpo", "quality": fake.win_rate()}], "stages": []}
    ).read_text()
    assert 'id="labelers"' not in page and 'id="audits"' not in page
    assert "Not audited. What was lost or hidden meanwhile was not looked for." in text_of(page)
    empty = text_of(render_alignment(tmp_path, {"state": "failed", "reason": "no rows"}).read_text())
    assert "This job has not finished: it failed (no rows)" in empty and "Better." not in empty


def test_a_round_that_is_not_judged_shows_no_win_rate_of_its_run(job, fake):
    """The run still has one, of before `evaluate` was taken out of the file."""
    folder, record = job
    rounds = [one | {"quality": None} for one in record["rounds"]]
    seen = text_of(render_alignment(folder, record | {"rounds": rounds}).read_text())
    assert (folder / "round-2/dpo/evaluation/win_rate.json").exists()
    assert "Whether dpo, round 2 is better is not known: it was trained and not judged." in seen
    assert "No model was judged: whether any" in seen and "No samples: no model was judged" in seen
    for told in ("81.2%", "81%", "a tie counts half", "is better than", "12.4 ± 0.61", "four cases of five"):
        assert told not in seen, told


def test_fit_by_round_is_told_of_online_roads_too(job, fake):
    """PPO has no pairs: its score on held-out prompts, and the held-out accuracy of the reward model behind it."""
    folder, record = job
    fake.write_lines(
        folder / "round-2/dpo/metrics.jsonl",
        [{"step": 0, "eval_objective/scores": -0.125}, {"step": 9, "eval_objective/scores": 0.375}],
    )
    fits = [{"training": {"eval_objective/scores": score}, "reward": {"eval_rewards/accuracies": right}}
            for score, right in ((0.25, 0.71), (0.375, 0.74))]  # fmt: skip
    rounds = [one | fit for one, fit in zip(record["rounds"], fits, strict=True)]
    stages = record["stages"] + [{"name": "round-2/dpo", "kind": "train"}]
    page = render_alignment(folder, record | {"rounds": rounds, "stages": stages}).read_text()
    seen = text_of(page)
    assert "0.25 score reward model 71.0%" in seen and "0.375 score reward model 74.0%" in seen
    assert "−0.125 → 0.375" in seen, "in the table of trainings"
    specs = json.loads(re.search(r'id="specs">(.*?)</script>', page, re.DOTALL)[1])
    assert "0.375" in json.dumps(specs["score"]) and "0.74" in json.dumps(specs["fit"])


def test_a_function_that_judges_is_called_one_and_the_path_stays_in_the_settings(job):
    folder, record = job
    for judge, words in (
        ("rules.py:score", "a function of yours (rules.py:score)"),
        ("/home/me/desk/rules.py:score", "a function of yours (rules.py:score)"),
        ("desk.rules:score", "a function of yours (rules:score)"),
        ("preferably.quickstart.truth:score", "the known truth of the quickstart's world"),
        ("judge.yaml", "judge.yaml"), ("people:work.db", "people"), ("runs/reward", "runs/reward"),
    ):  # fmt: skip
        assert judge_in_words(judge) == words
    seen = text_of(render_alignment(folder, record | {"settings": {"evaluate": {"judge": "a.b:c"}}}).read_text())
    assert "judged by a function of yours (b:c)" in seen and "A function of yours (b:c) sees what" in seen
    assert "by the known truth of the quickstart's world it wins" in seen and "evaluate.judge" in seen


def test_labels_that_no_gate_looked_at_are_told_and_what_people_took(job):
    folder, record = job
    known = LABELERS | {"sources": [{"source": "a.db", "judgments": 80, "named": 80, "labelers": 2, "seconds": 5400.0,
                                     "timed": 75}]}  # fmt: skip
    (folder / "labelers").mkdir()
    (folder / "labelers" / "labelers.json").write_text(json.dumps(known))
    figures = {"compared": 80, "labeled": 70, "tie": 6, "unsure": 4, "label_accuracy": 0.9}
    stages = [{"name": "labels", "kind": "judge", "folder": ".", "figures": figures}]
    stages += [{"name": name, "kind": "labelers", "folder": "labelers"} for name in ("labelers", "again")]
    seen = text_of(render_alignment(folder, record | {"stages": stages}).read_text())
    assert "pairs compared 80 one was preferred 70 ties 6 could not tell 4 agree with the truth 90%" in seen
    assert "No preferences were checked" not in seen and "No gate looked at them" in seen
    asked = {"labeler": "big", "asked": 60, "ok": 50, "invalid": 6, "refused": 1, "failed": 3, "why": "cut off"}
    scored = {"labeler": "/home/me/rules.py:score", "asked": 8, "ok": 7, "failed": 1}
    judges = [{"name": "judge-1", "kind": "judge", "folder": ".", "figures": {"judges": [asked, scored]}}]
    told = text_of(render_alignment(folder, record | {"stages": stages + judges}).read_text())
    assert "judge-1: big asked 60 ok 50 invalid 6 refused 1 failed 3 Not ok, most often: cut off." in told
    assert "judge-1: a function of yours (rules.py:score) asked 8 ok 7 failed 1" in told
    assert "1 min 15 s of computing and 1 h 30 min of people's time." in seen, "a source counts once"
    assert "1 h 30 min of people's time, in 75 answers of which" in seen and "ben desk" in seen
