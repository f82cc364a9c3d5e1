import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preferably.data.accounting import Accounting
from preferably.data.chat import ensure_template
from preferably.data.tokens import encode, encode_prompts
from preferably.errors import DataError, ModelError
from preferably.feedback.records import Completion, Group, Message

BOS, EOS, END = 0, 1, 2
CHATML = (
    "{% for m in messages %}{{ '[' + m['role'] + ']' + m['content'] + '<end>\n' }}{% endfor %}"
    "{{ '[assistant]' if add_generation_prompt else '' }}"
)


def text_group(prompt, *completions, place=("a.jsonl", 1)):
    said = tuple(Completion((Message("text", text),)) for text in completions)
    return Group((Message("text", prompt),) if prompt else (), said, place)


def chat_group(prompt, *completions):
    return Group(
        tuple(Message(role, text) for role, text in prompt),
        tuple(Completion(tuple(Message(role, text) for role, text in turns)) for turns in completions),
        ("a.jsonl", 1),
    )


def shown(tokenizer, group):
    """The prompt, and each completion with what is not learnt replaced by dots, a token a character or a name."""

    def names(ids, train):
        pieces = tokenizer.convert_ids_to_tokens(ids)
        return "".join(piece if learnt else "." * len(piece) for piece, learnt in zip(pieces, train, strict=True))

    prompt = names(group.prompt.tolist(), [True] * len(group.prompt))
    return prompt, *(names(ids.tolist(), mask) for ids, mask in zip(group.completions, group.train, strict=True))


def only(encoded):
    assert not encoded.rejects
    (group,) = encoded.groups
    return group


def code(encoded):
    assert not encoded.groups
    (reject,) = encoded.rejects
    return reject.code


def test_text_gets_bos_in_front_and_eos_behind(characters):
    tokenizer = characters()
    group = only(encode([text_group("1+1=", "2", "3")], tokenizer, max_length=99))
    assert shown(tokenizer, group) == ("<s>1+1=", "2</s>", "3</s>")
    assert group.prompt.dtype == group.completions[0].dtype == np.int64 and group.train[0].dtype == np.bool_
    assert group.row == 0


@pytest.mark.parametrize(("prompt", "completion"), [("<s>q", "a</s>"), ("q", "a</s>"), ("<s>q", "a")])
def test_bos_and_eos_that_the_text_already_has_are_not_doubled(characters, prompt, completion):
    tokenizer = characters()
    assert shown(tokenizer, only(encode([text_group(prompt, completion)], tokenizer, max_length=99))) == (
        "<s>q",
        "a</s>",
    )


def test_another_special_token_does_not_end_plain_text(characters):
    tokenizer = characters()
    assert shown(tokenizer, only(encode([text_group("q", "a<end>")], tokenizer, max_length=99)))[1] == "a<end></s>"


@pytest.mark.parametrize(
    ("completions", "expected"),
    [
        # "ab" merges over the boundary: the merged token belongs to the completion and is learnt
        (("bc",), ("<s>x", "abc</s>")),
        # without the merge in the other completion, its "a" is the prompt's and is not learnt
        (("bc", "cd"), ("<s>x", "abc</s>", ".cd</s>")),
        (("cd", "dc"), ("<s>xa", "cd</s>", "dc</s>")),
    ],
)
def test_the_boundary_is_the_longest_prefix_in_tokens(characters, completions, expected):
    tokenizer = characters(merges=[("a", "b")])
    assert shown(tokenizer, only(encode([text_group("xa", *completions)], tokenizer, max_length=99))) == expected


def test_a_merge_that_reaches_far_back(characters):
    tokenizer = characters(merges=[("a", "b"), ("ab", "c")], bos=False)
    group = only(encode([text_group("xab", "c", "d")], tokenizer, max_length=99))
    assert shown(tokenizer, group) == ("x", "abc</s>", "..d</s>")
    assert [len(ids) for ids in group.completions] == [2, 3]


def test_no_prompt_uses_bos_and_without_bos_the_first_token(characters):
    with_bos, without = characters(), characters(bos=False)
    assert shown(with_bos, only(encode([text_group("", "abc")], with_bos, max_length=99))) == ("<s>", "abc</s>")
    assert shown(without, only(encode([text_group("", "abc")], without, max_length=99))) == ("a", "bc</s>")
    assert shown(without, only(encode([text_group("", "ab", "ac")], without, max_length=99))) == ("a", "b</s>", "c</s>")
    assert code(encode([text_group("", "ab", "cb")], without, max_length=99)) == "no_shared_start"


