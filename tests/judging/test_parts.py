"""Parts of a reward: functions of the user's own get the columns of the data that they ask for."""

import json
import re
from pathlib import Path

import pytest

import preferably
from preferably.data.load import load_feedback
from preferably.errors import CheckpointError, ConfigError, TrainingError
from preferably.judging.parts import added_up, answered, check_columns, reward_parts

RULES = """
seen = []


def plain(prompts, completions):
    return [float(len(text)) for text in completions]


def right(prompts, completions, answer):
    seen.append((list(prompts), list(completions), list(answer)))
    return [float(text == wanted) for text, wanted in zip(completions, answer)]


def lenient(prompts, completions, *, answer="none", missing="default"):
    return [0.0 if answer == "none" else float(len(answer)) if missing == "default" else -1.0 for _ in prompts]


def everything(prompts, completions, **columns):
    seen.append(columns)
    return [float(len(columns)) for _ in prompts]


calls = 0


def too_few_later(prompts, completions, answer):
    global calls
    calls += 1
    return [1.0] * (len(completions) if calls < 3 else 1)


def one_for_all(prompts, completions):
    return [1.0]
"""
ROWS = [{"prompt": f"{k}? ", "answer": str(k), "level": k, "source": "made", "tags": ["a"]} for k in range(24)]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.py").write_text(RULES)
    write(ROWS)
    return tmp_path


def write(rows):
    with open("prompts.jsonl", "w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def prompts(rows=None):
    if rows is not None:
        write(rows)
    return load_feedback(["prompts.jsonl"], "prompts", max_rejected=1.0).groups


def one(name):
    (part,) = reward_parts([f"rules.py:{name}"])
    from preferably.functions import load_function

    return part, load_function("rules.py:right").__globals__["seen"]


def test_a_column_reaches_every_completion_of_its_prompt(place):
    part, seen = one("right")
    groups = [answered(group, texts) for group, texts in zip(prompts()[:2], (["0", "1"], ["1"]), strict=True)]
    assert part.score(groups) == [1.0, 0.0, 1.0]
    assert seen[-1] == (["0? ", "0? ", "1? "], ["0", "1", "1"], ["0", "0", "1"])


def test_any_columns_are_all_but_the_prompt(place):
    part, seen = one("everything")
    assert part.score([answered(prompts()[3], ["x", "y"])]) == [4.0, 4.0]
    assert seen[-1] == {"answer": ["3"] * 2, "level": [3] * 2, "source": ["made"] * 2, "tags": [["a"]] * 2}
    named = [{"prompt": "a", "prompts": 1, "answer": 3}]
    assert part.score([answered(prompts(named)[0], ["x"])]) == [1.0]  # the two are given already


def test_a_row_without_the_column_gives_none(place):
    part, seen = one("right")
    groups = [answered(group, ["x"]) for group in prompts([{"prompt": "a"}, {"prompt": "b", "answer": "x"}])]
    assert part.score(groups) == [0.0, 1.0] and seen[-1][2] == [None, "x"]
    check_columns([part], groups)
    assert one("lenient")[0].score(groups) == [2.0, 2.0]
    assert one("lenient")[0].score(groups[:1]) == [0.0]  # no row has it, so the default stands


def test_a_function_of_two_goes_on_working_and_parts_are_added_up(place):
    parts = reward_parts(["2*rules.py:plain", "rules.py:right"])
    scores = {part.name: part.score([answered(prompts()[7], ["7", "seven"])]) for part in parts}
    totals = added_up(parts, scores, [0.5, 0.0])
    assert totals == [3.5, 10.0] and scores == {"rules.py:plain": [1.0, 5.0], "rules.py:right": [1.0, 0.0]}


def test_a_column_that_is_nowhere_is_told(place):
    with pytest.raises(ConfigError, match="takes 'answer', and no row .* there are: level. Add it, or let"):
        check_columns(reward_parts(["rules.py:right"]), prompts([{"prompt": "a", "level": 1}]))
    with pytest.raises(ConfigError, match="none beside the prompt"):
        check_columns(reward_parts(["rules.py:right"]), prompts([{"prompt": "a"}]))


def test_columns_change_neither_equality_nor_what_is_a_duplicate(place):
    write([{"prompt": "a", "answer": "1"}, {"prompt": "a", "answer": "2"}, {"prompt": "b"}])
    read = load_feedback(["prompts.jsonl"], "prompts")
    assert (read.accounting.used, read.accounting.deduplicated) == (2, 1)
    assert json.loads(read.groups[0].columns) == {"answer": "1"} and read.groups[1].columns == ""
    assert read.groups[0] == answered(prompts([{"prompt": "a"}])[0], [])
    write([{"prompt": "a", "chosen": "b", "rejected": "c", "answer": "1"}])
    assert json.loads(prompts()[0].columns) == {"answer": "1"}  # not what makes up the feedback itself
    assert load_feedback(["prompts.jsonl"], "pairs").groups[0].columns == ""


def train(model, output="run", **more):
    given = {
        "reward": "rules.py:right", "max_steps": 6, "batch_size": 4, "sample_tokens": 4, "held_out": 4, "device": "cpu",
        "dtype": "float32", "samples_per_prompt": 2, "sample_prompts": 4, "eval_every": 6,
    }  # fmt: skip
    return preferably.train("rloo", model=model, data="prompts.jsonl", output=output, **given | more)


def test_a_run_gives_columns_to_its_reward_and_keeps_them_with_what_it_held_out(place, tiny_model_directory):
    _, seen = one("right")
    train(tiny_model_directory, max_steps=1)
    for asked, _, answers in seen[-3:]:  # tried, looked at before, rollouts, looked at after
        assert [f"{answer}? " for answer in answers] == asked
    held_out = [json.loads(line) for line in Path("run/held_out.jsonl").read_text().splitlines()]
    assert len(held_out) == 4 and all(row in ROWS for row in held_out)
    done = preferably.sample(
        tiny_model_directory, data="run/held_out.jsonl", output="best.jsonl", best_of=2, reward=["rules.py:right"],
        max_tokens=4, device="cpu",
    )  # fmt: skip
    assert done.rows == 4


def test_a_missing_column_stops_before_training(place, tiny_model_directory):
    write([{"prompt": f"{k}? "} for k in range(24)])
    with pytest.raises(ConfigError, match="takes 'answer', and no row of the data has such a column"):
        train(tiny_model_directory)
    assert not (place / "run" / "metrics.jsonl").exists()
    with pytest.raises(ConfigError, match="takes 'answer'"):
        preferably.sample(tiny_model_directory, data="prompts.jsonl", output="x.jsonl", reward=["rules.py:right"])


def test_one_number_for_all_completions_is_told_before_training(place, tiny_model_directory):
    with pytest.raises(ConfigError, match="gave 1 results; expected one number or None for each of 2"):
        train(tiny_model_directory, reward="rules.py:one_for_all")
    assert not (place / "run" / "metrics.jsonl").exists()


def test_a_wrong_number_later_skips_steps_and_the_third_ends_the_run(place, tiny_model_directory):
    with pytest.raises(TrainingError, match="Steps 1 to 3 could not be used, .* gave 1 results; expected one number"):
        train(tiny_model_directory, reward="rules.py:too_few_later")
    told = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line.get("skipped", "")[:18] for line in told] == ["", *["The score function"] * 3]


