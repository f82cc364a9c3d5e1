"""The judge against real servers, each with a small model of random weights that is made here."""

import shutil

import pytest
from local_servers import TEMPLATE, llama_cpp, transformers_serve
from transformers import AutoTokenizer

from preferably.feedback.records import Completion, Group, Message
from preferably.feedback.store.kept_replies import KeptReplies
from preferably.feedback.store.store import Store
from preferably.judging.labeling import label
from preferably.judging.llm import LanguageJudge
from preferably.judging.questions import question
from preferably.judging.settings import judge_settings


def group(*texts):
    return Group((Message("user", "What is it?"),), tuple(Completion((Message("assistant", text),)) for text in texts))


GROUPS = [group("one", "two"), group("A long reply.", "No."), group("a", "b", "c")]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    with llama_cpp(tmp_path_factory.mktemp("llama")) as url:
        yield url


def test_llama_cpp_answers_in_the_form_asked_for(llama, tmp_path):
    """Its model knows nothing; that every answer is a verdict is the server's doing, by the schema."""
    settings = judge_settings(
        {"server": llama, "model": "tiny", "max_tokens": 200, "axes": {"honest": "true", "brief": "short"}}
    )
    with Store(tmp_path / "preferably.db") as store:
        judge = LanguageJudge(settings, KeptReplies(store))
        assert judge.able().schema and judge.able().logprobs and not judge.able().doubts
        for kind, asked, kept in (("pair", 10, 10), ("ranking", 6, 6), ("rating", 7, 6)):
            before = store.counts()["judgments"]
            told = label(judge, GROUPS, store, kind=kind)
            assert (told.asked, told.states["failed"]) == (asked, 0)
            if kind != "ranking":  # an order may name a reply twice, which no schema of servers forbids
                assert told.states["ok"] == asked, told.why
            assert sum(told.states.values()) == asked and store.counts()["judgments"] - before == kept
        before, spent = list(store.entries()), judge.client.spending.requests
        again = LanguageJudge(settings, KeptReplies(store))
        assert label(again, GROUPS, store).cached == 10 and list(store.entries()) == before
        assert again.client.spending.requests == 0 and spent > 20
        assert judge.client.spending.tokens > 1000  # as the server counts them


def test_llama_cpp_gives_log_probs_that_are_those_of_the_text(llama):
    judge = LanguageJudge(judge_settings({"server": llama, "model": "tiny", "max_tokens": 200}))
    asked = question("pair", GROUPS[0], (0, 1), judge.settings)
    [answered] = judge.answers([asked])
    assert answered.reply.tokens and not answered.reply.doubt
    assert "".join(token.text for token in answered.reply.tokens).startswith(answered.reply.text)
    assert all(len(token.top) >= 2 for token in answered.reply.tokens)


def test_transformers_serve_is_taken_for_what_it_does(tmp_path, tiny_model_directory):
    """A model of random weights that no schema binds says nothing that is a verdict, and none is made up."""
    model = shutil.copytree(tiny_model_directory, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(model)
    with transformers_serve(tmp_path, model) as url:
        judge = LanguageJudge(judge_settings({"server": url, "model": str(model), "max_tokens": 8}))
        said = judge(GROUPS[:2])
        assert [one.state for one in said] == ["invalid"] * 2 and [one.choice for one in said] == [None, None]
        assert not judge.able().schema and len(judge.able().doubts) >= 1
        assert judge.client.spending.tokens > 0
