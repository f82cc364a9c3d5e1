"""A language model on a server as a judge."""

import json
import math
import re

import pytest
from fault_server import MARK, ODD, FaultServer, good, reply, verdict

from preferably.errors import ConfigError
from preferably.evaluation.raters import rates
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.judging.judge import both_orders, inconsistencies
from preferably.judging.llm import LanguageJudge, Panel, log_odds
from preferably.judging.named import judge_of
from preferably.judging.parts import check_columns, reward_parts
from preferably.judging.settings import judge_settings, read_judges
from preferably.remote.reply import Token


def group(*texts, ask="What is it?"):
    return Group((Message("user", ask),), tuple(Completion((Message("assistant", text),)) for text in texts))


def settings(server, **more):
    return judge_settings(
        {"server": server.url, "model": "m", "schema": "no", "logprobs": "no", "timeout": 5, "deadline": 20} | more
    )


def truth(server, at):
    """What the server said to the question number `at` that it saw, as a choice of what was shown."""
    return {"A": 0, "B": 1, "tie": "tie"}[verdict(MARK.search(server.seen[at].body["messages"][0]["content"])[1])]


def prefers(want):
    """A server's answer that prefers the reply in which `want` stands; a tie where it stands in both or neither."""

    def answer(body):
        mark = MARK.search(body["messages"][0]["content"])[1]
        found = re.findall(rf"--- reply ([AB]) {mark}\n(.*?)\n--- end", body["messages"][1]["content"], re.DOTALL)
        have = [letter for letter, text in found if want in text]
        return reply(json.dumps({"mark": mark, "better": have[0] if len(have) == 1 else "tie"}))

    return answer


def test_it_says_what_the_server_says():
    with FaultServer() as server:
        said = LanguageJudge(settings(server, concurrency=1))([group("one", f"two {n}") for n in range(9)])
        assert [one.choice for one in said] == [truth(server, at) for at in range(9)]
        assert {one.labeler for one in said} == {"m"} and {one.state for one in said} == {"ok"}
        body = server.seen[0].body
        assert (body["model"], body["temperature"], body["max_tokens"], body["stream"]) == ("m", 0.0, 512, False)
        assert "response_format" not in body and "logprobs" not in body


def test_what_the_server_is_to_decide_is_left_out_and_more_can_be_said():
    with FaultServer() as server:
        LanguageJudge(settings(server, temperature=None, max_tokens=None, extra={"reasoning_effort": "low"}))(
            [group("a", "b")]
        )
        body = server.seen[0].body
        assert "temperature" not in body and "max_tokens" not in body and body["reasoning_effort"] == "low"


def test_a_judge_that_looks_at_the_content_is_the_same_in_both_orders():
    with FaultServer(answer=prefers("good")) as server:
        pairs = [group("good", "bad"), group("bad", "good"), group("good", "good too")]
        said = both_orders(LanguageJudge(settings(server)))(pairs)
        assert [one.choice for one in said] == [0, 1, "tie"] and not inconsistencies(said)


def test_a_judge_that_looks_at_the_place_is_a_tie_in_both_orders():
    def first(body):
        return reply(json.dumps({"mark": MARK.search(body["messages"][0]["content"])[1], "better": "A"}))

    with FaultServer(answer=first) as server:
        said = both_orders(LanguageJudge(settings(server)))([group("one", "two")] * 3)
        assert [one.choice for one in said] == ["tie"] * 3 and inconsistencies(said) == 3


@pytest.mark.parametrize(("fault", "state"), ODD.items())
def test_every_answer_ends_in_one_state_and_none_is_made_up(fault, state):
    with FaultServer(lambda *_: fault) as server:
        [said] = LanguageJudge(settings(server))([group("one", "two")])
        assert said.state == state and (said.choice is None) == (state != "ok")


def told(text, top):
    """A reply of one token a character, the token at the verdict with these log-probs."""
    entries = []
    for at, character in enumerate(text):
        here = top if at == text.rindex('"better": "') + 11 else {character: -0.01, "?": -9.0}
        top_ones = [{"token": name, "logprob": value} for name, value in here.items()]
        entries.append({"token": character, "logprob": here[character], "top_logprobs": top_ones})
    body = reply(text)
    body["choices"][0]["logprobs"] = {"content": entries}
    return body


