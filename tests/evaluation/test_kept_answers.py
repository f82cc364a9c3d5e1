"""Answers are kept before they are judged: what was drawn is not drawn again, and nothing else is taken for it."""

import json

import pytest
from fault_server import MARK, FaultServer, good

import preferably
from preferably.errors import DataError
from preferably.evaluation import compare as comparing
from preferably.evaluation.compare import answers
from preferably.evaluation.kept_answers import KeptAnswers
from preferably.evaluation.several import evaluate_several
from preferably.evaluation.suite_runs import run_alpaca_eval, run_mt_bench
from preferably.feedback.records import Group, Message
from preferably.models.loading import load
from preferably.models.sampler import Decoding
from preferably.remote.server import RemoteError

HOW = {"max_tokens": 4, "temperature": 1.0, "device": "cpu"}
DECODING = Decoding(1.0, max_tokens=4)


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": f"{n}? "}) + "\n" for n in range(6)))
    return file


@pytest.fixture
def drawn(monkeypatch):
    """How many prompts were sampled from, by every call of the sampler."""
    counts, real = [], comparing.sample
    monkeypatch.setattr(comparing, "sample", lambda policy, tokenizer, ids, *rest, **how: (
        counts.append(len(ids)), real(policy, tokenizer, ids, *rest, **how))[1])  # fmt: skip
    return counts


def judge_file(folder, server, **more):
    values = {"server": server.url, "model": "m", "schema": "no", "logprobs": "no", "timeout": 5, "deadline": 5,
              "replies": str(folder / "replies.db"), "concurrency": 1} | more  # fmt: skip
    file = folder / "judge.yaml"
    file.write_text("".join(f"{name}: {value}\n" for name, value in values.items()))
    return str(file)


def gone(after):
    """A plan of a server that takes no question behind so many."""
    asked = []

    def plan(tries, body, random):
        if MARK.search(body["messages"][0]["content"]):
            asked.append(body)
        return "401" if len(asked) > after else ""

    return plan


def test_where_the_judge_fails_the_same_evaluation_goes_on(tmp_path, prompts, tiny_model_directory, drawn):
    given = {"against": tiny_model_directory, "data": prompts, "output": tmp_path / "run", "kl": False, **HOW}
    with FaultServer(gone(5)) as server:
        named = judge_file(tmp_path, server)
        with pytest.raises(RemoteError, match=r"refuses to be asked.*answers are kept in .*run/evaluation/answers"):
            preferably.evaluate(tiny_model_directory, judge=named, **given)
        assert drawn == [6, 6] and server.delivered.total() == 5
        kept = {file.name: file.read_bytes() for file in (tmp_path / "run" / "evaluation" / "answers").iterdir()}
        said, server.plan = [], lambda *_: ""
        found = preferably.evaluate(tiny_model_directory, judge=named, note=said.append, **given)
        assert drawn == [6, 6] and len(said) == 2 and "were there already" in said[0]
        assert server.delivered.total() == len(server.delivered) == 12  # nothing was paid for twice
    assert found.n + found.missing == 6
    for name, content in kept.items():
        assert (tmp_path / "run" / "evaluation" / "answers" / name).read_bytes() == content
    lines = [json.loads(line) for line in (tmp_path / "run" / "samples.jsonl").read_text().splitlines()]
    sides = [json.loads(content)["answers"] for content in kept.values()]
    assert {tuple(row["texts"][0] for row in side) for side in sides} == {
        tuple(line[name] for line in lines) for name in ("model", "against")
    }
    once = preferably.evaluate(tiny_model_directory, judge=longest, **given | {"output": None})
    again = preferably.evaluate(tiny_model_directory, judge=longest, **given)
    assert (once.values, once.length) == (again.values, again.length)  # as if it had been drawn


def longest(prompts, completions):
    return [float(len(text)) for text in completions]


@pytest.mark.parametrize("other", [{"seed": 1}, {"samples": 2}, {"temperature": 0.5}, {"limit": 5}, {"max_tokens": 5}])
def test_anything_else_is_drawn_anew(tmp_path, prompts, tiny_model_directory, drawn, other):
    given = {"against": tiny_model_directory, "data": prompts, "output": tmp_path / "run", "kl": False, **HOW}
    preferably.evaluate(tiny_model_directory, judge=longest, **given)
    preferably.evaluate(tiny_model_directory, judge=longest, **given | other)
    assert drawn == [6, 6, other.get("limit", 6), other.get("limit", 6)]