def test_other_columns_are_another_run(place, tiny_model_directory):
    train(tiny_model_directory, max_steps=1)
    write([row | {"answer": "x"} for row in ROWS])
    with pytest.raises(CheckpointError, match="reward.columns"):
        train(tiny_model_directory, max_steps=1, resume=True)


def test_a_language_model_on_a_server_is_a_part_that_compares(tmp_path, monkeypatch):
    """It prefers the longest: of three replies the longest beats both others, the shortest none."""
    from fault_server import MARK, FaultServer, reply

    def longest(body):
        mark = MARK.search(body["messages"][0]["content"])[1]
        one, other = re.findall(rf"--- reply [AB] {mark}\n(.*?)\n--- end", body["messages"][1]["content"], re.DOTALL)
        return reply(json.dumps({"mark": mark, "better": "A" if len(one) > len(other) else "B"}))

    monkeypatch.chdir(tmp_path)  # where replies are kept, unless the file says otherwise
    with FaultServer(answer=longest) as server:
        file = tmp_path / "judge.yaml"
        file.write_text(f"server: {server.url}\nmodel: big\nschema: no\nlogprobs: no\n", encoding="utf-8")
        [part] = reward_parts([f"0.5*judge:{file}"])
        assert part.weight == 0.5 and part.compares and "big" in part.source
        [group] = load_feedback([_prompts(tmp_path)], "prompts").groups
        assert part.score([answered(group, ["a", "abc", "ab"])]) == [0.0, 1.0, 0.5]
        assert len(server.seen) == 6


def _prompts(folder):
    file = folder / "one.jsonl"
    file.write_text(json.dumps({"prompt": "Say something."}) + "\n", encoding="utf-8")
    return file


def test_a_reply_reaches_a_reward_as_the_template_reads_it_and_plain_text_as_it_is(place):
    """What stands between "Assistant:" and a sampled reply is the template's: with it a reward model would read two
    spaces, where what it learnt from has one."""
    (turns,) = prompts([{"prompt": [{"role": "user", "content": "Which?"}]}])
    assert [one.text for one in answered(turns, [" The red one.\n", "42"]).completions] == ["The red one.", "42"]
    (text,) = prompts([{"prompt": "Once"}])
    assert [one.text for one in answered(text, [" upon a time", "\n"]).completions] == [" upon a time", "\n"]
    (digits,) = reward_parts([r"format:\d+"])
    assert digits.score([answered(turns, [" 42", "4 2"])]) == [1.0, 0.0]


def test_a_column_that_held_out_prompts_lack_is_told_before_training(place, tiny_model_directory):
    Path("held.jsonl").write_text("".join(json.dumps({"prompt": f"{k}? "}) + "\n" for k in range(30, 36)))
    with pytest.raises(ConfigError, match="takes 'answer', and no row of the data has such a column"):
        train(tiny_model_directory, held_out_data="held.jsonl", held_out=0)
    assert not (place / "run" / "metrics.jsonl").exists()
