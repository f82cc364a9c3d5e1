"""A store is read as any file is: each judgment a row, every one accounted for, in every view."""

import json

import pytest

from preferably.data.importing import export_in, is_export, rows_in
from preferably.data.load import load_feedback, read_feedback
from preferably.data.readers import read_rows
from preferably.errors import DataError
from preferably.feedback.records import Completion, Group, Label, Message, Preference, Ranking, Rating
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store
from preferably.feedback.views import pairs

ROWS = [
    {"prompt": "p1", "chosen": "a", "rejected": "b", "strength": 2, "labeler": "ada", "labeler_group": "careful"},
    {"prompt": "p1", "chosen": "a", "rejected": "b", "labeler": "ben"},
    {"prompt": "p1", "chosen": "b", "rejected": "a", "labeler": "eli"},
    {"prompt": "p2", "completions": ["a", "b"], "choice": "tie", "labeler": "ada"},
    {"prompt": "p3", "completions": ["x", "y", "z"], "ranks": [2, 1, 2], "labeler": "ben"},
    {"prompt": "p4", "completions": ["x", "y"], "ratings": [{"kind": 3, "true": 1}, {"kind": 1, "true": 1}]},
    {"prompt": "p5", "completion": "x", "label": True, "labeler": "eli"},
    {"prompt": [{"role": "user", "content": "p6"}], "chosen": [{"role": "assistant", "content": "c"}],
     "rejected": [{"role": "assistant", "content": "d"}], "source": "desk"},
]  # fmt: skip


def brought(paths, store, **how):
    entries, account = rows_in(paths, **how)
    store.say(entries)
    return account


def texts(groups):
    return sorted(
        (group.prompt_text, tuple(one.text for one in group.completions), group.ranks, group.label, group.strength,
         group.source)
        for group in groups
    )  # fmt: skip


