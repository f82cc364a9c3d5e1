import pytest

from preferably.data.chat import ensure_template, is_text, leading_special_tokens, render
from preferably.errors import DataError
from preferably.feedback.records import Message

TALK = [Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Ho"), Message("user", "Bye")]


def test_the_default_template_spells_out_the_turns(characters):
    tokenizer = characters(bos=False)
    assert ensure_template(tokenizer) and not ensure_template(tokenizer)
    assert (
        render(TALK, tokenizer, True) == "System: Be brief.\n\nUser: Hi\n\nAssistant: Ho</s>\n\nUser: Bye\n\nAssistant:"
    )
    assert render(TALK[:3], tokenizer, False) == "System: Be brief.\n\nUser: Hi\n\nAssistant: Ho</s>"


def test_the_default_template_writes_the_bos_that_the_tokenizer_would_add(characters):
    tokenizer = characters(bos=True)
    ensure_template(tokenizer)
    assert render(TALK[1:2], tokenizer, True) == "<s>User: Hi\n\nAssistant:"
    ids = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=True)["input_ids"]
    assert ids.count(0) == 1


def test_a_template_that_is_there_is_kept(characters):
    tokenizer = characters()
    tokenizer.chat_template = "{% for message in messages %}|{{ message['content'] }}{% endfor %}"
    assert not ensure_template(tokenizer)
    assert render(TALK, tokenizer, False) == "|Be brief.|Hi|Ho|Bye"


def test_plain_text_needs_no_template(characters):
    assert render([Message("text", "1+1="), Message("text", " 2")], characters(), True) == "1+1= 2"
    assert render([], characters(), True) == ""
    assert is_text([Message("text", "x")]) and not is_text(TALK)


def test_leading_special_tokens(characters, byte_level):
    assert leading_special_tokens(characters(bos=True)) == [0]
    assert leading_special_tokens(characters(bos=False)) == leading_special_tokens(byte_level) == []


@pytest.mark.parametrize("template", ["{{ raise_exception('alternate, please') }}", "{{ 1 / 0 }}", "{% if %}"])
def test_errors_of_a_template_name_the_roles(characters, template):
    tokenizer = characters()
    tokenizer.chat_template = template
    with pytest.raises(DataError, match="system, user, assistant, user"):
        render(TALK, tokenizer, True)


def test_text_and_turns_do_not_mix(characters):
    with pytest.raises(DataError, match="roles: text, user"):
        render([Message("text", "x"), Message("user", "y")], characters(), True)


def test_no_template_at_all_is_said(characters):
    with pytest.raises(DataError, match="template"):
        render(TALK, characters(), True)


def test_the_end_of_turn_is_found_where_it_is_not_the_eos() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from preferably.data.chat import end_of_turn

    words = {"<eos>": 0, "<|im_end|>": 1, "a": 2, "b": 3, "user": 4, "assistant": 5, "<unk>": 6}
    core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<eos>", unk_token="<unk>", additional_special_tokens=["<|im_end|>"]
    )
    turn = "{{ message['role'] }} {{ message['content'] }}"
    tokenizer.chat_template = "{% for message in messages %}" + turn + "<|im_end|>\n{% endfor %}"
    assert end_of_turn(tokenizer) == 1
    tokenizer.chat_template = "{% for message in messages %}" + turn + "{{ eos_token }}{% endfor %}"
    assert end_of_turn(tokenizer) == 0
    tokenizer.chat_template = "{% for message in messages %}" + turn + " {% endfor %}"
    assert end_of_turn(tokenizer) is None
