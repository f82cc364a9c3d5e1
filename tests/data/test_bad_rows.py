"""Bad input by kind, schema (32 to 43), conversations (44 to 57) and what is preferred (58 to 71).

R: the row is rejected, with its place and a code. F: it is mended and counted. W: it is used, counted and shown. A: the
run stops before it begins. Kinds 1 to 31 and 72 to 78 are those of files and bytes (`test_bad_input.py`).
"""

import json

import pytest

from preferably.data.accounting import Accounting
from preferably.data.chat import ensure_template
from preferably.data.check import check_files
from preferably.data.load import load_feedback, read_feedback
from preferably.data.splits import refuse_leakage
from preferably.data.tokens import encode
from preferably.errors import DataError, ModelError
from preferably.feedback.records import Completion, Group, Message


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


GOOD = [{"prompt": f"question {at}", "chosen": "c", "rejected": "r"} for at in range(3)]
P = {"prompt": "p", "chosen": "c", "rejected": "r"}
Q, YES, NO = user("q"), assistant("yes"), assistant("no")
TALK = {"chosen": [Q, YES], "rejected": [Q, NO]}
CHOICE = {"prompt": "p", "completions": ["a", "b"]}
THREE = {"prompt": "p", "completions": ["a", "b", "c"]}
ARENA = {"prompt": "p", "response_a": "a", "response_b": "b"}
LABEL = {"prompt": "p", "completion": "c"}


