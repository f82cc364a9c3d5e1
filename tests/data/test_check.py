import json

import pytest

from preferably.data.baselines import labelers, lengths
from preferably.data.check import Reading, check_files, feedback_of
from preferably.errors import DataError
from preferably.feedback.records import Completion, Group, Judged, Message, Preference
from preferably.feedback.views import verdicts


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pair(at, chosen="yes", rejected="no no"):
    return {"prompt": f"question {at} of {at * at + 7}", "chosen": chosen, "rejected": rejected}


CHOICE = {"prompt": "p", "completions": ["a", "b"]}


@pytest.mark.parametrize(
    ("rows", "feedback"),
    [
        ([pair(1), pair(2), {"text": "t"}], "pairs"),
        ([CHOICE | {"ranks": [1, 2]}], "pairs"),
        ([{"prompt": "p", "completion": "c", "label": True}], "labels"),
        ([{"prompt": "p", "completion": "c"}], "demonstrations"),
        ([{"prompt": "p"}, {"prompt": "q"}, pair(1)], "prompts"),
        ([{"nothing": 1}], "pairs"),
    ],
)
def test_the_kind_of_feedback_is_what_most_rows_hold(tmp_path, rows, feedback):
    assert feedback_of([lines(tmp_path / "a.jsonl", rows)]) == feedback


def test_good_data_is_called_good_and_adds_up(tmp_path):
    rows = [pair(at, *(("yes", "no no") if at % 2 else ("no no", "yes"))) for at in range(40)]
    found = check_files([lines(tmp_path / "a.jsonl", rows)])
    assert not found.stops and not found.remarks and "nothing about it is odd" in found.verdict
    assert (found.groups, found.prompts, found.shapes) == (40, 40, {"pair": 40})
    assert found.lengths.longer.value == 0.5 and found.lengths.chosen == found.lengths.rejected == 1.5
    assert found.first is None  # nobody knows which was shown first


def test_columns_of_pairs_in_other_case_are_pointed_at(tmp_path):
    rows = [
        {"prompt": row["prompt"], "Chosen": row["chosen"], "Rejected": row["rejected"]} for row in map(pair, (1, 2))
    ]
    found = check_files([lines(tmp_path / "a.jsonl", rows)])
    assert found.feedback == "prompts" and [remark.code for remark in found.remarks] == ["column_case", "unread_column"]
    text = found.remarks[0].text
    assert "'Chosen', 'Rejected' differ" in text and "read as prompts; rename them to chosen and rejected" in text
    found = check_files([lines(tmp_path / "b.jsonl", [pair(1) | {"Chosen": "old"}])])
    assert "column_case" not in [remark.code for remark in found.remarks]


def test_message_trees_are_pointed_to_convert(tmp_path):
    tree = {"message_tree_id": "1", "prompt": {"role": "prompter", "text": "q", "replies": []}}
    for feedback in ("pairs", "prompts", None):
        (remark,) = check_files([lines(tmp_path / "a.jsonl", [tree])], feedback=feedback).remarks
        assert remark.stops and "--from oasst --to pairs" in remark.text


def test_what_a_run_would_leave_out_or_mend_is_said(tmp_path):
    rows = [pair(at, *(("yes", "no no") if at % 2 else ("no no", "yes"))) for at in range(40)]
    path = lines(tmp_path / "a.jsonl", [*rows[:7], {"prompt": "p"}, CHOICE | {"choice": "tie"}, *rows[7:]])
    (remark,) = (found := check_files([path], max_rejected=0.5)).remarks
    assert remark.code == "rejected" and not found.stops and "1 thing to look at" in found.verdict
    assert "missing_field 1, tie 1. First of missing_field: a.jsonl:8 chosen: missing_field (no column" in remark.text
    (remark,) = check_files([lines(tmp_path / "b.jsonl", [*rows, *rows[:3]])]).remarks
    assert remark.code == "duplicates" and "3 of 43 rows" in remark.text
    assert not check_files([lines(tmp_path / "b.jsonl", [*rows, *rows[:2]])]).remarks
    path.write_text("".join(json.dumps(row) + "\r\n\n" for row in rows), newline="")
    (remark,) = check_files([path]).remarks
    assert remark.code == "repaired" and "CR LF 40" in remark.text and "without a row 40" in remark.text


def test_what_a_run_would_refuse_is_refused(tmp_path):
    path = lines(tmp_path / "a.jsonl", [*(pair(at) for at in range(9)), {"prompt": "p"}])
    found = check_files([path])
    assert found.stops and "would refuse" in found.verdict and "a.jsonl:10" in found.remarks[0].text
    assert not check_files([path], max_rejected=0.1).stops
    assert check_files([lines(tmp_path / "b.jsonl", [{"prompt": "p"}])], feedback="pairs").stops
    with pytest.raises(DataError, match="does not exist"):
        check_files([tmp_path / "none.jsonl"])


