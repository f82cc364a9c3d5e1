"""The judge against real servers, each with a small model that is made here."""

import pytest
import torch
from local_servers import TEMPLATE, llama_cpp, transformers_serve
from transformers import AddedToken, LlamaConfig, LlamaForCausalLM

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


@pytest.fixture
def of_one_reply(tiny, tmp_path):
    """`of_one_reply(text)`: the directory of a model that says `text` to all it is asked, by weights set by hand."""

    def made(text):
        tokenizer = tiny.tokenizer()
        tokenizer.add_tokens([AddedToken(text, normalized=False)])
        tokenizer.chat_template = TEMPLATE
        says, words = tokenizer.convert_tokens_to_ids(text), len(tokenizer)
        opens = tokenizer.convert_tokens_to_ids(">")  # with which the template ends
        model = LlamaForCausalLM(LlamaConfig(
            vocab_size=words, hidden_size=128, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
            tie_word_embeddings=False, bos_token_id=0, eos_token_id=1, pad_token_id=2,
        ))  # fmt: skip
        layer = model.model.layers[0]
        with torch.no_grad():
            for weight in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight, model.lm_head.weight):
                weight.zero_()
            model.get_input_embeddings().weight.copy_(torch.eye(128)[:words])  # what comes next hangs on one token
            model.lm_head.weight[says, opens] = model.lm_head.weight[1, says] = 50.0
        model.save_pretrained(tmp_path / "model")
        tokenizer.save_pretrained(tmp_path / "model")
        return tmp_path / "model"

    return made


def test_transformers_serve_is_read_in_the_form_that_it_was_told_and_what_is_no_verdict_is_none(of_one_reply, tmp_path):
    """It binds no reply to a schema. The model has the verdicts on one group by heart, for either order, and says them
    to whatever it is asked: each question finds its own by its mark, and the other group has none."""
    settings = judge_settings({"server": "http://127.0.0.1:9/v1", "model": "any", "max_tokens": 8})
    marks = [question("pair", GROUPS[0], order, settings).mark for order in ((0, 1), (1, 0))]
    text = " ".join(f'{{"mark": "{mark}", "better": "{letter}"}}' for mark, letter in zip(marks, "BA", strict=True))
    model = of_one_reply(text)
    with transformers_serve(tmp_path, model) as url:
        judge = LanguageJudge(settings.model_copy(update={"server": url, "model": str(model)}))
        said = judge(GROUPS[:2])
        assert [(one.state, one.choice) for one in said] == [("ok", 1), ("invalid", None)]
        assert not judge.able().schema and len(judge.able().doubts) >= 1
        assert judge.client.spending.tokens > 0
