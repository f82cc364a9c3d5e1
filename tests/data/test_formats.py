import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.data.accounting import CODES, NO_FAULT, Reject
from preferably.data.formats import parse_row
from preferably.data.load import VIEWS, load_feedback
from preferably.data.readers import read_rows
from preferably.errors import DataError
from preferably.feedback.records import Group, Message, Preference
from preferably.feedback.views import no_verdict, prompts


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def parsed(row, feedback="pairs"):
    """(prompt, completion, ...) as lists of (role, content); the code where the row is rejected."""
    made = parse_row(row, feedback, ("a.jsonl", 4))
    if isinstance(made, Reject):
        assert (made.file, made.line) == ("a.jsonl", 4) and made.field and made.reason
        return made.code
    assert made.group.place == ("a.jsonl", 4)
    group = prompts([made])[0] if feedback == "prompts" else made.group
    parts = [group.prompt, *(completion.messages for completion in group.completions)]
    return tuple([(message.role, message.content) for message in part] for part in parts)


Q, YES, NO = user("q"), assistant("yes"), assistant("no")
U, A, N, S = [("user", "q")], [("assistant", "yes")], [("assistant", "no")], [("system", "be brief")]
TRANSCRIPT = "\n\nHuman: It is what?\n\nAssistant: Which?\n\nHuman: The sky.\n\nAssistant: It is bl"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "1+1=", "chosen": " 2", "rejected": " 3", "extra": None},
         ([("text", "1+1=")], [("text", " 2")], [("text", " 3")])),
        ({"prompt": [Q], "chosen": [YES], "rejected": [NO]}, (U, A, N)),
        (
            {"prompt": [system("be brief"), {"role": "User ", "content": "q"}],
             "chosen": [YES], "rejected": [NO]},
            (S + U, A, N),
        ),
        ({"chosen": [Q, YES], "rejected": [Q, NO]}, (U, A, N)),
        # one goes on where the other has ended: the answer in common belongs to both
        (
            {"chosen": [Q, YES], "rejected": [Q, YES, user("w"), NO]},
            (U, A, [*A, ("user", "w"), ("assistant", "no")]),
        ),
        # the user's turn, repeated as text
        ({"prompt": "q", "chosen": [Q, YES], "rejected": [Q, NO]}, (U, A, N)),
        # the prefix in common ends at a turn, though the answers begin alike
        (
            {"chosen": TRANSCRIPT + "ue", "rejected": TRANSCRIPT + "ack"},
            (
                [("user", "It is what?"), ("assistant", "Which?"), ("user", "The sky.")],
                [("assistant", "It is blue")],
                [("assistant", "It is black")],
            ),
        ),
        ({"instruction": "q", "input": "", "output": "?", "chosen": "yes", "rejected": "no"}, (U, A, N)),
        ({"instruction": "q", "input": "w", "chosen": "yes", "rejected": "no"}, ([("user", "q\n\nw")], A, N)),
        (
            {"instruction": "q", "history": [["a", "b"]], "system": "be brief", "chosen": "yes", "rejected": "no"},
            ([*S, ("user", "a"), ("assistant", "b"), *U], A, N),
        ),
        # LLaMA-Factory's: the turns before, and one turn each
        (
            {"conversations": [{"from": "human", "value": "q"}], "chosen": {"from": "gpt", "value": "yes"},
             "rejected": {"from": "gpt", "value": "no"}, "system": "be brief"},
            (S + U, A, N),
        ),
        ({"chosen": [{"from": "Human ", "value": "q"}, YES], "rejected": [Q, NO]}, (U, A, N)),
        ({"messages": [Q], "chosen": "yes", "rejected": "no"}, (U, A, N)),
    ],
)  # fmt: skip
def test_pairs(row, expected):
    assert parsed(row) == expected
    assert parse_row(row, "pairs", ("a", 1)).judgments == (Preference(choice=0),)
    assert parsed(row, "prompts") == expected[:1]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "1+1=", "completion": " 2"}, ([("text", "1+1=")], [("text", " 2")])),
        ({"prompt": [Q], "completion": [YES]}, (U, A)),
        ({"messages": [system("be brief"), Q, YES, user("w"), NO]},
         (S + U, [*A, ("user", "w"), ("assistant", "no")])),
        ({"messages": [system(""), Q, YES]}, ([("system", ""), *U], A)),
        ({"instruction": "q", "input": None, "output": "yes"}, (U, A)),
        ({"instruction": "q", "system": "be brief", "output": "yes"}, (S + U, A)),
        ({"text": "once upon"}, ([], [("text", "once upon")])),
        ({"input": "q", "output": "yes"}, (U, A)),
        ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "yes"}]}, (U, A)),
        ({"conversations": [{"from": "system", "value": "be brief"}, Q, YES], "system": "be brief"}, (S + U, A)),
    ],
)  # fmt: skip
def test_demonstrations(row, expected):
    assert parsed(row, "demonstrations") == expected
    if "text" not in row:
        assert parsed(row, "prompts") == expected[:1]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "1+1="}, [("text", "1+1=")]),
        ({"prompt": [Q]}, U),
        ({"messages": [Q, YES, Q]}, U + A + U),
        ({"instruction": "q"}, U),
    ],
)
def test_prompts(row, expected):
    assert parsed(row, "prompts") == (expected,)


