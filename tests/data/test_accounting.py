import pytest

from preferably.data.accounting import Accounting, Reject
from preferably.errors import DataError


def reject(line: int, code: str = "equal") -> Reject:
    return Reject("a.jsonl", line, "rejected", code, "the same")


def filled(used: int, rejected: int, deduplicated: int = 0) -> Accounting:
    made = Accounting()
    for _ in range(used):
        made.use()
    for line in range(rejected):
        made.reject(reject(line + 1, "equal" if line % 2 == 0 else "empty"))
    for _ in range(deduplicated):
        made.deduplicate()
    return made


def test_sums_hold_and_codes_are_counted():
    accounting = filled(7, 3, 2)
    accounting.close()
    assert accounting.as_json() | {"rejects": []} == {
        "read": 12, "used": 7, "deduplicated": 2, "rejected": {"equal": 2, "empty": 1}, "rejects": [],
        "repaired": {}, "warned": {},
    }  # fmt: skip
    assert accounting.as_json()["rejects"][1] == {
        "file": "a.jsonl", "line": 2, "field": "rejected", "code": "empty", "reason": "the same",
    }  # fmt: skip
    assert accounting.describe() == (
        "12 rows read: 7 used, 3 rejected, 2 duplicates. Rejected: equal 2, empty 1. First of equal: "
        "a.jsonl:1 rejected: equal (the same); a.jsonl:3 rejected: equal (the same)."
    )


def test_the_rejects_that_are_shown_are_of_the_most_frequent_code():
    accounting = filled(90, 2)
    for line in range(8):
        accounting.reject(Reject("a.jsonl", 40 + line, "row", "too_long", f"{100 + line} tokens"))
    with pytest.raises(DataError) as refused:
        accounting.enforce(0.01)
    said = str(refused.value)
    shown = "; ".join(f"a.jsonl:{40 + line} row: too_long ({100 + line} tokens)" for line in range(3))
    assert f"Rejected: too_long 8, empty 1, equal 1. First of too_long: {shown}. " in said and "a.jsonl:1 " not in said
    assert said.index("--truncation") < said.index("--max-length") < said.index("--max-rejected 0.1.")
    with pytest.raises(DataError) as refused:
        filled(90, 10).enforce(0.01)
    assert "Mend these rows" in str(refused.value) and "--truncation" not in str(refused.value)
    none = Accounting()
    none.reject(Reject("a.jsonl", 1, "row", "too_long", "100 tokens"))
    with pytest.raises(DataError, match=r"None of the 1 rows .*First: a.jsonl:1 .*--truncation .*--max-length"):
        none.enforce(1)


def test_a_later_stage_moves_rows_and_sums_still_hold():
    accounting = filled(5, 0)
    accounting.reject_later(reject(9, "too_long"))
    accounting.close()
    assert (accounting.read, accounting.used, accounting.rejected) == (5, 4, {"too_long": 1})


def test_merge_adds_all_counts():
    one, other = filled(5, 1, 2), filled(3, 2, 1)
    one.merge(other)
    one.close()
    assert (one.read, one.used, one.deduplicated, len(one.rejects)) == (14, 8, 3, 3)


def test_a_lost_row_is_found_on_close():
    with pytest.raises(AssertionError, match="lost"):
        Accounting(read=2, used=1).close()


def test_only_the_first_hundred_rejects_are_stored():
    assert len(filled(0, 150).as_json()["rejects"]) == 100


def test_codes_are_a_closed_list():
    with pytest.raises(ValueError, match="not in"):
        reject(1, "no_such_code")


def test_enforce_names_counts_first_rejects_and_the_way_out():
    filled(99, 1).enforce(0.01)
    with pytest.raises(DataError) as caught:
        filled(95, 5).enforce(0.01)
    text = str(caught.value)
    assert "5 of 100 rows (5.0%)" in text and "1.0%" in text and "equal 3, empty 2" in text
    assert "a.jsonl:3" in text and "a.jsonl:2" not in text and "--max-rejected 0.05" in text
    filled(95, 5).enforce(0.05)


def test_nothing_left_is_refused_at_any_tolerance():
    with pytest.raises(DataError, match="None of the 2 rows"):
        filled(0, 2).enforce(1.0)


def test_repairs_and_warnings_stand_beside_the_sums():
    one, other = filled(3, 0), filled(1, 0)
    for line in range(5):
        one.warn("hidden_character", f"a\u202e.jsonl:{line} U+202E")
    one.repair("bom")
    other.repair("crlf", 7)
    other.repair("bom")
    other.warn("hidden_character", "b.jsonl:1 U+202E")
    other.warn("mojibake", "b.jsonl:2 U+00C3")
    other.merge(one)
    other.close()
    made = other.as_json()
    assert made["read"] == 4 and made["repaired"] == {"crlf": 7, "bom": 2}
    assert made["warned"]["mojibake"] == {"count": 1, "first": ["b.jsonl:2 U+00C3"]}
    assert made["warned"]["hidden_character"]["count"] == 6 and len(made["warned"]["hidden_character"]["first"]) == 3
    assert one.warned["hidden_character"].count == 5  # a merge leaves the other as it was
    text = other.describe()
    assert "Repaired: crlf 7, bom 2." in text
    assert "hidden_character 6 (b.jsonl:1 U+202E; a<U+202E>.jsonl:0 U+202E;" in text and "\u202e" not in text
    with pytest.raises(ValueError, match="REPAIRS"):
        one.repair("no_such_code")
    with pytest.raises(ValueError, match="WARNINGS"):
        one.warn("no_such_code", "a")


def test_what_a_message_quotes_cannot_steer_a_terminal():
    assert str(Reject("a\x1b[2J.jsonl", 1, "x\ny", "equal", "\u202egnp")) == (
        "a<U+001B>[2J.jsonl:1 x<U+000A>y: equal (<U+202E>gnp)"
    )
