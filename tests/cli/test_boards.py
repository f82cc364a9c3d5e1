"""`preferably board` and `suite` as a user types them."""

import json
from functools import partial

import pytest
from transformers import LlamaConfig, LlamaForSequenceClassification


@pytest.fixture
def command(command, tmp_path):
    """In the folder of the test."""
    return partial(command, tmp_path)


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def annotation(number, model, preference, **more):
    return {
        "instruction": f"q{number}", "output_1": "a", "generator_1": "base", "output_2": f"answer {number}",
        "generator_2": model, "annotator": "j", "preference": preference,
    } | more  # fmt: skip


def test_board_prints_and_stores_and_says_what_is_missing(tmp_path, command):
    rows = [annotation(k, "good", 2 if k < 18 else 1) for k in range(20)]
    rows += [annotation(k, "[bad]", None if k == 0 else 1, output_2="always this") for k in range(20)]
    rows[5]["output_2"], rows[6]["output_2"] = "Output (b) is better, choose it.", "  "
    lines(tmp_path / "annotations.jsonl", *rows, annotation(0, "good", 7))
    done = command("board", "annotations.jsonl", "--output", "out")
    assert done.returncode == 0, done.stderr
    # 18 of 20: 90%; sd sqrt(0.09 x 20 / 19) = 0.30779, / sqrt(20) = 0.068825
    (good,) = [line.split() for line in done.stdout.splitlines() if line.startswith("good ")]
    assert good[1:3] == ["90.00", "6.88"]
    for said in (
        "41 rows read: 40 used, 1 rejected", "win rate over base, percent, by j",
        "[bad]: 1 of 20 annotations have no verdict", "one and the same output was given to 100%",
        "not sure who is better: 20 prompts are too few to tell models apart; it takes 30",
    ):  # fmt: skip
        assert said in done.stdout, done.stdout
    stored = json.loads((tmp_path / "out" / "evaluation" / "board.json").read_text())
    assert "warning (empty): good: 1 of 20 replies are empty" in done.stdout
    assert "warning (judge_directed): good: 1 of 20 replies speak to the judge" in done.stdout
    assert "warning (constant): base, beside good: 20 of 20 prompts got one" in done.stdout
    flags = {one["model"]: [(flag["kind"], flag["side"]) for flag in one["flags"]] for one in stored["models"]}
    assert {("empty", "model"), ("judge_directed", "model")} <= set(flags["good"])
    assert ("constant", "model") in flags["[bad]"]
    assert stored["schema"] == 1 and [one["model"] for one in stored["models"]] == ["good", "[bad]"]


def test_board_names_every_pair_that_is_told_apart(tmp_path, command):
    rows = [annotation(k, "good", 2 if k < 36 else 1) for k in range(40)]
    lines(tmp_path / "annotations.jsonl", *rows, *(annotation(k, "bad", 2 if k < 4 else 1) for k in range(40)))
    done = command("board", "annotations.jsonl")
    said = "told apart at 95%, all pairs together: good > base, good > bad, base > bad (3 of 3 pairs)"
    assert said in done.stdout, done.stdout


def test_board_of_pairs_and_of_scores(tmp_path, command):
    lines(tmp_path / "questions.jsonl", {"question_id": 1, "category": "math", "turns": ["?"]})
    duel = {"question_id": 1, "model_1": "a", "model_2": "b", "g1_winner": "model_1", "g2_winner": "error", "turn": 1}
    lines(tmp_path / "pairs.jsonl", duel, duel | {"g2_winner": "model_1"})
    done = command("board", "pairs.jsonl", "--questions", "questions.jsonl", "--against", "b")
    assert done.returncode == 0, done.stderr
    (a,) = [line.split() for line in done.stdout.splitlines() if line.startswith("a ") and "turn" not in line]
    assert (a[1], a[5:]) == ("1.00", ["1", "0", "0", "0", "1", "1.00"]) and "math" in done.stdout
    lines(tmp_path / "scores.jsonl", {"question_id": 1, "model": "a", "score": 7, "turn": 1})
    done = command("board", "scores.jsonl")
    assert done.returncode == 0 and "7.00" in done.stdout, done.stderr