def pair(**changes):
    row = {"prompt": "p", "chosen": "c", "rejected": "r"} | changes
    return {name: value for name, value in row.items() if value != "absent"}


def chat(*chosen):
    return {"chosen": list(chosen), "rejected": [Q, NO]}


BAD_PAIRS = [
    ("missing_field", pair(prompt="absent")),
    ("missing_field", pair(chosen="absent")),
    ("missing_field", pair(chosen="absent", Chosen="c")),
    ("missing_field", {}),
    ("missing_field", chat({"role": "user"}, YES)),
    ("missing_field", chat({"from": "human"}, YES)),
    ("missing_field", chat({"value": "q"}, YES)),
    ("wrong_type", pair(chosen=None)),
    ("wrong_type", pair(rejected=3)),
    ("wrong_type", pair(prompt=True)),
    ("wrong_type", pair(prompt={"role": "user", "content": "q"})),
    ("wrong_type", pair(chosen=["c"], rejected=["r"])),
    ("wrong_type", chat(user(None), YES)),
    ("wrong_type", chat({"role": 1, "content": "q"}, YES)),
    ("wrong_type", pair(chosen=[YES], rejected=None)),
    ("unsupported", chat(user([{"type": "text", "text": "q"}]), YES)),
    ("unsupported", pair(images=["a.png"])),
    ("bad_tool_call", chat(Q, YES | {"tool_calls": [{}]})),
    ("bad_tool_call", chat(Q, YES | {"tool_calls": "f(1)"})),
    ("bad_tool_call", chat(Q, YES | {"tool_calls": [{"name": "f", "arguments": "[1]"}]})),
    ("bad_tool_call", chat(Q, {"from": "function_call", "value": "f(1)"})),
    ("bad_tool_call", chat(Q, YES) | {"tools": "not JSON"}),
    ("bad_tool_call", chat(Q, YES) | {"tools": [{"description": "no name"}]}),
    ("wrong_type", {"instruction": "q", "history": ["a"], "chosen": "yes", "rejected": "no"}),
    ("wrong_type", chat(Q, YES | {"train": "no"})),
    ("wrong_type", chat(Q, YES | {"weight": 0.5})),
    ("wrong_type", pair(labeler=["me"])),
    ("wrong_type", pair(labeler_group={"a": 1})),
    ("nothing_to_learn", chat(Q, YES | {"train": False})),
    ("mixed_forms", chat(system("be brief"), Q, YES) | {"rejected": [system("be brief"), Q, NO], "system": "be long"}),
    ("mixed_forms", pair(chosen=[YES])),
    ("mixed_forms", pair(prompt=[Q])),
    ("mixed_forms", pair(chosen=[YES], rejected=[NO])),
    ("empty", pair(chosen="")),
    ("empty", pair(rejected=" \n\u3000")),
    ("empty", pair(prompt="")),
    ("empty", chat(Q, assistant(" "))),
    ("no_messages", pair(prompt=[Q], chosen=[], rejected=[NO])),
    ("unknown_role", chat({"role": "critic", "content": "q"}, YES)),
    ("unknown_role", chat({"from": "critic", "value": "q"}, YES)),
    ("starts_with_assistant", {"messages": [{"role": "tool", "content": "q"}], "chosen": "yes", "rejected": "no"}),
    ("system_not_first", chat(Q, system("be brief"), YES)),
    ("starts_with_assistant", {"chosen": [YES], "rejected": [NO]}),
    ("ends_with_user", chat(Q, YES, user("w"))),
    ("ends_with_assistant", pair(prompt=[Q, assistant("a")], chosen=[YES], rejected=[NO])),
    ("completion_role", pair(prompt=[Q], chosen=[Q, YES], rejected=[NO])),
    ("prompts_differ", chat(user("w"), YES)),
    ("prompts_differ", {"chosen": [Q, YES, user("w"), assistant("a")],
                        "rejected": [Q, YES, user("e"), assistant("a")]}),
    ("prompts_differ", pair(prompt="w", **chat(Q, YES))),
    ("prompts_differ", {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: d"}),
    ("bad_transcript", {"chosen": "hello\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: d"}),
    ("empty", {"chosen": "\n\nHuman: a\n\nAssistant: ", "rejected": "\n\nHuman: a\n\nAssistant: d"}),
    ("equal", {"chosen": "\n\nHuman: a\n\nAssistant: d", "rejected": "\n\nHuman: a\n\nAssistant: d"}),
    ("equal", pair(rejected="c")),
    ("equal", pair(chosen=" c\n", rejected="c")),
    ("equal", pair(chosen="caf\u00e9", rejected="cafe\u0301")),
    ("equal", chat(Q, NO)),
]  # fmt: skip

BAD_DEMONSTRATIONS = [
    ("missing_field", {"prompt": "p"}),
    ("missing_field", {"completion": "c"}),
    ("missing_field", {"instruction": "q"}),
    ("no_messages", {"conversations": []}),
    ("wrong_type", {"messages": "hello"}),
    ("wrong_type", {"messages": None}),
    ("wrong_type", {"text": 4}),
    ("wrong_type", {"messages": ["hello"]}),
    ("wrong_type", {"instruction": "q", "input": 3, "output": "yes"}),
    ("mixed_forms", {"prompt": "p", "completion": [YES]}),
    ("no_messages", {"messages": []}),
    ("empty", {"text": ""}),
    ("ends_with_user", {"messages": [Q]}),
    ("ends_with_user", {"messages": [Q, YES, user("w")]}),
    ("starts_with_assistant", {"messages": [YES]}),
    ("starts_with_assistant", {"messages": [system("be brief"), YES]}),
]

BAD_PROMPTS = [
    ("missing_field", {"text": "once"}),
    ("ends_with_assistant", {"prompt": [Q, YES]}),
    ("starts_with_assistant", {"prompt": [system("be brief")]}),
    ("empty", {"prompt": " "}),
]


@pytest.mark.parametrize(
    ("feedback", "code", "row"),
    [
        (feedback, code, row)
        for feedback, rows in (("pairs", BAD_PAIRS), ("demonstrations", BAD_DEMONSTRATIONS), ("prompts", BAD_PROMPTS))
        for code, row in rows
    ],
)
def test_bad_rows_have_their_code(feedback, code, row):
    assert parsed(row, feedback) == code


def test_who_said_it_and_what_kind_of_labeler_they_are():
    found = parse_row(pair(labeler=7, labeler_group="experts"), "pairs", ("file", 1))
    assert [(one.labeler, one.labeler_group) for one in found.judgments] == [("7", "experts")]


def test_a_column_in_other_case_is_hinted_at():
    reject = parse_row(pair(chosen="absent", Chosen="c"), "pairs", ("a", 1))
    assert "'Chosen'" in reject.reason and "'chosen'" in reject.reason


def test_only_the_assistant_is_learnt_by_role():
    made = parse_row({"messages": [Q, YES, user("w"), NO]}, "demonstrations", ("a", 1))
    assert made.group.completions[0].messages[1] == Message("user", "w")


KEYS = st.sampled_from(["role", "content", "from", "value", "tool_calls", "name", "train", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | st.text(max_size=5) | st.sampled_from(
        ["user", "assistant", "human", "gpt", "tie", "model_a", "[]", "{}"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
COLUMNS = st.sampled_from(
    """prompt chosen rejected messages conversations completion completions choice ranks ratings label strength
    instruction input output output_1 output_2 response_a response_b winner text system tools history labeler""".split()
)


@settings(max_examples=400, deadline=None)
@given(st.dictionaries(COLUMNS, VALUES, max_size=5), st.sampled_from([None, *VIEWS]))
def test_any_row_gives_a_record_or_a_reject(row, feedback):
    made = parse_row(row, feedback, ("a", 1))
    if isinstance(made, Reject):
        assert made.code in CODES
        return
    for view in VIEWS.values():
        assert all(isinstance(group, Group) for group in view([made]))
    assert no_verdict(made) in NO_FAULT


def mutated(rng: random.Random, lines: list[bytes]) -> bytes:
    """One line with a few bytes changed, dropped, doubled, or with another line's tail."""
    line = bytearray(rng.choice(lines))
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(line))
        kind = rng.randrange(4)
        if kind == 0:
            line[at] = rng.choice(b'{}[]",:\\u0 \xff\xc3ea')
        elif kind == 1:
            del line[at : at + rng.randrange(1, 9)]
        elif kind == 2:
            line[at:at] = line[at : at + rng.randrange(1, 30)]
        else:
            line[at:] = rng.choice(lines)[at:]
        if not line:
            return b"{}"
    return bytes(line).replace(b"\n", b" ")


def test_accounts_add_up_over_mutated_rows(tmp_path):
    rows = [row for _, row in BAD_PAIRS] + [
        {"prompt": f"p{number}", "chosen": "c", "rejected": "r"} for number in range(40)
    ]
    lines = [json.dumps(row, ensure_ascii=number % 2 == 0).encode() for number, row in enumerate(rows)]
    rng = random.Random(0)
    for number in range(5):
        path = tmp_path / f"{number}.jsonl"
        made = [lines[-1], *(mutated(rng, lines) for _ in range(1000))]
        path.write_bytes(b"\n".join(made))
        loaded = load_feedback([path], "pairs", max_rejected=1.0)
        counts = loaded.accounting
        assert counts.read == sum(1 for line in made if line.strip(b" \t\r\n"))
        assert counts.read == counts.used + sum(counts.rejected.values()) + counts.deduplicated
        assert counts.used == len(loaded.groups) and counts.rejected.keys() <= CODES.keys()
        assert min(counts.used, counts.deduplicated, len(counts.rejects)) > 10


def test_mutated_files_end_in_rows_rejects_or_one_error(tmp_path):
    rng = random.Random(1)
    rows = [{"prompt": "p", "chosen": "é", "rejected": [Q]}] * 3
    whole = [json.dumps(rows).encode(), json.dumps(rows, indent=1).encode(), "\n".join(map(json.dumps, rows)).encode()]
    path = tmp_path / "a.json"
    refused = 0
    for _ in range(1500):
        path.write_bytes(mutated(rng, whole) if rng.random() < 0.5 else rng.choice(whole)[: rng.randrange(1, 200)])
        try:
            assert all(isinstance(row, dict | Reject) for _, row in read_rows(path))
        except DataError:
            refused += 1
    assert 0 < refused < 1500