def file(tmp_path, *rows, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def without(row, name):
    return {key: value for key, value in row.items() if key != name}


REJECTED = [
    ("32-no-prompt", "missing_field", "prompt", without(P, "prompt"), "pairs"),
    ("32-no-chosen", "missing_field", "chosen", without(P, "chosen"), "pairs"),
    ("32-no-rejected", "missing_field", "rejected", without(P, "rejected"), "pairs"),
    ("34-another-schema", "missing_field", "chosen", {"question": "p", "answer": "c"}, "pairs"),
    ("34-another-feedback", "missing_field", "chosen", {"prompt": "p", "completion": "c"}, "pairs"),
    ("35-number", "wrong_type", "chosen", P | {"chosen": 3}, "pairs"),
    ("35-bool", "wrong_type", "prompt", P | {"prompt": True}, "pairs"),
    ("35-list", "wrong_type", "chosen[0]", P | {"chosen": ["c"], "rejected": ["r"]}, "pairs"),
    ("35-dict", "wrong_type", "prompt", P | {"prompt": {"text": "p"}}, "pairs"),
    ("36-null", "wrong_type", "rejected", P | {"rejected": None}, "pairs"),
    ("37-case", "missing_field", "chosen", without(P, "chosen") | {"Chosen": "c"}, "pairs"),
    ("39-chosen-in-messages", "mixed_forms", "rejected", P | {"chosen": [YES]}, "pairs"),
    ("39-prompt-in-messages", "mixed_forms", "prompt", P | {"prompt": [Q]}, "pairs"),
    *(("40-label-" + str(value), "bad_label", "label", LABEL | {"label": value}, "labels")
      for value in (-1, 2, "A", 0.5, 1, "true")),
    *(("40-choice-" + str(value), "bad_choice", "choice", CHOICE | {"choice": value}, "pairs")
      for value in (-1, 2, "A", 0.5, True, 1.0, [0])),
    ("40-winner", "bad_choice", "winner", ARENA | {"winner": "me"}, "pairs"),
    ("40-outputs", "bad_choice", "label", {"input": "p", "output_1": "a", "output_2": "b", "label": 0}, "pairs"),
    *(("40-rank-" + str(value), "bad_rank", "ranks[1]", CHOICE | {"ranks": [1, value]}, "pairs")
      for value in (0, 1.5, "2", None, True)),
    ("40-too-few-ranks", "wrong_number", "ranks", CHOICE | {"ranks": [1]}, "pairs"),
    ("40-one-completion", "wrong_number", "completions", {"prompt": "p", "completions": ["a"], "ranks": [1]}, "pairs"),
    ("40-choice-of-three", "wrong_number", "completions", THREE | {"choice": 0}, "pairs"),
    ("41-text", "bad_score", "ratings[0]", CHOICE | {"ratings": ["4", 2]}, "pairs"),
    ("41-text-of-an-axis", "bad_score", "ratings[1].x", CHOICE | {"ratings": [{"x": 4}, {"x": "2"}]}, "pairs"),
    ("41-strength", "bad_score", "strength", P | {"strength": "much"}, "pairs"),
    ("41-below-0", "bad_score", "margin", P | {"margin": -1}, "pairs"),
    ("41-contradicts", "scores_contradict", "score_chosen", P | {"score_chosen": 1, "score_rejected": 2}, "pairs"),
    ("44-role", "unknown_role", "chosen[0].role", {"chosen": [{"role": "critic", "content": "q"}, YES]} | {
        "rejected": TALK["rejected"]}, "pairs"),
    ("44-from", "unknown_role", "conversations[0].from", {"conversations": [{"from": "bard", "value": "q"}]},
     "demonstrations"),
    ("47-assistant-first", "starts_with_assistant", "messages", {"messages": [YES, Q, NO]}, "demonstrations"),
    ("48-user-last", "ends_with_user", "messages", {"messages": [Q, YES, Q]}, "demonstrations"),
    ("48-no-answer", "ends_with_user", "messages", {"messages": [Q]}, "demonstrations"),
    ("49-no-messages", "no_messages", "messages", {"messages": []}, "demonstrations"),
    ("49-no-messages-chosen", "no_messages", "chosen", TALK | {"chosen": []}, "pairs"),
    ("50-text", "wrong_type", "messages[0]", {"messages": ["q", "yes"]}, "demonstrations"),
    ("50-null", "wrong_type", "messages[1]", {"messages": [Q, None]}, "demonstrations"),
    ("51-null-content", "wrong_type", "messages[1].content", {"messages": [Q, assistant(None)]}, "demonstrations"),
    ("52-parts", "unsupported", "messages[0].content", {"messages": [user([{"type": "text", "text": "q"}]), YES]},
     "demonstrations"),
    ("52-images", "unsupported", "images", P | {"images": ["a.png"]}, "pairs"),
    ("53-system", "system_not_first", "messages[1].role",
     {"messages": [Q, {"role": "system", "content": "be brief"}, YES]}, "demonstrations"),
    ("54-prompts-differ", "prompts_differ", "chosen", TALK | {"rejected": [user("w"), NO]}, "pairs"),
    ("58-equal", "equal", "rejected", P | {"rejected": "c"}, "pairs"),
    ("58-equal-choice", "equal", "completions[1]", CHOICE | {"completions": ["a", "a"], "choice": 0}, "pairs"),
    ("58-equal-ranked-apart", "equal", "completions[2]",
     {"prompt": "p", "completions": ["a", "b", "a"], "ranks": [1, 2, 3]}, "pairs"),
    ("59-trim", "equal", "rejected", P | {"rejected": " c\n"}, "pairs"),
    ("59-composition", "equal", "rejected", P | {"chosen": "caf\u00e9", "rejected": "cafe\u0301"}, "pairs"),
    ("60-empty", "empty", "rejected", P | {"rejected": ""}, "pairs"),
    ("60-blank", "empty", "completion", LABEL | {"completion": " \n\u3000"}, "demonstrations"),
    ("60-blank-turn", "empty", "chosen[1].content", TALK | {"chosen": [Q, assistant(" ")]}, "pairs"),
    ("69-a-million-characters", "text_too_large", "chosen", P | {"chosen": "a" * 1_000_000}, "pairs"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "field", "row", "feedback"), [case[1:] for case in REJECTED], ids=[f"kind-{case[0]}" for case in REJECTED]
)
def test_rejected(tmp_path, code, field, row, feedback):
    good = GOOD if feedback == "pairs" else [LABEL | {"label": True}]
    path = file(tmp_path, *good, row)
    with pytest.raises(DataError, match=rf"rows.jsonl:{len(good) + 1} {code and ''}"):
        load_feedback([path], feedback)
    counts = load_feedback([path], feedback, max_rejected=1).accounting
    (reject,) = counts.rejects
    assert (reject.line, reject.code, reject.field) == (len(good) + 1, code, field)
    assert (counts.read, counts.used, counts.deduplicated) == (len(good) + 1, len(good), 0)
    assert len(str(reject)) < 400  # however long the row is


BAD_JSON = [
    ("5-half", "lone_surrogate", r'{"q": "\ud800"}'),
    ("6-nul", "nul", r'{"q": "\u0000"}'),
    ("21-twice", "duplicate_key", '{"q": 1, "q": 2}'),
    ("22-nan", "bad_number", '{"q": NaN}'),
    ("22-1e400", "bad_number", '{"q": 1e400}'),
    ("23-digits", "bad_number", f'{{"q": {"9" * 1001}}}'),
    ("24-deep", "too_deep", "[" * 100_000),
]


@pytest.mark.parametrize(
    ("code", "text"), [case[1:] for case in BAD_JSON], ids=[f"kind-{case[0]}" for case in BAD_JSON]
)
def test_json_in_text_is_held_to_the_same_rules(tmp_path, code, text):
    function = f'{{"name": "f", "arguments": {text if code != "too_deep" else "{}"}}}'
    whole = text if code == "too_deep" else function
    calls = assistant(None) | {"tool_calls": [{"function": {"name": "f", "arguments": text}}]}
    turns = {"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": whole}]}
    rows = [
        {"messages": [Q, calls, YES]},
        {"messages": [Q, assistant(None) | {"tool_calls": whole}, YES]},
        {"messages": [Q, YES], "tools": whole if code == "too_deep" else f"[{function}]"},
        turns,
    ]
    rejects = read_feedback([file(tmp_path, *rows)], "demonstrations").accounting.rejects
    where = ["messages[1].tool_calls[0].arguments", "messages[1].tool_calls", "tools", "conversations[1].tool_calls"]
    assert [(reject.code, reject.field) for reject in rejects] == [(code, field) for field in where]