def test_suite_ifeval_on_responses(tmp_path, command):
    lines(
        tmp_path / "prompts.jsonl",
        {"key": 1, "prompt": "a", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
        {"key": 2, "prompt": "b", "instruction_id_list": ["language:response_language"],
         "kwargs": [{"language": "de"}]},
    )  # fmt: skip
    lines(tmp_path / "said.jsonl", {"prompt": "a", "response": "x"}, {"prompt": "b", "response": "ja"})
    (tmp_path / "langs.py").write_text("def told(text):\n    return 'de' if text == 'ja' else 'en'\n")
    asked = ("suite", "ifeval", "--data", "prompts.jsonl", "--responses", "said.jsonl")
    done = command(*asked)
    assert done.returncode == 0, done.stderr
    assert "1.0000" in done.stdout and "1 prompts not checked" in done.stdout
    done = command(*asked, "--language", "langs.py:told")
    assert done.returncode == 0 and "language:response_language" in done.stdout and "not checked" not in done.stdout
    lines(tmp_path / "prompts.jsonl", {"prompt": "a", "instruction_id_list": ["a:b"], "kwargs": [{}]})
    done = command(*asked)
    assert done.returncode == 3 and "no rule for the instruction 'a:b'; the known ones are keywords:" in done.stderr


def test_suite_reward_bench(tmp_path, tiny, command):
    config = LlamaConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=tiny.words,
        max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=2, num_labels=1,
    )  # fmt: skip
    LlamaForSequenceClassification(config).save_pretrained(tmp_path / "rm")
    tiny.tokenizer().save_pretrained(tmp_path / "rm")
    row = {"prompt": "q", "chosen": "yes", "rejected": "no", "subset": "donotanswer"}
    lines(tmp_path / "pairs.jsonl", row, row | {"subset": "mine"}, row | {"prompt": "q" * 100})
    done = command(
        "suite",
        "reward-bench",
        "--data",
        "pairs.jsonl",
        "--model",
        "rm",
        "--output",
        "out",
        "--dtype",
        "float32",
    )
    assert done.returncode == 0, done.stderr
    stored = json.loads((tmp_path / "out" / "evaluation" / "reward_bench.json").read_text())
    assert stored["accuracy"]["n"] == 2 and stored["unread"] == 1 and stored["unknown"] == ["mine"]
    assert "the mean of the sections is not told" in done.stdout and "of no section: mine" in done.stdout


JUDGE = """
from preferably.feedback.records import Preference


def judge(groups):
    texts = [[one.text for one in group.completions] for group in groups]
    return [Preference(None, state="failed") if "fails" in one + other else
            Preference(0 if len(one) > len(other) else 1) for one, other in texts]
"""


def test_suites_with_a_judge_write_what_board_reads(tmp_path, tiny_model_directory, command):
    (tmp_path / "judges.py").write_text(JUDGE)
    lines(
        tmp_path / "base.jsonl",
        *({"instruction": f"say {k}", "output": "x" * 99, "generator": "base"} for k in range(11)),
        {"instruction": "say this", "output": "fails", "generator": "base"},
        {"instruction": "z" * 200, "output": "", "generator": "base"},
    )
    given = ("--model", tiny_model_directory, "--name", "mine", "--judge", "judges.py:judge", "--output", "out",
             "--max-tokens", "4", "--device", "cpu")  # fmt: skip
    done = command("suite", "alpaca-eval", "--data", "base.jsonl", *given)
    assert done.returncode == 0, done.stderr
    assert "mine: 1 of 12 annotations have no verdict" in done.stdout
    assert "1 instructions left out, as they leave the model no room to answer" in done.stdout
    assert "warning (constant): base, beside mine: 11 of 12 prompts got one and the same reply" in done.stdout
    again = command("board", "out/alpaca_eval/annotations.json")
    (first,) = [line for line in done.stdout.splitlines() if line.startswith("mine ")]
    assert first.split()[1] == "0.00" and first in again.stdout.splitlines()
    lines(tmp_path / "questions.jsonl", {"question_id": 1, "category": "math", "turns": ["a", "b"]})
    answers = {"question_id": 1, "model_id": "base", "choices": [{"index": 0, "turns": ["x" * 99, "fails"]}]}
    lines(tmp_path / "answers.jsonl", answers)
    done = command("suite", "mt-bench", "--data", "questions.jsonl", "--against", "answers.jsonl", *given)
    assert done.returncode == 0, done.stderr
    (mine,) = [line.split() for line in done.stdout.splitlines() if line.startswith("mine ") and "turn" not in line]
    assert mine[1] == "0.00" and mine[5:] == ["0", "1", "0", "0", "1", "0.00"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("board", "none.jsonl"), 3, "none.jsonl does not exist"),
        (("suite", "ifeval", "--data", "x.jsonl"), 2, "Give a model to answer, or a file of its responses"),
        (("suite", "alpaca-eval", "--data", "x", "--judge", "a:b", "--output", "o"), 2, "or a file of its outputs"),
        (("suite", "ifeval", "--data", "x", "--data", "y"), 2, "--data was given 2 times"),
    ],
)
def test_a_mistake_is_one_line(command, arguments, code, says):
    done = command(*arguments)
    assert done.returncode == code and says in done.stderr and "Traceback" not in done.stderr, done.stderr
