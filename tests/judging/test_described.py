"""Who decided is told of every judge, however it is wrapped."""

from types import SimpleNamespace

import pytest
from fault_server import FaultServer

from preferably.evaluation.winrate import win_rate
from preferably.feedback.records import Completion, Group, Message
from preferably.judging.described import asked_through, deciders, judged_by
from preferably.judging.judge import behind, both_orders, judge_by_score, says_odds
from preferably.judging.llm import LanguageJudge, Panel, judge_from
from preferably.judging.reward import RewardJudge
from preferably.judging.settings import judge_settings


def settings(server, **more):
    plain = {"server": server.url, "model": "m", "schema": "no", "logprobs": "no", "timeout": 5, "deadline": 20}
    return judge_settings(plain | more)


def longer(prompts, completions):
    return [float(len(text)) for text in completions]


def group(*texts):
    return Group((Message("user", "hi"),), tuple(Completion((Message("assistant", text),)) for text in texts))


def test_a_language_model_is_named_with_what_it_took():
    with FaultServer() as server:
        judge = LanguageJudge(settings(server, prices=[1e6, 2e6], rubric="be brief", name="ada", temperature=0.5))
        assert behind(both_orders(judge)) is judge and says_odds(both_orders(judge))
        prompts = [Group((Message("user", str(at)),)) for at in range(3)]
        found = win_rate(prompts, [["a"]] * 3, [["b"]] * 3, both_orders(judge))
    [one] = found.judged_by
    # Each reply: 100 tokens asked at 1, 10 said at 2; three pairs in both orders.
    assert (one.requests, one.tokens, one.cost) == (6, 660, pytest.approx(6 * (100 + 20)))
    assert (one.name, one.model, one.rubric, one.temperature) == ("ada", "m", "be brief", 0.5)
    assert one.server == server.url.removeprefix("http://").removesuffix("/v1")
    told = found.as_json(judge="judge.yaml", decoding={}, model="x", against="y")["judged_by"]
    assert told[0]["model"] == "m" and told[0]["requests"] == 6 and "key_env" not in told[0]


def test_the_digest_is_of_what_verdicts_depend_on():
    with FaultServer() as server:
        [plain] = deciders(LanguageJudge(settings(server)))
        for more, same in (({"rubric": "x"}, False), ({"ties": False}, False), ({"model": "n"}, False),
                           ({"extra": {"top_k": 1}}, False), ({"concurrency": 3}, True), ({"name": "x"}, True),
                           ({"deadline": 9}, True), ({"max_requests": 9}, True)):  # fmt: skip
            assert (deciders(LanguageJudge(settings(server, **more)))[0].digest == plain.digest) == same, more


def test_members_of_a_panel_reward_models_and_functions():
    with FaultServer() as server:
        panel = judge_from([settings(server, name=name) for name in ("ada", "ben")])
        assert isinstance(panel, Panel) and not says_odds(both_orders(panel))
        assert [one.name for one in deciders(both_orders(panel))] == ["ada", "ben"]
        assert asked_through(both_orders(panel)) == list(panel.judges)
    reward = RewardJudge.__new__(RewardJudge)
    reward.loaded = SimpleNamespace(name="runs/rm")
    [one] = deciders(reward)
    assert one.model == "runs/rm" and one.server is None and one.requests is None
    assert deciders(judge_by_score(longer)) == [] and judged_by([]) is None


def test_doubts_are_told():
    with FaultServer(answer=lambda body: {"choices": [{"message": {"content": "no"}, "finish_reason": "stop"}]}) as one:
        judge = LanguageJudge(settings(one, schema="auto", logprobs="auto"))
        doubts = [text.partition(":")[0] for text in deciders(judge)[0].doubts]
        assert doubts == ["no structured output", "no log-probs"]