def test_kind_37_and_52_say_what_to_do(tmp_path):
    path = file(tmp_path, {"Prompt": "p", "Chosen": "c", "Rejected": "r"}, P | {"images": ["a"]})
    first, second = read_feedback([path], "pairs").accounting.rejects
    assert "rename the column 'Chosen' to 'chosen'" in first.reason and "only text" in second.reason


@pytest.mark.parametrize("column", ["prompt", "chosen", "rejected"])
def test_kind_38_a_column_of_nulls_stops_and_is_named(tmp_path, column):
    path = file(tmp_path, *(row | {column: None} for row in GOOD))
    with pytest.raises(
        DataError,
        match=f"None of the 3 rows .*wrong_type 3. First: .*:1 {column}: wrong_type .expected text, got null.*",
    ):
        load_feedback([path], "pairs", max_rejected=1)


@pytest.mark.parametrize(
    ("rows", "code", "about"),
    [
        pytest.param([P | {"venue": "web", "day": 3}], "unread_column", ":1 venue, day", id="kind-33-column"),
        pytest.param(
            [{"messages": [Q, YES | {"likes": 3}]}], "unread_column", ":1 messages[1].likes", id="kind-33-key"
        ),
        pytest.param([{"messages": [Q, Q, YES]}], "same_role_twice", ":1 messages[1]", id="kind-46-two-user-turns"),
        pytest.param(
            [
                {
                    "chosen": "\n\nHuman: q\n\nHuman: w\n\nAssistant: yes",
                    "rejected": "\n\nHuman: q\n\nHuman: w\n\nAssistant: no",
                }
            ],
            "same_role_twice",
            ":1 rejected[1]",
            id="kind-46-transcript",
        ),
        pytest.param([P, P | {"chosen": "r", "rejected": "c"}], "conflict", ":2", id="kind-61-reverse-verdict"),
    ],
)
def test_used_counted_and_shown(tmp_path, rows, code, about):
    feedback = "pairs" if "chosen" in rows[0] else "demonstrations"
    path = file(tmp_path, *rows)
    counts = load_feedback([path], feedback).accounting
    assert counts.used == len(rows) and counts.warned.keys() == {code}
    assert counts.warned[code].count == 1 and counts.warned[code].first == [f"{path}{about}"]
    assert code in counts.describe()