def test_byte_level_offsets_keep_the_leading_space_and_split_characters(byte_level):
    group = only(encode([text_group("q", " hi", " \U0001f600")], byte_level, max_length=99))
    assert byte_level.convert_ids_to_tokens(group.completions[0].tolist()) == ["Ġhi", "</s>"]
    assert byte_level.decode(group.completions[1][:-1]) == " \U0001f600" and len(group.completions[1]) == 6
    assert all(mask.all() for mask in group.train)


def test_chat_with_the_default_template(characters):
    tokenizer = characters()
    ensure_template(tokenizer)
    group = only(
        encode([chat_group([("user", "q")], [("assistant", "a")], [("assistant", "b")])], tokenizer, max_length=99)
    )
    assert shown(tokenizer, group) == ("<s>User: q\n\nAssistant:", " a</s>", " b</s>")


def test_only_the_assistants_turns_are_learnt_and_each_learns_its_end(characters):
    tokenizer = characters()
    ensure_template(tokenizer)
    turns = [("assistant", "a"), ("user", "w"), ("assistant", "b")]
    group = only(encode([chat_group([("system", "s"), ("user", "q")], turns)], tokenizer, max_length=99))
    assert shown(tokenizer, group)[1] == " a</s>" + "." * len("\n\nUser: w\n\nAssistant:") + " b</s>"


def test_a_templates_end_of_turn_is_the_end(characters):
    tokenizer = characters()
    tokenizer.chat_template = CHATML
    turns = [("assistant", "a"), ("user", "w"), ("assistant", "b")]
    group = only(encode([chat_group([("user", "q")], turns)], tokenizer, max_length=99))
    # the line break after <end> is the template's and never sampled; nothing follows the last one, not even EOS
    assert shown(tokenizer, group) == (
        "[user]q<end>\n[assistant]",
        "a<end>" + "." * len("\n[user]w<end>\n[assistant]") + "b<end>",
    )


def test_a_template_without_an_end_of_turn_gets_eos(characters):
    tokenizer = characters()
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '|' + m['content'] }}{% endfor %}{{ '|' if add_generation_prompt else '' }}"
    )
    group = only(encode([chat_group([("user", "q")], [("assistant", "a")])], tokenizer, max_length=99))
    assert shown(tokenizer, group) == ("|q|", "a</s>")


def test_a_turn_that_is_not_to_be_learnt_is_not(characters):
    tokenizer = characters()
    ensure_template(tokenizer)
    turns = (Message("assistant", "a", train=False), Message("user", "w"), Message("assistant", "b"))
    group = only(encode([Group((Message("user", "q"),), (Completion(turns),))], tokenizer, max_length=99))
    assert shown(tokenizer, group)[1] == "." * len(" a</s>\n\nUser: w\n\nAssistant:") + " b</s>"
    last = (Message("assistant", "a"), Message("user", "w"), Message("assistant", "b", train=False))
    group = only(encode([Group((Message("user", "q"),), (Completion(last),))], tokenizer, max_length=99))
    assert shown(tokenizer, group)[1] == " a</s>" + "." * len("\n\nUser: w\n\nAssistant: b</s>")


def test_templates_that_cannot_be_used_are_refused(characters):
    tokenizer = characters()
    tokenizer.chat_template = "{{ messages | length }}{% for m in messages %}{{ '|' + m['content'] }}{% endfor %}"
    group = chat_group([("user", "q")], [("assistant", "a")])
    with pytest.raises(DataError, match=r"a.jsonl:1 .* not incremental"):
        encode([group], tokenizer, max_length=99)
    tokenizer.chat_template = "{{ bos_token * 2 }}{% for m in messages %}{{ '|' + m['content'] }}{% endfor %}"
    with pytest.raises(DataError, match="BOS token twice"):
        encode([group], tokenizer, max_length=99)


def test_forged_special_tokens_are_rejected_in_chat_and_allowed_in_text(characters):
    tokenizer = characters()
    ensure_template(tokenizer)
    assert (
        code(encode([chat_group([("user", "q<end>")], [("assistant", "a")])], tokenizer, max_length=99))
        == "special_token"
    )
    assert len(encode([text_group("q<end>", "a")], tokenizer, max_length=99).groups) == 1


def test_a_tokenizer_without_eos_is_refused(characters):
    with pytest.raises(ModelError, match="no EOS"):
        encode([text_group("q", "a")], characters(eos=False), max_length=99)


