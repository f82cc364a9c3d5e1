"""What a body says, and which log-probs are believed."""

import math

import pytest

from preferably.remote.reply import NoReplyError, error_of, read_reply


def body(content="AB", logprobs=None, **more):
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop", "logprobs": logprobs}
    return {"choices": [choice | more], "model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def entry(text, logprob, **top):
    return {"token": text, "logprob": logprob,
            "top_logprobs": [{"token": name, "logprob": value} for name, value in top.items()]}  # fmt: skip


GOOD = [entry("A", -0.1, A=-0.1, B=-2.5), entry("B", -0.7, B=-0.7, C=-0.8)]


def test_tokens_with_what_else_could_have_stood_there():
    reply = read_reply(body(logprobs={"content": GOOD}))
    assert [token.text for token in reply.tokens] == ["A", "B"] and not reply.doubt
    assert reply.tokens[0].top == {"A": -0.1, "B": -2.5} and reply.used == (3, 2)


def test_a_token_that_ends_the_reply_may_follow():
    assert read_reply(body(logprobs={"content": [*GOOD, entry("<|end|>", -0.1, x=-3)]})).tokens


@pytest.mark.parametrize(("listed", "why"), [
    ([GOOD[0]], "not the text"),
    ([entry("A", -0.1, A=-0.1), entry("B", -0.7, B=-0.7)], "no other token"),
    ([entry("A", 0.0), entry("B", 0.0)], "no other token"),
    ([entry("A", -0.1, A=-0.1, B=-0.1), GOOD[1]], "more than 1"),
    ([entry("A", 0.5, B=-2), GOOD[1]], "at most 0"),
    ([entry("A", math.nan, B=-2), GOOD[1]], "at most 0"),
    ([entry("A", None, B=-2), GOOD[1]], "at most 0"),
    ([entry("A", True, B=-2), GOOD[1]], "at most 0"),
    ([entry("A", -0.1, B="x"), GOOD[1]], "at most 0"),
    (["A", "B"], "no token"),
    ("AB", "no token"),
    ([{"logprob": -1}], "no token"),
    ([{"token": "AB", "logprob": -1, "top_logprobs": ["x"]}], "no token"),
])  # fmt: skip
def test_log_probs_that_cannot_be_right_are_doubted(listed, why):
    reply = read_reply(body(logprobs={"content": listed}))
    assert reply.state == "ok" and not reply.tokens and why in reply.doubt


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}, [], "x"])
def test_without_log_probs_there_is_nothing_to_doubt(logprobs):
    reply = read_reply(body(logprobs=logprobs))
    assert reply.state == "ok" and not reply.tokens and not reply.doubt


@pytest.mark.parametrize("broken", [
    None, 3, "x", [], {}, {"choices": None}, {"choices": [3]}, {"choices": [{}]}, {"choices": [{"message": None}]},
    {"error": "busy"}, {"error": {"message": "busy"}, "choices": []},
])  # fmt: skip
def test_what_is_no_reply_is_said_to_be_none(broken):
    with pytest.raises(NoReplyError):
        read_reply(broken)


@pytest.mark.parametrize(("content", "more", "state"), [
    (None, {}, "invalid"), ("", {}, "invalid"), (" \n", {}, "invalid"), (7, {}, "invalid"), ("x", {}, "ok"),
    ("x", {"finish_reason": "length"}, "invalid"), ("x", {"finish_reason": "content_filter"}, "refused"),
    ("", {"message": {"content": None, "refusal": "no"}}, "refused"),
    ([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}], {}, "ok"),
])  # fmt: skip
def test_every_reply_is_in_one_state(content, more, state):
    assert read_reply(body(content, **more)).state == state


@pytest.mark.parametrize("usage", [None, 3, {}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": 1.5}])
def test_counts_that_are_none_are_not_made_up(usage):
    assert read_reply(body() | {"usage": usage}).used is None


def test_what_an_error_says_is_one_short_line_without_control_characters():
    assert error_of({"error": {"message": "a\n\x1b[31mb" + "c" * 999}}) == "a [31mb" + "c" * 293
    assert error_of({"detail": "x"}) == "x" and error_of({"error": {"type": "t"}}) == "t" and error_of(None) == ""