def test_kind_33_the_output_beside_an_instruction_and_a_pair_is_known(tmp_path):
    row = without(P, "prompt") | {"instruction": "p", "input": "", "output": "c"}
    assert not load_feedback([file(tmp_path, row)], "pairs").accounting.warned
    assert load_feedback([file(tmp_path, P | {"output": "c"})], "pairs").accounting.warned.keys() == {"unread_column"}
    # What `preferably sample --reward` writes beside the ratings.
    scored = {"prompt": "p", "completions": ["a", "b"], "ratings": [1.0, 0.0], "rewards": [{"r": 1.0}, {"r": 0.0}]}
    assert not load_feedback([file(tmp_path, scored)], "pairs").accounting.warned


def test_kind_61_reverse_labels_conflict_too(tmp_path):
    path = file(tmp_path, LABEL | {"label": True}, LABEL | {"label": False})
    assert load_feedback([path], "labels").accounting.warned["conflict"].count == 1
    path = file(tmp_path, P, P | {"chosen": "r", "rejected": "c"})
    assert load_feedback([path], "labels").accounting.warned["conflict"].count == 1
    assert load_feedback([path], "rankings").accounting.warned["conflict"].count == 1


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        pytest.param([TALK | {"chosen": [{"role": "User ", "content": "q"}, YES]}], "role_spelling", id="kind-45-role"),
        pytest.param(
            [{"conversations": [{"from": "Human", "value": "q"}], "chosen": "yes", "rejected": "no"}],
            "role_spelling", id="kind-45-from",
        ),
        pytest.param([P | {"id": 7}, P | {"id": "8", "prompt": "w"}], "id_type", id="kind-43-id"),
    ],
)  # fmt: skip
def test_mended_and_counted(tmp_path, rows, code):
    counts = load_feedback([file(tmp_path, *rows)], "pairs").accounting
    assert counts.used == len(rows) and counts.repaired == {code: 1} and code in counts.describe()


def test_kind_34_the_file_is_kept(tmp_path):
    path = file(tmp_path, GOOD[0], {"question": "w"}, CHOICE | {"choice": 1}, GOOD[1] | {"prompt": 3}, GOOD[2])
    counts = load_feedback([path], "pairs", max_rejected=1).accounting
    assert (counts.read, counts.used, counts.rejected) == (5, 3, {"missing_field": 1, "wrong_type": 1})


def test_kind_42_an_id_names_one_thing(tmp_path):
    path = file(
        tmp_path, P | {"id": 7}, P | {"id": 7, "prompt": "other"}, P | {"id": "7", "chosen": "x"}, P | {"id": 7}
    )
    counts = load_feedback([path], "pairs", max_rejected=1).accounting
    assert counts.rejected == {"repeated_id": 2} and counts.used == 1 and counts.deduplicated == 1
    votes = [CHOICE | {"choice": 0, "labeler": name, "id": 1} for name in ("ann", "bob")]  # of one thing, by two people
    assert load_feedback([file(tmp_path, *votes)], "pairs").accounting.used == 2


def test_kind_51_null_beside_calls_is_no_fault(tmp_path):
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "f", "arguments": {}}]}
    row = {"messages": [Q, call, {"role": "tool", "content": "3"}, YES]}
    assert load_feedback([file(tmp_path, row)], "demonstrations").accounting.used == 1


def chat(*contents, roles=("user", "assistant", "assistant")):
    turns = [Message(role, content) for role, content in zip(roles, contents, strict=True)]
    completions = tuple(Completion((turn,)) for turn in turns[1:])
    return Group((turns[0],), completions, ("a.jsonl", 1))


ALTERNATE = (
    "{% for m in messages %}{% if loop.index0 and m['role'] == messages[loop.index0 - 1]['role'] %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{{ '|' + m['content'] }}{% endfor %}"
    "{{ '|' if add_generation_prompt else '' }}"
)


