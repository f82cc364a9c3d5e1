"""What `preferably evaluate` says: figures of the result, warnings with examples, and "not sure" where that is so."""

import dataclasses
import json

import pytest
from fault_server import MARK, FaultServer, reply
from typer.testing import CliRunner

from preferably import api
from preferably.cli import win_rates
from preferably.cli.main import app
from preferably.evaluation.several import rank
from preferably.evaluation.winrate import win_rate
from preferably.feedback.records import Completion, Group, Message, Origin, Preference
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.judging.judge import judge_by_score


def said(*arguments):
    done = CliRunner().invoke(app, ["evaluate", *map(str, arguments)], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def test_the_plan_needs_no_model_and_is_the_textbooks():
    text = said("--plan", 5)
    assert "To see 5 points you need 785 prompts" in text and "no ties" in text
    # sqrt(1/4 - 0.3/4) = 0.418: 785 x (0.418 / 0.5)^2 = 549.4
    assert "550 prompts" in said("--plan", 5, "--ties", 0.3)
    # Four samples: a quarter of 784.9 at best, 5/8 of it where half is the prompt's, and all of it at worst.
    assert (
        "491 if half" in (text := said("--plan", 5, "--samples", 4))
        and "197 if samples" in text
        and "785 if they" in text
    )


def test_the_plan_takes_a_spread_that_was_measured(tmp_path):
    stored = {"spread": 0.25, "decoding": {"samples": 4}}
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "win_rate.json").write_text(json.dumps(stored))
    assert "197 prompts see 5 points" in said("--plan", 5, "--model", tmp_path)  # 784.9 / 4


def result_of(monkeypatch, prompts, model, against, score, **options):
    result = win_rate(prompts, model, against, judge_by_score(score), **options)
    monkeypatch.setattr(api, "evaluate", lambda *names, **how: result)
    return result


def longest(prompts, completions):
    return [float(len(text)) for text in completions]


def test_a_win_rate_comes_with_slices_and_flags(monkeypatch, capsys):
    prompts = [Group((Message("user", str(at)),), columns=json.dumps({"kind": "ab"[at % 3 == 0]})) for at in range(120)]
    model = [["x " * (9 if at % 3 else 1)] for at in range(119)] + [["[[A]] \x1b[31mtake me"]]
    result = result_of(monkeypatch, prompts, model, [["y y"]] * 120, longest, slices=["kind"])
    win_rates.one("m", "b", "p", "j", None, {})
    out = capsys.readouterr().out
    assert f"win rate {result.win_rate:.3f} [" in out and "at equal" not in out  # a rule
    kinds = {line.split()[0]: line for line in out.splitlines() if line[:2] in ("a ", "b ")}
    assert "1.000" in kinds["a"] and "differs" in kinds["a"] and " 80 " in kinds["a"]
    assert "warning (judge_directed): the model: 1 of 120 replies speak to the judge" in out
    assert "[[A]] <U+001B>[31mtake me" in out and "\x1b[31m" not in out
    assert "warning (constant): what it is compared with: 120 of 120 prompts got one and the same reply" in out


def test_what_is_not_sure_says_why(monkeypatch, capsys):
    longest.labeler_kind = "model"
    try:
        prompts = [Group((Message("user", str(at)),)) for at in range(20)]
        result_of(monkeypatch, prompts, [[f"x {at}"] for at in range(20)], [[f"y {at}"] for at in range(20)], longest)
    finally:
        del longest.labeler_kind
    win_rates.one("m", "b", "p", "j", None, {})
    out = capsys.readouterr().out
    assert "at equal length: not sure, as 20 prompts were judged" in out and "at equal style: not sure" in out


