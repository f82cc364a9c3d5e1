"""Completions as rows of data: every reader takes them back, the best is the best, and nothing is left out unsaid."""

import json
import math
from pathlib import Path

import pytest

import preferably
from preferably.data.load import load_feedback, read_feedback
from preferably.errors import ConfigError, DataError
from preferably.evaluation.best_of import best_at, best_of
from preferably.evaluation.compare import answers
from preferably.feedback.records import Group, Message
from preferably.judging.parts import reward_parts
from preferably.models.loading import load
from preferably.models.sampler import Decoding

RULES = """
def many_a(prompts, completions):
    return [float(text.count("a")) for text in completions]


def codes(prompts, completions):
    return [float(sum(map(ord, text))) for text in completions]


def only_even(prompts, completions):
    return [float(len(text)) if int(prompt[:-2]) % 2 == 0 else None for prompt, text in zip(prompts, completions)]


def two_can_tell(prompts, completions):
    return [1.0 if prompt.startswith("2") else None for prompt in prompts]
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.py").write_text(RULES)
    asked = [{"prompt": f"{k}? ", "source": "made"} for k in range(10)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    return tmp_path


def draw(model, output="out.jsonl", **more):
    given = {"data": "prompts.jsonl", "temperature": 1.0, "max_tokens": 8, "device": "cpu", "missing_eos_penalty": 0.0}
    return preferably.sample(model, output=output, **given | more)


def rows(file="out.jsonl"):
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


def test_the_best_is_the_best_of_what_is_drawn_without_it(place, tiny_model_directory):
    all_of_them = draw(tiny_model_directory, "all.jsonl", samples=4, reward=["rules.py:many_a"])
    chosen = draw(tiny_model_directory, "best.jsonl", best_of=4, reward=["rules.py:many_a"])
    for row, best in zip(rows("all.jsonl"), rows("best.jsonl"), strict=True):
        assert row["ratings"] == [float(text.count("a")) for text in row["completions"]]
        assert row["rewards"] == [{"rules.py:many_a": score} for score in row["ratings"]]
        assert best["completion"] == row["completions"][row["ratings"].index(max(row["ratings"]))]
        assert (best["score"], best["best_of"], best["source"]) == (max(row["ratings"]), 4, "made")
    assert chosen.mean == all_of_them.mean == pytest.approx(sum(sum(row["ratings"]) for row in rows("all.jsonl")) / 40)
    assert chosen.mean_best == pytest.approx(sum(row["score"] for row in rows("best.jsonl")) / 10)
    assert chosen.mean_best > chosen.mean
    assert (chosen.rows, all_of_them.rows) == (10, 10)


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize(("samples", "reward"), [(1, ()), (2, ()), (3, ()), (1, ["length"]), (2, ["length"]),
                                                 (4, ["length"])])  # fmt: skip
def test_every_row_is_read_again(place, tiny_model_directory, samples, reward, turns):
    asked = [Group((Message("user" if turns else "text", f"{k}? "),)) for k in range(12)]
    done = draw(tiny_model_directory, samples=samples, reward=reward, data=asked)
    read = read_feedback(["out.jsonl"], "prompts")
    empty = {row["prompt"][0]["content"] if turns else row["prompt"] for row in rows() if _has_empty(row)}
    assert read.accounting.read == done.rows == 12
    assert read.accounting.used == 12 - len(empty) and set(read.accounting.rejected) <= {"empty"}
    assert {group.prompt_text for group in read.groups} == {f"{k}? " for k in range(12)} - empty
    if samples > 1 and reward:
        ranked = read_feedback(["out.jsonl"], "rankings")
        assert set(ranked.accounting.rejected) <= {"empty", "unjudged"} and ranked.groups
        for group in ranked.groups:
            words = [len(completion.text.split()) for completion in group.completions]
            assert words == sorted(words, reverse=True)


def _has_empty(row):
    texts = row.get("completions", [row.get("completion")])
    return any(not (text if isinstance(text, str) else text[0]["content"]).strip() for text in texts)


def test_two_equal_completions_are_no_fault(place):
    said = [{"prompt": "a", "completions": ["x", "x"]}, {"prompt": "b", "completions": ["x", "x"], "ratings": [1, 1]},
            {"prompt": "c", "completions": ["x", "x"], "ranks": [1, 1]}]  # fmt: skip
    (place / "twins.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    for feedback in ("pairs", "rankings"):
        assert read_feedback(["twins.jsonl"], feedback).accounting.rejected == {"unjudged": 3}
    (place / "apart.jsonl").write_text(json.dumps(said[1] | {"ratings": [1, 2]}) + "\n")
    assert read_feedback(["apart.jsonl"], "pairs").accounting.rejected == {"equal": 1}


def test_a_best_row_is_a_demonstration(place, tiny_model_directory):
    done = draw(tiny_model_directory, best_of=3, reward=["2*length"])
    read = load_feedback(["out.jsonl"], "demonstrations", max_rejected=1.0)
    assert len(read.groups) == done.rows - done.empty
    for row in rows():
        assert row["score"] == 2 * row["rewards"]["length"]


def test_a_completion_without_an_end_is_fined_as_in_training(place, tiny_model_directory):
    free = draw(tiny_model_directory, "free.jsonl", samples=2, reward=["length"])
    draw(tiny_model_directory, "fined.jsonl", samples=2, reward=["length"], missing_eos_penalty=5.0)
    fined = [old - new for one, other in zip(rows("free.jsonl"), rows("fined.jsonl"), strict=True)
             for old, new in zip(one["ratings"], other["ratings"], strict=True)]  # fmt: skip
    assert sorted(set(fined)) in ([0.0, 5.0], [5.0]) and fined.count(5.0) == free.unfinished


def test_what_is_left_out_is_counted(place, tiny_model_directory):
    asked = [{"prompt": f"{k}? "} for k in range(4)] + [{"prompt": f"{k}? " * 60} for k in range(2)]
    (place / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    given = {"data": "long.jsonl", "best_of": 2, "reward": ["rules.py:only_even"]}
    done = draw(tiny_model_directory, **given)
    assert (done.rows, done.too_long, done.unscored) == (2, 2, 2)
    kept = draw(tiny_model_directory, "all.jsonl", data="long.jsonl", samples=2, reward=["rules.py:only_even"])
    assert (kept.rows, kept.unscored) == (4, 2)
    assert [row["ratings"] == [None, None] for row in rows("all.jsonl")] == [False, True, False, True]
    assert read_feedback(["all.jsonl"], "prompts").accounting.used >= 4 - kept.empty


def test_what_cannot_be_drawn_is_refused_before_anything_is_loaded(place, tiny_model_directory):
    (place / "there.jsonl").write_text("")
    for more, said in (
        ({"output": "there.jsonl"}, "exists already"), ({"output": "out.txt"}, "does not say how to write it"),
    ):  # fmt: skip
        with pytest.raises((ConfigError, DataError), match=said):
            draw("no/such/model", **more)
    for more, said in (
        ({"best_of": 2}, "needs a reward"), ({"best_of": 2, "samples": 2, "reward": ["length"]}, "not both"),
        ({"best_of": 0, "reward": ["length"]}, "at least 1"), ({"temperature": -1}, "Cannot sample"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            draw(tiny_model_directory, **more)
    with pytest.raises(DataError, match="None of 10 prompts leaves room"):
        draw(tiny_model_directory, data=[Group((Message("text", "long " * 40),))] * 10)
    assert not list(place.glob("out.jsonl*"))


def test_a_mistake_in_the_reward_costs_no_drawing(place, tiny_model_directory, monkeypatch):
    from preferably.evaluation import best_of as module

    monkeypatch.setattr(module, "answers", lambda *given, **more: pytest.fail("it drew first"))
    (place / "wrong.py").write_text("def one(prompts, completions):\n    return [1.0]\n")
    with pytest.raises(ConfigError, match="gave 1 results"):
        draw(tiny_model_directory, samples=2, reward=["wrong.py:one"])


def test_the_reward_may_tell_nothing_of_a_prompt(place, tiny_model_directory):
    loaded = load(tiny_model_directory, device="cpu", dtype="float32")
    asked = [Group((Message("text", f"{k}? "),)) for k in (1, 2)]
    parts = reward_parts(["rules.py:two_can_tell"])
    with pytest.raises(DataError, match="no number for any of 2 completions of the prompt '1"):
        best_of(loaded, asked, parts, 2, Decoding(1.0, max_tokens=4))
    chosen = best_of(loaded, asked[1:], reward_parts(["length"]), 3, Decoding(1.0, max_tokens=4), samples=2)
    assert [len(several) for several in chosen] == [2]


def test_a_judge_of_two_decides_among_the_n_of_an_answer(place, tiny_model_directory):
    (place / "duel.py").write_text(
        "sizes = []\n\n\ndef longer(prompts, pairs):\n    sizes.append(len(pairs))\n"
        "    return ['tie' if len(a) == len(b) else int(len(b) > len(a)) for a, b in pairs]\n"
    )
    loaded = load(tiny_model_directory, device="cpu", dtype="float32")
    asked = [Group((Message("text", f"{k}? "),)) for k in range(5)]
    decoding = Decoding(1.0, max_tokens=12)
    chosen = best_of(
        loaded, asked, reward_parts(["judge:duel.py:longer"]), 4, decoding, samples=3, missing_eos_penalty=0.0
    )
    every = answers(loaded, asked, decoding, samples=12)
    for best, several in zip(chosen, every, strict=True):
        parts = [[len(one.text) for one in several[at : at + 4]] for at in (0, 4, 8)]
        assert [len(one.text) for one in best] == [max(part) for part in parts]
    from preferably.functions import load_function

    _, asked_about = load_function("duel.py:longer").__globals__["sizes"]
    assert asked_about <= 5 * 3 * 2 * 6  # six pairs of four, in both orders, less those that are equal


def test_a_judge_of_two_needs_two(place, tiny_model_directory):
    for more in ({}, {"samples": 1}, {"best_of": 1}):
        with pytest.raises(ConfigError, match="there is one; draw at least 2"):
            draw(tiny_model_directory, reward=["judge:rules.py:codes"], **more)


def test_the_best_by_hand():
    assert best_at([1.0, None, 3.0, 3.0]) == 2 and best_at([None, None]) is None and best_at([None, -1.0]) == 1


def test_best_of_n_is_held_against_a_model(place, tiny_model_directory):
    """By the judge's own reward the best of 8 wins against one draw far more often than it loses."""
    found = preferably.evaluate(
        tiny_model_directory, against=tiny_model_directory, data="prompts.jsonl", judge="rules.py:codes", output="run",
        best_of=8, reward=["rules.py:codes"], temperature=1.0, max_tokens=12, samples=4, device="cpu",
    )  # fmt: skip
    assert found.wins > 3 * found.losses
    stored = json.loads((place / "run" / "evaluation" / "win_rate@best-of-8.json").read_text())
    assert stored["decoding"] | {"best_of": 8, "reward": "rules.py:codes"} == stored["decoding"]
    assert stored["decoding"]["kl_bound"] == pytest.approx(math.log(8) - 7 / 8) and stored["kl"] is None
    assert not (place / "run" / "evaluation" / "win_rate.json").exists()
    assert "best of 8" in (place / "run" / "report.html").read_text()
    with pytest.raises(ConfigError, match="give best_of too"):
        preferably.evaluate(
            tiny_model_directory, against=tiny_model_directory, data="prompts.jsonl", judge="rules.py:codes",
            reward=["length"],
        )  # fmt: skip