def sure(mark, letter, top):
    return told(json.dumps({"mark": mark, "better": letter}), top)


@pytest.mark.parametrize(("top", "letter", "strength"), [
    ({"A": math.log(0.8), "B": math.log(0.2)}, "A", math.log(4)),
    ({"B": math.log(0.9), "A": math.log(0.05), "t": math.log(0.05)}, "B", math.log(18)),
    ({"A": math.log(0.97), "x": math.log(0.01)}, "A", math.log(97)),  # B is at most as likely as what is named last
    ({"A": math.log(0.3), "B": math.log(0.1), "x": math.log(0.6)}, "A", None),  # little of it is on verdicts
    ({"A": math.log(0.3), "B": math.log(0.7)}, "A", None),  # what it said was not the likelier one
])  # fmt: skip
def test_how_sure_it_is(top, letter, strength):
    with FaultServer() as server:
        server.answer = lambda body: sure(MARK.search(body["messages"][0]["content"])[1], letter, top)
        [said] = LanguageJudge(settings(server, logprobs="yes"))([group("one", "two")])
        assert said.choice == "AB".index(letter)
        assert said.strength == (None if strength is None else pytest.approx(strength))
        assert server.seen[0].body["top_logprobs"] == 10


def test_a_letter_counts_in_whatever_token_it_stands():
    tokens = [Token('{"better": ', {'{"better": ': -0.1}), Token('"B', {'"B': math.log(0.6), ' "A"': math.log(0.3)}),
              Token('"}', {'"}': -0.1})]  # fmt: skip
    assert log_odds(tokens, 12, "B") == pytest.approx(math.log(2))
    assert log_odds(tokens, 99, "B") is None


def test_what_a_server_can_do_is_found_out_by_asking():
    def able(body):
        if "messages" in body and "harbour" in body["messages"][0]["content"]:
            if "response_format" in body and "logprobs" not in body:
                return reply('{"quince": "seven"}')
            return told('{"better": "A"}', {"A": -0.1, "B": -3})
        return good(body)

    with FaultServer(answer=able) as server:
        judge = LanguageJudge(settings(server, schema="auto", logprobs="auto"))
        judge([group("one", "two")])
        judge([group("one", "three")])
        assert judge.able().schema and judge.able().logprobs and not judge.able().doubts
        assert len(server.seen) == 4  # asked once
        schema = server.seen[2].body["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["better"]["enum"] == ["A", "B", "tie"]


def test_what_it_only_says_it_does_is_not_relied_on():
    """It takes the schema and goes on as ever; it sends log-probs that are not those of the text."""

    def liar(body):
        made = good(body)
        made["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": 0.0, "top_logprobs": []}]}
        return made

    with FaultServer(answer=liar) as server:
        judge = LanguageJudge(settings(server, schema="auto", logprobs="auto"))
        [said] = judge([group("one", "two")])
        assert said.state == "ok" and said.strength is None
        assert not judge.able().schema and not judge.able().logprobs
        assert [doubt.partition(":")[0] for doubt in judge.able().doubts] == ["no structured output", "no log-probs"]
        assert "response_format" not in server.seen[-1].body


def test_a_server_that_refuses_a_schema_is_asked_without():
    def plan(tries, body, random):
        return "400" if "response_format" in body or "logprobs" in body else ""

    with FaultServer(plan) as server:
        judge = LanguageJudge(settings(server, schema="auto", logprobs="auto"))
        assert judge([group("one", "two")])[0].state == "ok" and len(judge.able().doubts) == 2


def test_a_panel_says_what_more_than_half_say():
    def says(choice, state="ok"):
        return lambda groups: [Preference(choice, state=state, labeler=str(choice)) for _ in groups]

    failed = says(None, "invalid")
    for members, choice, state in (
        ([says(0), says(0), says(1)], 0, "ok"), ([says(0), says(1), says("tie")], "tie", "ok"),
        ([says(0), says(0), failed], 0, "ok"), ([says(0), failed, failed], None, "failed"),
        ([says(0), says(1)], "tie", "ok"), ([says(0), failed], None, "failed"),
        ([says("unsure"), says("unsure"), says(1)], None, "failed"),
    ):  # fmt: skip
        [said] = Panel(members)([group("one", "two")])
        assert (said.choice, said.state) == (choice, state)
    with pytest.raises(ConfigError, match="two judges"):
        Panel([failed])