def test_kind_46_what_a_template_refuses_is_rejected(characters):
    tokenizer = characters()
    tokenizer.chat_template = ALTERNATE
    twice = Group((Message("user", "q"), Message("user", "w")), chat("q", "a", "b").completions, ("a.jsonl", 2))
    accounting = Accounting(read=2, used=2)
    encoded = encode([chat("q", "a", "b"), twice], tokenizer, max_length=99, accounting=accounting)
    accounting.close()
    assert len(encoded.groups) == 1 and accounting.rejected == {"template_refuses": 1}
    assert "roles must alternate" in str(encoded.rejects[0])
    ensure_template(fresh := characters())
    assert len(encode([twice], fresh, max_length=99).groups) == 1


def test_kind_55_special_tokens(characters):
    tokenizer = characters()
    ensure_template(tokenizer)
    forged = encode([chat("q<end>", "a", "b")], tokenizer, max_length=99)
    assert [reject.code for reject in forged.rejects] == ["special_token"]
    text = Group((Message("text", "q<end>"),), (Completion((Message("text", "a</s>"),)),), ("a.jsonl", 1))
    accounting = Accounting(read=1, used=1)
    assert len(encode([text], tokenizer, max_length=99, accounting=accounting).groups) == 1
    assert accounting.warned["special_token_in_text"].count == 1
    ended = Group((Message("text", "<s>q"),), (Completion((Message("text", "a</s>"),)),), ("a.jsonl", 1))
    encode([ended], tokenizer, max_length=99, accounting=(accounting := Accounting(read=1, used=1)))
    assert not accounting.warned


PLACE = ("a.jsonl", 1)
NO_SYSTEM = "{% for m in messages %}{% if m['role'] != 'system' %}{{ '|' + m['content'] }}{% endif %}{% endfor %}"
CALLS = '{"tool_calls": [{"type": "function", "function": {"name": "find", "arguments": {}}}]}'


@pytest.mark.parametrize(
    ("template", "group", "says"),
    [
        pytest.param(
            NO_SYSTEM, Group((Message("system", "be brief"), Message("user", "q")), (), ("a.jsonl", 1)),
            "drops the message of the system: 'be brief'", id="kind-56-system",
        ),
        pytest.param(
            None, Group((Message("user", "q"),), (Completion((Message("assistant", "", True, CALLS),)),), PLACE),
            "drops the call of a tool: 'find'", id="kind-56-call",
        ),
        pytest.param(
            None, Group((Message("user", "q"),), chat("q", "a", "b").completions, ("a.jsonl", 1), '[{"name": "find"}]'),
            "drops the tool: 'find'", id="kind-56-tools",
        ),
        pytest.param(
            "{{ raise_exception('no roles here') }}", chat("q", "a", "b"), "refuses .* no roles here",
            id="kind-56-raises",
        ),
        pytest.param(
            "{{ bos_token * 2 }}{% for m in messages %}{{ '|' + m['content'] }}{% endfor %}", chat("q", "a", "b"),
            "BOS token twice", id="kind-57-double-bos",
        ),
    ],
)  # fmt: skip
def test_stops_before_training(characters, template, group, says):
    tokenizer = characters()
    tokenizer.chat_template = template
    ensure_template(tokenizer)
    with pytest.raises(DataError, match=says):
        encode([group], tokenizer, max_length=99)


def test_kind_56_what_is_trimmed_escaped_or_thought_is_no_loss(characters):
    tokenizer = characters()
    tokenizer.chat_template = (
        "{% for m in messages %}|{% if m['role'] == 'tool' %}{{ m['content'] | tojson }}{% else %}"
        "{{ m['content'].split('</think>')[-1] | trim }}{% endif %}{% endfor %}"
        "{{ '|' if add_generation_prompt else '' }}"
    )
    turns = (Message("user", " q "), Message("assistant", "<think>hm</think> b"), Message("tool", 'say "x"\n'))
    group = Group(turns, (Completion((Message("assistant", "a"),)),), ("a.jsonl", 1))
    assert len(encode([group], tokenizer, max_length=99).groups) == 1