def test_other_weights_and_another_way_to_choose_are_other_answers(tmp_path, tiny, drawn):
    one, two = (load(tiny.write_model(tmp_path / str(seed), seed=seed), device="cpu") for seed in (0, 1))
    asked, kept = [Group((Message("user", "hi"),))], KeptAnswers(tmp_path / "run")
    for loaded in (one, two, one):
        kept.texts(answers, loaded, asked, DECODING)
    assert drawn == [1, 1]
    for facts in ({"best_of": 2}, {"best_of": 3}, {"best_of": 2}):
        kept.texts(answers, one, asked, DECODING, facts=facts)
    assert drawn == [1] * 4
    assert len(list((tmp_path / "run" / "evaluation" / "answers").iterdir())) == 4


@pytest.mark.parametrize("content", ["{", "[]", '{"answers": [{"texts": ["a", "b"]}]}', '{"answers": []}'])
def test_a_file_that_is_not_what_was_kept_is_an_error(tmp_path, tiny_model_directory, content):
    loaded, asked = load(tiny_model_directory, device="cpu"), [Group((Message("user", "hi"),))]
    KeptAnswers(tmp_path).texts(answers, loaded, asked, DECODING)
    [file] = (tmp_path / "evaluation" / "answers").iterdir()
    file.write_text(content)
    with pytest.raises(DataError, match="remove it"):
        KeptAnswers(tmp_path).texts(answers, loaded, asked, DECODING)


def test_several_models_and_suites_go_on_too(tmp_path, prompts, tiny, drawn):
    models = [str(tiny.write_model(tmp_path / name, seed=seed)) for seed, name in enumerate("abc")]
    base = tmp_path / "base.json"
    base.write_text(json.dumps([{"instruction": f"say {n}", "output": "x", "generator": "base"} for n in range(4)]))
    questions, theirs = tmp_path / "questions.jsonl", tmp_path / "theirs.jsonl"
    rows = [{"question_id": n, "category": "math", "turns": ["a", "b"]} for n in range(3)]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [{"question_id": n, "model_id": "base", "choices": [{"turns": ["x", "y"]}]} for n in range(3)]
    theirs.write_text("".join(json.dumps(row) + "\n" for row in said))
    with FaultServer() as server:
        named = judge_file(tmp_path, server)
        out, loading = tmp_path / "out", {"device": "cpu"}
        suite = {"model": models[0], "name": "mine", "decoding": DECODING, **loading}
        jobs = {
            (6, 6, 6): lambda: evaluate_several(models[:2], against=models[2], data=prompts, judge=named, output=out,
                                                max_tokens=4, **loading),
            (4,): lambda: run_alpaca_eval(base, named, out, **suite),
            (3, 3): lambda: run_mt_bench(questions, theirs, named, out, **suite),
        }  # fmt: skip
        for counts, job in jobs.items():
            drawn.clear()
            server.plan = gone(2)
            with pytest.raises(RemoteError, match="answers are kept"):
                job()
            server.plan = lambda *_: ""
            job()
            assert tuple(drawn) == counts
    assert (out / "alpaca_eval" / "model_outputs.json").exists() and (out / "mt_bench" / "judgments.jsonl").exists()


def test_a_server_that_cannot_be_asked_is_told_before_a_suite_samples(tmp_path, tiny_model_directory, drawn):
    base = tmp_path / "base.json"
    base.write_text(json.dumps([{"instruction": "say", "output": "x", "generator": "base"}]))
    with FaultServer(lambda *_: "401", answer=good) as server:
        named = judge_file(tmp_path, server, schema="auto")
        with pytest.raises(RemoteError, match="refuses to be asked"):
            run_alpaca_eval(base, named, tmp_path / "out", model=tiny_model_directory, decoding=DECODING, device="cpu")
    assert drawn == [] and not (tmp_path / "out").exists()


def test_answers_in_another_arithmetic_are_other_answers(tmp_path, tiny_model_directory, drawn):
    asked, kept = [Group((Message("user", "hi"),))], KeptAnswers(tmp_path / "run")
    for dtype in ("float32", "bfloat16", "float32"):
        kept.texts(answers, load(tiny_model_directory, device="cpu", dtype=dtype), asked, DECODING)
    assert drawn == [1, 1]
