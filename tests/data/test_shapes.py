"""Every way to write feedback, and what each kind of training sees of it."""

import json

import pytest

from preferably.data.accounting import Reject
from preferably.data.columns import Row
from preferably.data.formats import parse_row, shape_of
from preferably.data.load import VIEWS, load_feedback
from preferably.errors import DataError
from preferably.feedback.records import Judged, Label, Message, Preference, Ranking, Rating

PLACE = ("a.jsonl", 4)


def read(row, feedback=None):
    made = parse_row(row, feedback, PLACE)
    assert isinstance(made, Judged), made
    return made


def seen(row, feedback, **options):
    """What a kind of training sees: the texts of the completions of every group, with what the view says of them."""
    groups = VIEWS[feedback]([read(row, feedback)], **options)
    assert all(group.place == PLACE for group in groups)
    return [
        (*(completion.text for completion in group.completions),
         *([] if group.label is None else [group.label]),
         *([] if group.strength is None else [group.strength]), *([group.ranks] if group.ranks else []))
        for group in groups
    ]  # fmt: skip


PAIR = {"prompt": "p", "chosen": "c", "rejected": "r"}
CHOICE = {"prompt": "p", "completions": ["a", "b"]}
ARENA = {"prompt": "p", "response_a": "a", "response_b": "b"}
OUTPUTS = {"input": "p", "output_1": "a", "output_2": "b"}
FOUR = {"prompt": "p", "completions": ["a", "b", "c", "d"]}
TALK_A = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}]
TALK_B = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "b"}]


@pytest.mark.parametrize(
    ("row", "shape", "judgments"),
    [
        (PAIR, "pair", (Preference(0),)),
        (PAIR | {"strength": 2}, "pair", (Preference(0, 2.0),)),
        (PAIR | {"margin": 0.5}, "pair", (Preference(0, 0.5),)),
        (PAIR | {"margin": 0}, "pair", (Preference(0, 0.0),)),
        (PAIR | {"score_chosen": 8, "score_rejected": 5.5}, "pair", (Preference(0, 2.5),)),
        (PAIR | {"score_chosen": 7, "score_rejected": 7.0}, "pair", (Preference("tie"),)),
        (PAIR | {"labeler": "ann"}, "pair", (Preference(0, labeler="ann"),)),
        (PAIR | {"labeler": 7}, "pair", (Preference(0, labeler="7"),)),
        (CHOICE | {"choice": 1}, "choice", (Preference(1),)),
        (CHOICE | {"choice": "tie"}, "choice", (Preference("tie"),)),
        (CHOICE | {"choice": "both_bad"}, "choice", (Preference("both_bad"),)),
        (CHOICE | {"choice": "unsure"}, "choice", (Preference("unsure"),)),
        (CHOICE | {"choice": None}, "choice", ()),
        (CHOICE, "choice", ()),
        (ARENA | {"winner": "model_a"}, "arena", (Preference(0),)),
        (ARENA | {"winner": "B", "judge": "ann"}, "arena", (Preference(1, labeler="ann"),)),
        (ARENA | {"winner": "tie"}, "arena", (Preference("tie"),)),
        (ARENA | {"winner": "tie (bothbad)"}, "arena", (Preference("both_bad"),)),
        ({"conversation_a": TALK_A, "conversation_b": TALK_B, "winner": "model_b"}, "arena", (Preference(1),)),
        (OUTPUTS | {"label": 2}, "outputs", (Preference(1),)),
        (OUTPUTS | {"preference": 1.0}, "outputs", (Preference(0),)),
        (OUTPUTS | {"preference": 1.5}, "outputs", (Preference("tie"),)),
        (FOUR | {"ranks": [2, 1, 2, 3]}, "ranking", (Ranking((2, 1, 2, 3)),)),
        (FOUR | {"ratings": [4, 2.5, None, 4]}, "ratings", (Rating("overall", (4.0, 2.5, None, 4.0)),)),
        (
            CHOICE | {"ratings": [{"helpful": 4, "honest": 1}, {"helpful": 2, "honest": None}]}, "ratings",
            (Rating("helpful", (4.0, 2.0)), Rating("honest", (1.0, None))),
        ),
        (CHOICE | {"ranks": [1, 2], "ratings": [3, 1]}, "ranking", (Ranking((1, 2)), Rating("overall", (3.0, 1.0)))),
        ({"prompt": "p", "completion": "c", "label": True}, "label", (Label(True),)),
        ({"instruction": "p", "output": "c", "kto_tag": False}, "label", (Label(False),)),
        ({"messages": TALK_A, "label": False}, "label", (Label(False),)),
        ({"messages": TALK_A}, "conversation", ()),
        ({"prompt": "p", "completion": "c"}, "completion", ()),
        ({"instruction": "p", "output": "c"}, "instruction", ()),
        ({"text": "t"}, "text", ()),
        ({"prompt": "p"}, "prompt", ()),
        # columns of nulls, as tables have them, are as good as none
        (PAIR | {"completions": None, "messages": None, "label": None, "strength": None}, "pair", (Preference(0),)),
        ({"prompt": "p", "completion": "c", "chosen": None, "rejected": None, "label": None}, "completion", ()),
        ({"prompt": "", "completion": "", "text": "", "instruction": "q", "output": "a"}, "instruction", ()),
    ],
)  # fmt: skip
def test_a_row_is_read_by_its_columns(row, shape, judgments):
    assert shape_of(Row(row)).name == shape
    assert read(row).judgments == judgments
    assert not Row(row).unread() or shape_of(Row(row))  # reading is what marks columns as read