def test_a_file_describes_a_judge_or_a_panel(tmp_path):
    file = tmp_path / "judge.yaml"
    text = "server: http://127.0.0.1:1/v1\nmodel: big\nrubric: Be brief.\nschema: no\nlogprobs: yes\n"
    file.write_text(text, encoding="utf-8")
    [one] = read_judges(file)
    assert (one.labeler, one.rubric, one.schema_, one.logprobs) == ("big", "Be brief.", "no", "yes")
    assert judge_of(str(file)).__name__ == "big"
    file.write_text(text + "panel:\n- {}\n- {model: small, name: the small one}\n", encoding="utf-8")
    assert [one.labeler for one in read_judges(file)] == ["big", "the small one"]
    assert judge_of(str(file)).__name__ == "big + the small one"


@pytest.mark.parametrize(("more", "told"), [
    ("panel: []", "panel"), ("panel: [{}, {}]", "same name"), ("keyenv: X", "keyenv"),
    ("concurrency: 0", "concurrency"), ("schema: maybe", "schema"),
    ("key_env: sk-abc", "name of an environment"), ("max_cost: 1", "prices"), ("axes: {}\nscale: 1", "scale"),
    ("temperature: .nan", "temperature"), ("extra: {api_key: canary}", "api_key"),
    ("extra: {headers: [{Authorization: canary}]}", "Authorization"), ("extra: {token: canary}", "key_env"),
    ("panel: [{}, {model: b, extra: {x-api-key: canary}}]", "x-api-key"), ("api_key: canary", "api_key"),
])  # fmt: skip
def test_a_file_that_describes_none_is_one_error(tmp_path, more, told):
    file = tmp_path / "judge.yaml"
    file.write_text(f"server: http://127.0.0.1:1/v1\nmodel: big\n{more}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=told) as caught:
        read_judges(file)
    assert "canary" not in str(caught.value)  # what may be a key is not shown


def test_what_only_sounds_like_a_key_is_taken():
    extra = {
        "max_completion_tokens": 5,
        "prompt_cache_key": "a",
        "stop_token_ids": [1],
        "chat_template_kwargs": {"k": 1},
    }
    assert judge_settings({"server": "http://127.0.0.1:1/v1", "model": "m", "extra": extra}).extra == extra


def test_names_that_name_no_judge_are_one_error():
    with pytest.raises(ConfigError, match="no judge"):
        judge_of("somebody")


def test_a_reference_that_no_row_has_is_one_error_wherever_groups_are_asked_about(tmp_path):
    """Of some rows one that has it is enough, and what is asked later (probes, parts of a batch) may have none."""
    plain = group("one", "two")
    has = Group(plain.prompt, plain.completions, columns='{"answer": "42"}')
    with FaultServer() as server:
        for columns in ("", '{"anwser": "42"}'):
            without = Group(plain.prompt, plain.completions, columns=columns)
            judge = LanguageJudge(settings(server, reference="answer"))
            with pytest.raises(ConfigError, match="No row has a column 'answer'"):
                both_orders(judge)([without])
            assert not server.seen
        judge([plain, has])
        assert ["\n42\n" in one.body["messages"][1]["content"] for one in server.seen].count(True) == 1
        judge([plain])
        file = tmp_path / "judge.yaml"
        file.write_text(
            f"server: {server.url}\nmodel: m\nschema: no\nlogprobs: no\nreference: answer\nreplies: {tmp_path}/r.db\n",
            encoding="utf-8",
        )
        [part] = reward_parts([f"judge:{file}"])
        with pytest.raises(ConfigError, match="takes 'answer'"):
            check_columns([part], [plain])
        check_columns([part], [plain, has])
        assert len(part.score([plain])) == 2  # a batch without it, of data that has it
        with pytest.raises(ConfigError, match="rated alone"):
            file.write_text(file.read_text() + "axes: {kind: is it}\n")
            rates(str(file))