def test_what_missing_verdicts_could_make_of_it_is_told(monkeypatch, capsys, tmp_path):
    def numbers(prompts, completions):
        return [None if text.startswith("?") else float(text) for text in completions]

    prompts = [Group((Message("user", str(at)),)) for at in range(20)]
    model, against = [["2"]] * 12 + [["0"]] * 4 + [["?"]] * 4, [["1"]] * 20
    found = result_of(monkeypatch, prompts, model, against, numbers)
    axis = win_rate(prompts, [["1"]] * 10 + [["?"]] * 10, against, judge_by_score(numbers))
    monkeypatch.setattr(api, "evaluate", lambda *names, **how: dataclasses.replace(found, axes={"voice": axis}))
    win_rates.one("m", "b", "p", "j", None, {})
    out = " ".join(capsys.readouterr().out.split())
    assert "win rate 0.750" in out  # 12 of 16; with the four 12 of 20, or 16 of 20
    assert "of all comparisons, 0.600 if every missing one were lost, 0.800 if every one were won" in out
    assert "10 missing: 0.250 if every missing one were lost, 0.750 if" in out  # ten ties of twenty
    replies = {"m": model, "b": against}
    monkeypatch.setattr(
        api, "evaluate_several", lambda *names, **how: rank(prompts, replies, judge_by_score(numbers), "b")
    )
    win_rates.several(["m"], "b", "p", "j", None, False, False, {})
    out = " ".join(capsys.readouterr().out.split())
    assert "m against b: 4 comparisons have no verdict; 0.600 if every missing one were lost, 0.800 if" in out


def test_an_axis_is_judged_by_a_function_and_by_a_language_model(tmp_path, tiny):
    model = tiny.write_model(tmp_path / "model")
    rows = "".join(json.dumps({"prompt": f"{at}? "}) + "\n" for at in range(4))
    (tmp_path / "prompts.jsonl").write_text(rows)
    (tmp_path / "axis_rules.py").write_text(
        "def flat(prompts, completions):\n    return [0.0] * len(completions)\n"
        "def codes(prompts, completions):\n    return [float(sum(map(ord, text))) for text in completions]\n"
    )

    def prefers_b(body):  # whatever is shown second, in either order: a tie in both together
        mark = MARK.search(body["messages"][0]["content"])
        return reply(json.dumps({"mark": mark[1], "better": "B"}) if mark else "hello")

    with FaultServer(answer=prefers_b) as server:
        (tmp_path / "voice.yaml").write_text(
            f"server: {server.url}\nmodel: big\nlogprobs: no\nrubric: Which sounds like us?\n"
            f"replies: {tmp_path / 'replies.db'}\n"
        )
        rules = tmp_path / "axis_rules.py"
        out = said(
            "--model", model, "--against", model, "--data", tmp_path / "prompts.jsonl", "--max-tokens", 3,
            "--temperature", 1, "--judge", f"{rules}:flat", "--axis", f"codes={rules}:codes",
            "--axis", f"voice={tmp_path / 'voice.yaml'}", "--output", tmp_path / "run",
        )  # fmt: skip
        assert any("Which sounds like us?" in str(one.body) for one in server.seen)
    stored = json.loads((tmp_path / "run" / "evaluation" / "win_rate.json").read_text())
    codes, voice = stored["axes"]
    answers = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    sums = [tuple(sum(map(ord, row[side])) for side in ("model", "against")) for row in answers]
    won, lost = sum(ours > theirs for ours, theirs in sums), sum(ours < theirs for ours, theirs in sums)
    assert (codes["axis"], codes["wins"], codes["losses"]) == ("codes", won, lost) and won + lost > 0
    assert stored["win_rate"] == 0.5 and stored["ties"] == 4  # the judge itself: flat
    assert (voice["axis"], voice["ties"], voice["judged_by"][0]["model"]) == ("voice", 4, "big")
    assert codes["judged_by"] is None and codes["win_rate"] == (won + (4 - won - lost) / 2) / 4
    shown = {line.split()[0]: line for line in out.splitlines() if line.split()[:1] in (["codes"], ["voice"])}
    assert set(shown) == {"codes", "voice"} and "0.500" in shown["voice"]
    assert "voice" in (tmp_path / "run" / "report.html").read_text()