@pytest.mark.parametrize(
    ("row", "feedback", "expected"),
    [
        (PAIR | {"strength": 2}, "pairs", [("c", "r", 2.0)]),
        (PAIR, "labels", [("c", True), ("r", False)]),
        (PAIR, "rankings", [("c", "r", (1, 2))]),
        (PAIR, "demonstrations", [("c",)]),
        (PAIR, "prompts", [()]),
        (CHOICE | {"choice": 1, "strength": 1}, "pairs", [("b", "a", 1.0)]),
        (CHOICE | {"choice": 1}, "labels", [("b", True), ("a", False)]),
        (CHOICE | {"choice": 1}, "demonstrations", [("b",)]),
        (CHOICE | {"choice": "tie"}, "pairs", []),
        (CHOICE | {"choice": "both_bad"}, "labels", []),
        (CHOICE | {"choice": "unsure"}, "demonstrations", []),
        (CHOICE, "prompts", [()]),
        # every ordered pair of different rank: d < a = c < b gives five of the six
        (FOUR | {"ranks": [2, 1, 2, 3]}, "pairs",
         [("b", "a"), ("a", "d"), ("b", "c"), ("b", "d"), ("c", "d")]),
        (FOUR | {"ranks": [2, 1, 2, 3]}, "rankings", [("b", "a", "c", "d", (1, 2, 2, 3))]),
        (FOUR | {"ranks": [2, 1, 2, 3]}, "demonstrations", [("b",)]),
        (FOUR | {"ranks": [1, 1, 4, 4]}, "demonstrations", [("a",), ("b",)]),
        (FOUR | {"ranks": [1, 1, 4, 4]}, "rankings", [("a", "b", "c", "d", (1, 1, 2, 2))]),
        (FOUR | {"ranks": [5, 5, 5, 5]}, "pairs", []),
        # ratings: the mean over the axes; what lacks one is left out
        (CHOICE | {"ratings": [{"x": 1, "y": 3}, {"x": 3, "y": 2}]}, "pairs", [("b", "a", 0.5)]),
        (CHOICE | {"ratings": [{"x": 1, "y": 3}, {"x": 3}]}, "pairs", []),
        (FOUR | {"ratings": [3, 1, None, 3]}, "pairs", [("a", "b", 2.0), ("d", "b", 2.0)]),
        (FOUR | {"ratings": [3, 1, None, 3]}, "rankings", [("a", "d", "b", (1, 1, 2))]),
        (FOUR | {"ratings": [None, None, None, 3]}, "pairs", []),
        # what was ordered by hand outweighs what ratings would make of it
        (CHOICE | {"ranks": [1, 2], "ratings": [1, 3]}, "pairs", [("a", "b")]),
        ({"prompt": "p", "completion": "c", "label": False}, "labels", [("c", False)]),
        ({"prompt": "p", "completion": "c", "label": False}, "demonstrations", []),
        ({"prompt": "p", "completion": "c", "label": True}, "demonstrations", [("c",)]),
    ],
)  # fmt: skip
def test_what_each_kind_of_training_sees(row, feedback, expected):
    assert sorted(seen(row, feedback)) == sorted(expected)