# <s>abcd = 5 prompt tokens; "xyz" and EOS = 4, "xyw!" and EOS = 5
LONG = text_group("abcd", "xyz", "xyw!")


@pytest.mark.parametrize(
    ("truncation", "max_length", "expected"),
    [
        ("reject", 10, ("<s>abcd", "xyz</s>", "xyw!</s>")),
        ("reject", 9, "too_long"),
        ("keep_start", 9, ("<s>abcd", "xyz</s>", "xyw!")),
        ("keep_start", 8, ("<s>abcd", "xyz", "xyw")),
        ("keep_start", 7, "equal_after_truncation"),
        ("keep_start", 5, "empty_after_truncation"),
        ("keep_start", 2, "empty_after_truncation"),
        ("keep_end", 9, ("<s>bcd", "xyz</s>", "xyw!</s>")),
        ("keep_end", 7, ("<s>d", "xyz</s>", "xyw!</s>")),
        ("keep_end", 6, ("d", "xyz</s>", "xyw!</s>")),
        ("keep_end", 5, "too_long"),
    ],
)
def test_truncation(characters, truncation, max_length, expected):
    tokenizer = characters()
    accounting = Accounting()
    accounting.use()
    encoded = encode([LONG], tokenizer, max_length=max_length, truncation=truncation, accounting=accounting)
    accounting.close()
    if isinstance(expected, str):
        assert code(encoded) == expected and encoded.truncated == 0 and accounting.rejected == {expected: 1}
        assert encoded.rejects[0].reason == f"5 prompt + 5 completion tokens, {max_length} allowed"
    else:
        assert shown(tokenizer, only(encoded)) == expected and encoded.truncated == (max_length < 10)
        assert accounting.used == 1


def test_pairs_of_equal_tokens_are_rejected(characters):
    assert code(encode([text_group("q", "a", "a</s>")], characters(), max_length=99)) == "equal_tokens"


def test_a_completion_of_nothing_but_the_end_of_its_own_start(characters):
    assert code(encode([text_group("", "</s>")], characters(bos=False), max_length=99)) == "empty"


def test_rows_and_order_survive_rejects_and_batches(characters):
    groups = [text_group("p", "x" * (at % 5 + 1), place=("a.jsonl", at + 1)) for at in range(1500)]
    encoded = encode(groups, characters(), max_length=6)
    assert [group.row for group in encoded.groups] == [at for at in range(1500) if at % 5 < 3]
    assert [reject.line for reject in encoded.rejects] == [at + 1 for at in range(1500) if at % 5 >= 3]


def test_long_texts_log_nothing(characters, caplog):
    tokenizer = characters()
    tokenizer.model_max_length = 4
    with caplog.at_level(logging.WARNING):
        encode([text_group("q" * 50, "a")], tokenizer, max_length=99)
    assert not caplog.records


def test_prompts_for_the_sampler(characters):
    tokenizer = characters()
    ensure_template(tokenizer)
    groups = [text_group("ab"), chat_group([("user", "q")]), Group(())]
    prompts = [tokenizer.decode(ids) for ids in encode_prompts(groups, tokenizer, 40)]
    assert prompts == ["<s>ab", "<s>User: q\n\nAssistant:", "<s>"]
    with pytest.raises(DataError, match=r"1 of 3 prompts are longer than 5 tokens, the first at a.jsonl:1"):
        encode_prompts(groups, tokenizer, 5)
    with pytest.raises(DataError, match="empty"):
        encode_prompts([Group(())], characters(bos=False), 5)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("abc", max_size=6), st.text("abc", min_size=1, max_size=6), st.text("abc", min_size=1, max_size=6))
def test_nothing_is_lost_between_prompt_and_completion(characters, prompt, chosen, rejected):
    tokenizer = characters(merges=[("a", "b"), ("ab", "c"), ("c", "a")])
    encoded = encode([text_group(prompt, chosen, rejected)], tokenizer, max_length=99)
    if chosen == rejected:
        assert code(encoded) == "equal_tokens"
        return
    group = only(encoded)
    for text, ids, mask in zip((chosen, rejected), group.completions, group.train, strict=True):
        whole = tokenizer(prompt + text).input_ids
        assert [*group.prompt, *ids] == [*whole, EOS]
        assert mask[-1] and group.prompt[0] == BOS and len(ids) == len(mask)
        learnt = tokenizer.decode([token for token, learn in zip(ids, mask, strict=True) if learn and token != EOS])
        assert learnt.endswith(text)  # what belongs to the completion is learnt, and at most a merged token more
