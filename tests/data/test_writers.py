"""What is written is read back equal, in every kind of file."""

import gzip
import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preferably.data.conversations import same_text
from preferably.data.load import load_feedback
from preferably.data.writers import row_of, write_rows
from preferably.errors import ConfigError, DataError
from preferably.feedback.records import Completion, Group, Message

ENDINGS = [".jsonl", ".json", ".csv", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz", ".parquet.gz"]
FEEDBACK = ["pairs", "labels", "demonstrations", "rankings", "prompts"]

# Text that says something. Half characters cannot be written, and NUL cannot be read (kinds 5 and 6).
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8).filter(
    lambda text: text.strip() and not text.lstrip().startswith("[")
)  # fmt: skip
CALL = {"type": "function", "function": {"name": "find", "arguments": {"q": ["x", 1, None]}}}
FIELDS = st.sampled_from(["", json.dumps({"tool_calls": [CALL]}), json.dumps({"name": "ann"})])
TOOLS = json.dumps([{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}])


@st.composite
def completions(draw, many, kind):
    """`many` completions that differ by more than what is trimmed."""
    if kind == "text":
        made = [(Message("text", text),) for text in draw(st.lists(TEXT, min_size=many, max_size=many))]
    else:
        made = []
        for _ in range(many):
            turns = [Message("assistant", draw(TEXT), True, draw(FIELDS))]
            if draw(st.booleans()):
                answer = Message("assistant", draw(TEXT), draw(st.booleans()))
                turns += [Message("tool", draw(TEXT | st.just("")), True, json.dumps({"tool_call_id": "7"})), answer]
            made.append(tuple(turns))
    return tuple(map(Completion, made))


@st.composite
def group(draw, feedback, kind):
    prompt = (Message("text", draw(TEXT)),)
    if kind == "chat":
        prompt = (Message("user", draw(TEXT)),)
        if draw(st.booleans()):
            prompt = (Message("system", draw(TEXT)), Message("user", draw(TEXT)), Message("assistant", "a"), *prompt)
    tools = draw(st.sampled_from(["", TOOLS])) if kind == "chat" else ""
    many = {"pairs": 2, "labels": 1, "demonstrations": 1, "prompts": 0}.get(feedback) or draw(st.integers(2, 4))
    many = 0 if feedback == "prompts" else many
    made = Group(prompt, draw(completions(many, kind)), None, tools)
    if feedback == "labels":
        return replace(made, label=draw(st.booleans()))
    if feedback == "pairs":
        return replace(made, strength=draw(st.none() | st.floats(0, 9)))
    if feedback == "rankings":
        ranks = tuple(sorted(draw(st.lists(st.integers(1, many), min_size=many, max_size=many))))
        dense = tuple(sorted(set(ranks)).index(rank) + 1 for rank in ranks)
        return replace(made, ranks=dense)
    return made


def readable(groups):
    """Those that a reader takes: completions that differ, an order, no row twice or with the reverse said before."""
    kept, seen = [], set()
    for one in groups:
        texts = [completion.messages for completion in one.completions]
        twins = any(same_text(*pair) for pair in itertools.combinations(texts, 2))
        key = (one.prompt, one.tools, one.completions, one.label, one.ranks)
        if not twins and key not in seen and (not one.ranks or len(set(one.ranks)) > 1):
            seen.add(key)
            kept.append(one)
    return kept


NUMBER = itertools.count()


@pytest.mark.parametrize("ending", ENDINGS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_groups_come_back_equal(tmp_path, ending, data):
    feedback = data.draw(st.sampled_from(FEEDBACK))
    kind = data.draw(st.sampled_from(["text", "chat"]))
    groups = readable(data.draw(st.lists(group(feedback, kind), min_size=1, max_size=4)))
    if not groups:
        return
    path = tmp_path / f"{next(NUMBER)}{ending}"
    assert write_rows(map(row_of, groups), path) == len(groups)
    loaded = load_feedback([path], feedback)
    assert [replace(one, place=None) for one in loaded.groups] == groups
    assert loaded.accounting.used == loaded.accounting.read == len(groups)


def test_a_turn_that_is_not_learnt_and_plain_text_come_back(tmp_path):
    turns = (Message("assistant", "a", False), Message("user", "w"), Message("assistant", "b"))
    groups = [
        Group((Message("user", "q"),), (Completion(turns),)),
        Group((), (Completion((Message("text", "once"),)),)),
    ]
    for ending in (".jsonl", ".json"):
        path = tmp_path / f"rows{ending}"
        write_rows(map(row_of, groups), path)
        assert [replace(one, place=None) for one in load_feedback([path], "demonstrations").groups] == groups


def test_the_same_rows_give_the_same_bytes(tmp_path):
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        write_rows([{"text": "a"}], tmp_path / name)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "one.jsonl.gz").read_bytes()) == b'{"text": "a"}\n'


def test_nothing_is_overwritten(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("mine")
    with pytest.raises(DataError, match="exists already"):
        write_rows([{"text": "a"}], path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "rows", "says"),
    [
        ("a.csv", [{"prompt": '[{"role": "user"}]'}], "read back from CSV as messages"),
        ("a.csv", [{"prompt": "p", "completion": "c"}, {"text": "t"}], "cannot leave out"),
        ("a.csv", [{"text": "x" * 200_000}], "200000 characters"),
        ("a.parquet", [{"prompt": "p"}, {"prompt": [{"role": "user", "content": "q"}]}], "columns of one type"),
        ("a.jsonl", [{"text": "a"}, {"text": float("nan")}], "cannot hold row 2"),
        ("a.json.gz", [{"text": b"a"}], "cannot hold row 1"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_left(tmp_path, name, rows, says):
    with pytest.raises(DataError, match=says):
        write_rows(rows, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_name_has_to_say_how(tmp_path):
    with pytest.raises(ConfigError, match="rows.txt does not say how"):
        write_rows([], tmp_path / "rows.txt")