def test_one_axis_of_ratings_can_be_asked_for():
    row = CHOICE | {"ratings": [{"x": 1, "y": 3}, {"x": 3, "y": 2.5}]}
    assert seen(row, "pairs") == [("b", "a", 0.75)]
    assert seen(row, "pairs", axis="y") == [("a", "b", 0.5)]
    assert seen(row, "rankings", axis="x") == [("b", "a", 2.0, (1, 2))]
    assert seen(row, "pairs", axis="z") == []


@pytest.mark.parametrize(
    ("row", "feedback"),
    [
        ({"prompt": "p", "completion": "c"}, "pairs"),
        ({"messages": TALK_A}, "labels"),
        (FOUR | {"ranks": [1, 2, 3, 4]}, "labels"),  # better is not good
        ({"text": "t"}, "prompts"),
        ({"prompt": "p"}, "demonstrations"),
        (PAIR | {"prompt": None, "chosen": None, "rejected": None}, "prompts"),
    ],
)
def test_what_a_row_does_not_hold_is_missing(row, feedback):
    made = parse_row(row, feedback, PLACE)
    assert isinstance(made, Reject) and made.code in ("missing_field", "wrong_type")


CALL = {"type": "function", "function": {"name": "find", "arguments": {"q": "x"}}}
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": ""}],
        [{"role": "assistant", "content": "", "tool_calls": json.dumps([CALL])}, {"role": "tool", "content": ""}],
        [
            {"role": "assistant", "tool_calls": [{"function": {"name": "find", "arguments": '{"q": "x"}'}}]},
            {"from": "observation", "value": ""},
        ],
        [
            {"from": "function_call", "value": '{"name": "find", "arguments": {"q": "x"}}'},
            {"from": "tool", "value": ""},
        ],
    ],
    ids=["openai", "as text", "arguments as text", "sharegpt"],
)
def test_calls_of_tools_have_one_form(turns):
    row = {"conversations": [TALK_A[0], *turns, TALK_A[1]], "tools": json.dumps(TOOLS)}
    group = read(row, "demonstrations").group
    assert json.loads(group.tools) == TOOLS
    assert group.completions[0].messages == (
        Message("assistant", "", True, json.dumps({"tool_calls": [CALL]})),
        Message("tool", ""),
        Message("assistant", "a"),
    )


def test_turns_that_are_not_to_be_learnt():
    turns = [*TALK_A, TALK_A[0], TALK_B[1] | {"train": False}, TALK_A[0], TALK_B[1] | {"weight": 1}]
    turns[1] = turns[1] | {"weight": 0}
    messages = read({"messages": turns}).group.completions[0].messages
    assert [message.train for message in messages if message.role == "assistant"] == [False, False, True]