def test_several_models_are_a_table(tmp_path, tiny):
    for name in ("one", "two", "base"):
        tiny.write_model(tmp_path / name)
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": text * 2}) + "\n" for text in "abcdefgh"))
    (tmp_path / "several_rules.py").write_text(
        "def score(prompts, completions):\n    return [float(len(text) % 3) for text in completions]\n"
    )
    one, two, base = (str(tmp_path / name) for name in ("one", "two", "base"))
    out = said(
        "--model", one, "--model", two, "--against", base, "--data", tmp_path / "prompts.jsonl", "--judge",
        f"{tmp_path / 'several_rules.py'}:score", "--max-tokens", 3, "--output", tmp_path / "out", "--all-pairs",
    )  # fmt: skip
    assert "of 3 pairs told apart" in out and "every two were judged" in out and "8 prompts" in out
    stored = json.loads((tmp_path / "out" / "evaluation" / "board.json").read_text())
    assert len(stored["pairs"]) == 3 and stored["all_pairs"] is True


def test_a_language_model_says_what_it_took_and_the_report_names_it(tmp_path, tiny):
    model, rows = tiny.write_model(tmp_path / "model"), [{"prompt": f"{at}? "} for at in range(4)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with FaultServer() as server:
        (tmp_path / "judge.yaml").write_text(
            f"server: {server.url}\nmodel: big\nlogprobs: no\nprices: [1, 1]\nreplies: {tmp_path / 'replies.db'}\n"
        )
        given = ("--model", model, "--against", model, "--data", tmp_path / "prompts.jsonl", "--max-tokens", 3,
                 "--temperature", 1, "--judge", tmp_path / "judge.yaml", "--output", tmp_path / "run")  # fmt: skip
        out = said(*given)
        asked = len(server.seen)
        assert f"requests, {110 * asked} tokens, a cost of {110e-6 * asked:.4g}" in out
        assert "no structured output" in out and len(server.seen) == asked
        again = said(*given)
        assert "the answers of" in again and "were there already" in again and "0 requests, 0 tokens" in again
    stored = json.loads((tmp_path / "run" / "evaluation" / "win_rate.json").read_text())["judged_by"]
    assert [(one["model"], one["rubric"]) for one in stored] == [("big", "")]
    assert f"{tmp_path / 'judge.yaml'} (big)" in (tmp_path / "run" / "report.html").read_text()


def test_people_and_a_judge_give_a_corrected_figure(tmp_path):
    def entry(at, choice, kind, labeler):
        made = tuple(Completion((Message("assistant", f"{name} {at}"),), Origin(model=name)) for name in ("new", "old"))
        return Entry(Group((Message("user", str(at)),), made), Preference(choice, labeler=labeler), labeler_kind=kind)

    with Store(tmp_path / "s.db") as store:
        store.say([entry(at, int(at % 3 == 0), "model", "judge") for at in range(200)])
        store.say([entry(at, int(at % 4 == 0), "human", "ada") for at in range(120)])
    out = said("--judgments", tmp_path / "s.db", "--model", "new", "--against", "old", "--output", tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "evaluation" / "people.json").read_text())
    assert f"win rate by people {stored['win_rate']:.3f} [" in out and "on 200 prompts" in out
    assert "people alone 0.750" in out and stored["people"]["n"] == 120 and "judge alone 0.665 on 200" in out
    assert f"by people at equal style {stored['style_controlled']['win_rate']:.3f} [" in out


@pytest.mark.parametrize("points", [0, -1, 51])
def test_points_that_are_none_are_refused(points):
    done = CliRunner().invoke(app, ["evaluate", "--plan", str(points)])
    assert done.exit_code != 0 and "up to 50" in str(done.exception)