@pytest.fixture
def rows(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


@pytest.fixture
def database(tmp_path, rows):
    with Store(tmp_path / "p.db") as store:
        brought([rows], store)
    return tmp_path / "p.db"


@pytest.mark.parametrize("feedback", ["pairs", "rankings", "labels", "demonstrations", "prompts"])
def test_a_store_gives_what_its_files_give(rows, database, feedback):
    of_file = load_feedback([rows], feedback, max_rejected=1.0)
    of_store = load_feedback([database], feedback, max_rejected=1.0)
    assert texts(of_store.groups) == texts(of_file.groups) and of_store.groups

    # Every judgment is a row: two of the row that rates on two axes. What speaks of something else is no fault.
    account = of_store.accounting
    assert account.read == 9 == account.used + account.deduplicated + len(account.rejects)
    assert set(account.rejected) <= {"unjudged", "tie", "no_majority"}


def test_a_store_of_many_kinds_of_feedback_is_read_as_any_of_them_without_a_fault(tmp_path, rows):
    rows.write_text("".join(json.dumps(row) + "\n" for row in (ROWS[0], ROWS[4], *([ROWS[6]] * 1))))
    with Store(tmp_path / "p.db") as store:
        brought([rows], store)
    assert len(load_feedback([tmp_path / "p.db"], "pairs").groups) == 3
    assert read_feedback([tmp_path / "p.db"], "pairs").accounting.rejected == {"unjudged": 1}
    assert len(load_feedback([tmp_path / "p.db"], "labels").groups) == 3  # two of the pair, one thumb


def test_what_files_and_store_say_of_one_group_is_decided_by_the_majority(tmp_path):
    """As Store.judged has it: pairs, rankings and ratings of one group are votes on the same completions."""
    group = Group((Message("user", "q"),), tuple(Completion((Message("assistant", text),)) for text in "abc"))
    said = [Ranking((1, 2, 3), "ada"), Preference(1, labeler="ben"), Preference(1, labeler="eli")]
    rated = Group((Message("user", "r"),), group.completions[:2])
    with Store(tmp_path / "p.db") as store:
        store.say([Entry(group, one) for one in said])
        store.say(
            [Entry(rated, Rating("x", (1.0, 2.0))), Entry(group, Label(True, 2)), Entry(rated, Rating("y", (5.0, 1.0)))]
        )
        expected = pairs(store.judged())
    found = load_feedback([tmp_path / "p.db"], "pairs").groups
    assert texts(found) == texts(expected)
    assert {tuple(one.text for one in pair.completions) for pair in found} == {
        ("b", "a"), ("a", "c"), ("b", "c"), ("a", "b"),
    }  # fmt: skip


def test_what_else_the_row_of_a_prompt_held_is_no_verdict(tmp_path):
    """Prompts that were read with their columns, answered and judged."""
    columns = json.dumps({"choice": 1, "labeler": "human1", "id": 7, "label": False})
    group = Group((Message("user", "q"),), tuple(Completion((Message("assistant", t),)) for t in "ab"), columns=columns)
    with Store(tmp_path / "p.db") as store:
        store.say([Entry(group, Preference(0, labeler="judge")), Entry(group, Preference(0, labeler="other"))])
    (pair,) = load_feedback([tmp_path / "p.db"], "pairs").groups
    assert [one.text for one in pair.completions] == ["a", "b"]
    rows = [row for _, row in read_rows(tmp_path / "p.db")]
    assert [(row["labeler"], row["choice"], "id" in row) for row in rows] == [("judge", 0, False), ("other", 0, False)]


def test_the_order_shown_is_kept_and_none_is_invented(tmp_path, rows):
    rows.write_text("".join(
        json.dumps({"prompt": f"p{n}", "completions": ["zz", "aa"], "choice": 0}) + "\n" for n in range(5)
    ) + json.dumps({"prompt": "q", "chosen": "b", "rejected": "a"}) + "\n")  # fmt: skip
    with Store(tmp_path / "p.db") as store:
        brought([rows], store)
        kept = list(store.entries())
    assert [one.shown for one in kept] == [True] * 5 + [False]
    assert all(one.judgment.choice == one.judgment.order[0] for one in kept[:5])
    back = [row for _, row in read_rows(tmp_path / "p.db")]
    assert back[0]["completions"] == ["zz", "aa"] and back[0]["choice"] == 0
    assert (back[5]["chosen"], back[5]["rejected"]) == ("b", "a")


def test_of_ranks_and_ratings_the_ranks_count(tmp_path, rows):
    rows.write_text(json.dumps({"prompt": "q", "completions": ["x", "y"], "ranks": [1, 2], "ratings": [1, 5]}) + "\n")
    with Store(tmp_path / "p.db") as store:
        brought([rows], store)
    found = load_feedback([tmp_path / "p.db"], "pairs").groups
    assert texts(found) == texts(load_feedback([rows], "pairs").groups) and len(found) == 1


def test_rows_are_accounted_for_on_the_way_in(tmp_path, rows):
    rows.write_text(rows.read_text() + "".join(json.dumps(row) + "\n" for row in (
        ROWS[0], ROWS[0] | {"chosen": "b", "rejected": "a", "labeler": "zoe"}, {"prompt": "only"},
        {"prompt": "p7", "chosen": "a", "rejected": "a"},
    )))  # fmt: skip
    with Store(tmp_path / "p.db") as store:
        with pytest.raises(DataError, match="more than the 1.0%"):
            brought([rows], store)
        assert store.counts()["judgments"] == 0
        account = brought([rows], store, max_rejected=0.5)
        counts = store.counts()
        assert (account.read, account.used, account.deduplicated) == (12, 9, 1)
        assert sorted(account.rejected) == ["equal", "unjudged"] and counts["judgments"] == 10
        brought([rows], store, max_rejected=0.5)
        assert store.counts() == counts  # a second time adds nothing


def test_a_correction_counts_and_what_it_corrects_does_not(tmp_path):
    group = Group((Message("user", "q"),), tuple(Completion((Message("assistant", text),)) for text in "ab"))
    first = Entry(group, Preference(0, labeler="ada"))
    with Store(tmp_path / "p.db") as store:
        store.say([first])
        store.say([Entry(group, Preference(1, labeler="ada"), supersedes=first.id)])
    (pair,) = load_feedback([tmp_path / "p.db"], "pairs").groups
    assert [one.text for one in pair.completions] == ["b", "a"] and pair.place == (str(tmp_path / "p.db"), 2)


def test_judgments_without_a_verdict_are_counted_and_never_turned_into_one(tmp_path):
    group = Group((Message("user", "q"),), tuple(Completion((Message("assistant", text),)) for text in "ab"))
    with Store(tmp_path / "p.db") as store:
        store.say([Entry(group, Preference(0, labeler="good"))])
        store.say([
            Entry(group, said) for said in (
                Preference(None, labeler="m", state="refused"), Ranking((), "m", state="invalid"),
                Rating("a", (None, None), "m", state="failed"), Label(False, 0, "m", state="invalid"),
            )
        ])  # fmt: skip
    found = read_feedback([tmp_path / "p.db"], "pairs")
    assert len(found.groups) == 1 and found.accounting.rejected == {"unjudged": 4} and found.accounting.read == 5


def test_two_of_three_may_be_compared(tmp_path):
    group = Group((Message("user", "q"),), tuple(Completion((Message("assistant", text),)) for text in "abc"))
    with Store(tmp_path / "p.db") as store:
        store.say([Entry(group, Preference(2, labeler="ada", order=(2, 0)))])
    (pair,) = load_feedback([tmp_path / "p.db"], "pairs").groups
    assert [one.text for one in pair.completions] == ["c", "a"]


def test_an_export_is_told_from_rows_and_makes_the_same_store(tmp_path, rows, database):
    from preferably.data.writers import write_rows
    from preferably.feedback.store.moving import fingerprint, lines_of

    with Store(database) as store:
        write_rows(lines_of(store), tmp_path / "all.jsonl")
        before = fingerprint(store)
    assert is_export(tmp_path / "all.jsonl") and not is_export(rows) and not is_export(database)
    with Store(tmp_path / "again.db") as store:
        assert len(store.say(export_in(tmp_path / "all.jsonl"))) == 9
        assert fingerprint(store) == before
        cut = (tmp_path / "all.jsonl").read_text()[:-20]
        (tmp_path / "cut.jsonl").write_text(cut)
        with pytest.raises(DataError, match=r"cut.jsonl: line \d+ cannot be read"):
            export_in(tmp_path / "cut.jsonl")


def test_an_export_may_be_zipped_and_hold_half_a_character(tmp_path):
    from preferably.data.writers import write_rows
    from preferably.feedback.store.moving import fingerprint, lines_of

    group = Group((Message("user", "\ud83d and \0"),), tuple(Completion((Message("assistant", t),)) for t in "ab"))
    with Store(tmp_path / "p.db") as store:
        store.say([Entry(group, Preference(0, labeler="ada"))])
        write_rows(lines_of(store), tmp_path / "all.jsonl.gz")
        before = fingerprint(store)
    assert is_export(tmp_path / "all.jsonl.gz")
    with Store(tmp_path / "again.db") as store:
        assert len(store.say(export_in(tmp_path / "all.jsonl.gz"))) == 1 and fingerprint(store) == before


def test_an_empty_store_holds_no_rows(tmp_path):
    Store(tmp_path / "p.db").close()
    with pytest.raises(DataError, match="holds no judgments"):
        load_feedback([tmp_path / "p.db"], "pairs")