def lines(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_of_several_labelers_are_one_record_of_which_the_majority_decides(tmp_path):
    path = lines(
        tmp_path / "votes.jsonl",
        CHOICE | {"choice": 0, "labeler": "ann"},
        PAIR,
        {"prompt": "p", "completions": ["b", "a"], "choice": 0, "labeler": "bob"},  # the same two, shown the other way
        {"prompt": "p", "chosen": "b", "rejected": "a", "labeler": "cy", "strength": 3},
        CHOICE | {"choice": 0, "labeler": "ann"},  # says so twice
    )
    loaded = load_feedback([path], "pairs")
    assert [[one.text for one in group.completions] for group in loaded.groups] == [["b", "a"], ["c", "r"]]
    assert [group.place for group in loaded.groups] == [(str(path), 1), (str(path), 2)]
    assert loaded.groups[0].strength == 3.0
    counts = loaded.accounting
    assert (counts.read, counts.used, counts.deduplicated, counts.rejected) == (5, 4, 1, {})
    assert counts.merged == {(str(path), 1): [(str(path), 3), (str(path), 4)]}
    assert len(loaded.records) == 2 and len(loaded.records[0].judgments) == 3


def test_labelers_who_differ_give_nothing_and_are_no_fault(tmp_path):
    path = lines(
        tmp_path / "votes.jsonl",
        *(PAIR | {"prompt": f"p{number}"} for number in range(3)),
        CHOICE | {"choice": 0, "labeler": "ann"},
        CHOICE | {"choice": 1, "labeler": "bob"},
        CHOICE | {"prompt": "q", "choice": 1, "labeler": "ann"},
        CHOICE | {"prompt": "q", "choice": "tie", "labeler": "bob"},
    )
    loaded = load_feedback([path], "pairs")
    assert loaded.accounting.rejected == {"no_majority": 4} and loaded.accounting.used == 3


def test_a_labeler_who_contradicts_themself_is_warned_of(tmp_path):
    path = lines(
        tmp_path / "votes.jsonl",
        PAIR,
        CHOICE | {"choice": 0, "labeler": "ann"},
        CHOICE | {"choice": 1, "labeler": "ann"},
    )
    counts = load_feedback([path], "pairs").accounting
    assert counts.rejected == {"no_majority": 2} and counts.warned["conflict"].count == 1


def test_rankings_and_thumbs_of_several_labelers_are_joined(tmp_path):
    path = lines(
        tmp_path / "votes.jsonl",
        FOUR | {"ranks": [1, 2, 3, 4], "labeler": "ann"},
        FOUR | {"completions": ["d", "c", "b", "a"], "ranks": [4, 3, 1, 2], "labeler": "bob"},
        FOUR | {"ranks": [2, 1, 3, 4], "labeler": "cy"},
    )
    (group,) = load_feedback([path], "rankings").groups
    assert [one.text for one in group.completions] == ["b", "a", "c", "d"] and group.ranks == (1, 2, 3, 4)
    thumbs = [{"prompt": "p", "completion": "c", "label": label, "labeler": str(label)} for label in (True, False)]
    path = lines(tmp_path / "thumbs.jsonl", *thumbs, thumbs[0] | {"labeler": "third"})
    (group,) = load_feedback([path], "labels").groups
    assert group.label is True


def test_verdicts_that_teach_nothing_are_counted_and_do_not_stop_a_run(tmp_path):
    said = ["tie", "both_bad", "unsure", None, 0]
    path = lines(tmp_path / "a.jsonl", *(CHOICE | {"prompt": f"p{at}", "choice": one} for at, one in enumerate(said)))
    counts = load_feedback([path], "pairs", max_rejected=0).accounting
    assert counts.rejected == {"both_bad": 1, "tie": 1, "unjudged": 1, "unsure": 1}
    assert counts.read == 5 == counts.used + 4 and counts.faults == []
    counts = load_feedback([path], "prompts", max_rejected=0).accounting
    assert counts.used == 5
    path = lines(tmp_path / "b.jsonl", CHOICE | {"choice": "tie"})
    with pytest.raises(DataError, match="None of the 1 rows .* tie"):
        load_feedback([path], "pairs")
