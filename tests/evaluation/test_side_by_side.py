"""Several models on the same prompts, one of them on a server."""

import json

import pytest
from fault_server import FaultServer, reply

import preferably
from preferably.data.comparable import comparable
from preferably.data.load import load_feedback
from preferably.errors import ConfigError, DataError
from preferably.evaluation.side_by_side import side_by_side
from preferably.remote.sampler import _seed

PROMPTS = [{"prompt": [{"role": "user", "content": f"What is {n}?"}]} for n in range(4)]


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in PROMPTS), encoding="utf-8")
    return file


def strong(server, folder):
    file = folder / "strong.yaml"
    file.write_text(f"server: {server.url}\nmodel: big\ntimeout: 5\ndeadline: 20\n", encoding="utf-8")
    return str(file)


def test_answers_stand_side_by_side_with_who_wrote_them(tiny_model_directory, prompts, tmp_path):
    here, output = str(tiny_model_directory), tmp_path / "both.jsonl"
    with FaultServer(answer=lambda body: reply(f"{body['messages'][-1]['content']} {body['seed']}")) as server:
        there, told = strong(server, tmp_path), []
        done = side_by_side([here, there], data=prompts, output=output, samples=2, max_tokens=8, seed=3,
                            progress=told.append)  # fmt: skip
        assert len(server.seen) == 8 and server.seen[0].body["max_tokens"] == 8 and sum(told) == 12
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert done.rows + done.too_long + done.failed + done.empty + done.equal == 4 and len(rows) == done.rows > 0
    for row in rows:
        assert row["models"] == [here, here, there, there]
        asked = row["prompt"][0]["content"]
        seeds = [one[0]["content"].removeprefix(f"{asked} ") for one in row["completions"][2:]]
        assert seeds == [str(_seed(3, 0)), str(_seed(3, 1))] and len(set(seeds)) == 2
    judged, _ = comparable([output])
    assert [one.origin.model for one in judged[0].group.completions] == [here, here, there, there]


def test_the_stronger_model_s_answers_are_chosen_where_it_is_said(tiny_model_directory, prompts, tmp_path):
    here, output = str(tiny_model_directory), tmp_path / "pairs.jsonl"
    with FaultServer(answer=lambda body: reply("A good answer.")) as server:
        there = strong(server, tmp_path)
        side_by_side([here, there], data=prompts, output=output, prefer=there, max_tokens=8)
    groups = load_feedback([output], "pairs").groups
    assert groups and all(one.completions[0].text == "A good answer." for one in groups)
    assert [one.origin.model for one in groups[0].completions] == [there, here]


def test_what_else_a_prompt_s_row_holds_goes_with_it_to_the_judge(tiny_model_directory, tmp_path):
    """A reference answer; not what says something of other completions."""
    row = PROMPTS[0] | {"answer": "42", "score": 77, "source": "made", "labeler": "ada"}
    (tmp_path / "prompts.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    here, data = str(tiny_model_directory), tmp_path / "prompts.jsonl"
    with FaultServer(answer=lambda body: reply("A good answer.")) as server:
        there = strong(server, tmp_path)
        side_by_side([here, there], data=data, output=tmp_path / "both.jsonl", max_tokens=8)
        side_by_side([here, there], data=data, output=tmp_path / "pairs.jsonl", prefer=there, max_tokens=8)
    preferably.sample(here, data=data, output=tmp_path / "two.jsonl", samples=2, max_tokens=8, device="cpu")
    preferably.sample(here, data=data, output=tmp_path / "best.jsonl", best_of=2, reward=["length"], max_tokens=8,
                      device="cpu")  # fmt: skip
    for name, said in (("both", "completions"), ("pairs", "chosen"), ("two", "completions"), ("best", "completion")):
        [made] = map(json.loads, (tmp_path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
        assert (made["answer"], made["source"]) == ("42", "made") and "labeler" not in made
        assert said in made and ("chosen" in made) == (name == "pairs") and made.get("score") != 77
        if name != "best":
            [judged], _ = comparable([tmp_path / f"{name}.jsonl"], keep="answer")
            assert json.loads(judged.group.columns) == {"answer": "42"}


def test_what_a_server_does_not_answer_is_counted(tiny_model_directory, prompts, tmp_path):
    here = str(tiny_model_directory)
    with FaultServer(lambda tries, body, random: "refusal" if "What is 2" in str(body) else "",
                     answer=lambda body: reply("Yes.")) as server:  # fmt: skip
        done = side_by_side([here, strong(server, tmp_path)], data=prompts, output=tmp_path / "o.jsonl", max_tokens=8)
    assert done.failed == 1 and done.rows + done.empty + done.equal == 3


def test_prompts_to_which_a_model_says_nothing_are_counted_apart(prompts, tmp_path):
    with FaultServer(answer=lambda body: reply(" " if "What is 2" in str(body) else body["model"])) as server:
        other = tmp_path / "other.yaml"
        other.write_text(f"server: {server.url}\nmodel: small\n", encoding="utf-8")
        done = side_by_side([strong(server, tmp_path), str(other)], data=prompts, output=tmp_path / "o.jsonl")
    assert done.rows == 3 and (done.empty, done.failed, done.equal) in [(1, 0, 0), (0, 1, 0)]


def test_where_nothing_differs_there_is_nothing_to_compare(prompts, tmp_path):
    with FaultServer(answer=lambda body: reply("Yes.")) as server:
        one = strong(server, tmp_path)
        other = tmp_path / "other.yaml"
        other.write_text(f"server: {server.url}\nmodel: small\n", encoding="utf-8")
        with pytest.raises(DataError, match="answers that differ"):
            side_by_side([one, str(other)], data=prompts, output=tmp_path / "o.jsonl")
        assert not (tmp_path / "o.jsonl").exists()


def test_another_seed_has_no_seed_of_a_sample_in_common():
    drawn = {_seed(seed, number) for seed in range(40) for number in range(8)}
    assert len(drawn) == 320 and all(0 <= one < 2**31 for one in drawn)


@pytest.mark.parametrize(("models", "how", "told"), [
    (["a"], {}, "two different"), (["a", "a"], {}, "two different"), (["a", "b"], {"prefer": "c"}, "prefer"),
    (["a", "b", "c"], {"prefer": "a"}, "prefer"), (["a", "b"], {"prefer": "a", "samples": 2}, "prefer"),
])  # fmt: skip
def test_what_cannot_be_compared_is_one_error(prompts, tmp_path, models, how, told):
    with pytest.raises(ConfigError, match=told):
        side_by_side(models, data=prompts, output=tmp_path / "o.jsonl", **how)