def test_kind_62_and_63_duplicates_are_dropped_and_near_ones_shown(tmp_path):
    prompt = "Write a long and friendly letter to the landlord about the broken window in the kitchen"
    path = file(tmp_path, P, P, P | {"prompt": prompt}, P | {"prompt": f"{prompt} today"})
    assert load_feedback([path], "pairs").accounting.deduplicated == 1
    found = check_files([path])
    assert found.accounting.deduplicated == 1 and len(found.near) == 1 and found.prompts == 3
    assert any(remark.code == "near_duplicates" and "landlord" in remark.text for remark in found.remarks)


def test_kind_64_a_held_out_row_that_is_trained_on_stops(tmp_path):
    train, held = file(tmp_path, *GOOD), file(tmp_path, GOOD[1] | {"chosen": "x"}, name="held.jsonl")
    groups = [load_feedback([path], "pairs").groups for path in (train, held)]
    with pytest.raises(DataError, match="1 of 1 held-out prompts .*/held.jsonl:1"):
        refuse_leakage(*groups)
    found = check_files([train], held_out=[held])
    assert found.stops and found.leaked == [f"{held}:1"]


def text(prompt, *completions):
    said = tuple(Completion((Message("text", one),)) for one in completions)
    return Group((Message("text", prompt),), said, ("a.jsonl", 1))


@pytest.mark.parametrize(
    ("truncation", "code"),
    [
        pytest.param("reject", "too_long", id="kind-65-prompt-too-long"),
        pytest.param("keep_start", "empty_after_truncation", id="kind-66-nothing-left"),
    ],
)
def test_rejected_for_their_length(characters, truncation, code):
    accounting = Accounting(read=1, used=1)
    encode([text("abcdefgh", "x", "y")], characters(), max_length=8, truncation=truncation, accounting=accounting)
    accounting.close()
    assert accounting.rejected == {code: 1}


def test_kind_67_equal_after_truncation(characters):
    encoded = encode([text("ab", "xyz", "xyw")], characters(), max_length=5, truncation="keep_start")
    assert [reject.code for reject in encoded.rejects] == ["equal_after_truncation"]


def test_kind_68_no_eos_stops_and_pad_may_equal_it(characters):
    with pytest.raises(ModelError, match="no EOS"):
        encode([text("q", "a")], characters(eos=False), max_length=99)
    tokenizer = characters()
    tokenizer.pad_token = tokenizer.eos_token
    (group,) = encode([text("q", "a")], tokenizer, max_length=99).groups
    assert group.completions[0][-1] == tokenizer.eos_token_id and group.train[0][-1]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("As an AI language model, I cannot provide medical advice.", "refusal"),
        ("I cannot assist with this request.", "refusal"),
        ("https://example.com/a?b=c", "link"),
        ("no " * 60, "loop"),
        ("fine<|im_end|>", "special_token"),
    ],
)
def test_kind_70_answers_that_say_nothing_are_shown(tmp_path, answer, kind):
    path = file(tmp_path, *GOOD, P | {"chosen": answer})
    found = check_files([path])
    assert {name: places for name, places in found.answers.items() if places} == {kind: [f"{path}:4"]}
    assert not found.stops and any(remark.code == kind and "rows.jsonl:4" in remark.text for remark in found.remarks)


@pytest.mark.parametrize(
    "answer",
    ["Sorry for the delay! Your parcel left on Monday.", "I can help you with that.", "See https://a.example for more.",
     "You can't do this with a spoon.", "I cannot believe how good this is."],
)  # fmt: skip
def test_kind_70_leaves_answers_alone(tmp_path, answer):
    assert not any(check_files([file(tmp_path, P | {"chosen": answer})]).answers.values())


def test_kind_71_the_longer_and_the_first_are_shown(tmp_path):
    rows = [
        {"prompt": f"question {at} of {at * at}", "completions": ["a long answer", "short"], "choice": 0}
        for at in range(20)
    ]
    found = check_files([file(tmp_path, *rows)])
    assert found.lengths.longer.value == 1.0 and found.first.value == 1.0
    codes = {remark.code for remark in found.remarks}
    assert {"length_bias", "position_bias"} <= codes and not found.stops
    fair = [row | {"choice": at % 2} for at, row in enumerate(rows)]
    codes = {remark.code for remark in check_files([file(tmp_path, *fair)]).remarks}
    assert not codes & {"length_bias", "position_bias"}