def test_json_holds_all_of_it(tmp_path):
    path = lines(
        tmp_path / "a.jsonl", [CHOICE | {"choice": 0, "labeler": "ann"}, CHOICE | {"choice": 0, "labeler": "bob"}]
    )
    found = json.loads(json.dumps(check_files([path], held_out=[path]).as_json()))
    assert found["rows"]["read"] == 2 and found["groups"] == 1 and found["leaked"] == 1 and found["stops"]
    assert found["labelers"]["agreement"]["value"] == 1 and found["labelers"]["labelers"]["ann"]["records"] == 1
    assert found["shown_first"]["n"] == 2 and found["lengths"]["longer"]["value"] == 0.5


def test_labels_of_one_kind_are_remarked_on(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"prompt": f"p{at}", "completion": "c", "label": True} for at in range(3)])
    found = check_files([path])
    assert found.verdicts == {"good": 3} and [remark.code for remark in found.remarks] == ["one_label"]


def group(*texts, place=None):
    return Group((Message("user", "q"),), tuple(Completion((Message("assistant", text),)) for text in texts), place)


def test_the_pairs_of_one_record_count_once():
    groups = [group("aa", "b", place=("a", 1)), group("aa", "bbb", place=("a", 1)), group("a a a", "b", place=("a", 2))]
    found = lengths(groups)
    assert found.longer.n == 2 and found.longer.value == 0.75
    assert found.chosen == pytest.approx(5 / 3) and found.rejected == 1
    assert lengths([]) is None


def test_agreement_is_over_questions_that_two_answered():
    def said(*choices):
        return Judged(group("a", "b"), tuple(Preference(choice, labeler=name) for name, choice in choices))

    records = [said(("ann", 0), ("bob", 0), ("cy", 1)), said(("ann", "tie"), ("bob", "tie")), said(("ann", 0)),
               said(("ann", "unsure"), ("bob", 1))]  # fmt: skip
    assert verdicts(records[0]) == {"ann": {(0, 1): 1}, "bob": {(0, 1): 1}, "cy": {(0, 1): -1}}
    found = labelers(records)
    # ann-bob alike twice; ann-cy and bob-cy differ
    assert found.agreement.n == 4 and found.agreement.value == 0.5
    assert [(one.name, one.records) for one in found.everyone] == [("ann", 3), ("bob", 3), ("cy", 1)]
    assert found.everyone[2].agreement.value == 0
    assert labelers([Judged(group("a", "b"), (Preference(0),))]) is None


def test_tokens_say_what_a_run_would_reject(tmp_path, characters):
    rows = [
        {"prompt": "abcd", "chosen": "xyz", "rejected": "xy"},
        {"prompt": "abc", "chosen": "x" * 20, "rejected": "y"},
        {"prompt": "q", "chosen": "x", "rejected": "x</s>"},
    ]
    path = lines(tmp_path / "a.jsonl", rows)
    found = check_files([path], reading=Reading("tiny", characters(), 12))
    assert found.accounting.rejected == {"equal_tokens": 1, "too_long": 1} and found.stops
    # <s>abcd and <s>abc; xyz</s> and 20 x and </s>
    assert found.tokens.prompt == [5, 5, 5] and found.tokens.completion == [21, 21, 21]
    found = check_files([path], reading=Reading("tiny", characters(), 12, "keep_start"), max_rejected=1)
    assert found.tokens.truncated == 1 and found.accounting.rejected == {"equal_tokens": 1}


def test_a_row_is_rejected_only_where_none_of_its_pairs_is_left(tmp_path, characters):
    row = {"prompt": "p", "completions": ["a", "b", "c" * 30], "ranks": [1, 2, 3]}
    path = lines(tmp_path / "a.jsonl", [row, row | {"prompt": "q" * 40}])
    found = check_files([path], reading=Reading("tiny", characters(), 12), max_rejected=1)
    counts = found.accounting
    counts.close()
    assert (counts.read, counts.used, counts.rejected) == (2, 1, {"too_long": 1})
    assert counts.warned["partly_used"].first == [f"{path}:1 too_long"]


def test_rows_that_were_merged_are_rejected_together(tmp_path, characters):
    vote = {"prompt": "p" * 40, "completions": ["a", "b"], "choice": 0}
    path = lines(tmp_path / "a.jsonl", [vote | {"labeler": name} for name in ("ann", "bob")] + [pair(1)])
    counts = check_files([path], reading=Reading("tiny", characters(), 30), max_rejected=1).accounting
    counts.close()
    assert (counts.read, counts.used, counts.rejected) == (3, 1, {"too_long": 2})
    assert [reject.line for reject in counts.rejects] == [1, 2]
