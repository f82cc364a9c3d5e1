"""A store is read as any file is: each judgment a row, every one accounted for, in every view."""

import json

import pytest

from preferably.data.importing import import_export, import_rows, is_export
from preferably.data.load import load_feedback, read_feedback
from preferably.errors import DataError
from preferably.feedback.records import Completion, Group, Label, Message, Preference, Ranking, Rating
from preferably.feedback.store.entry import Entry
from preferably.feedback.store.store import Store

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
        import_rows([rows], store)
    return tmp_path / "p.db"


@pytest.mark.parametrize("feedback", ["pairs", "rankings", "labels", "demonstrations", "prompts"])
def test_a_store_gives_what_its_files_give(rows, database, feedback):
    of_file = load_feedback([rows], feedback, max_rejected=1.0)
    of_store = load_feedback([database], feedback, max_rejected=1.0)
    assert texts(of_store.groups) == texts(of_file.groups) and of_store.groups

    one, other = of_store.accounting, of_file.accounting
    assert (one.read, one.used, one.deduplicated, one.rejected) == (
        other.read, other.used, other.deduplicated, other.rejected,
    )  # fmt: skip


def test_rows_are_accounted_for_on_the_way_in(tmp_path, rows):
    rows.write_text(rows.read_text() + "".join(json.dumps(row) + "\n" for row in (
        ROWS[0], ROWS[0] | {"chosen": "b", "rejected": "a", "labeler": "zoe"}, {"prompt": "only"},
        {"prompt": "p7", "chosen": "a", "rejected": "a"},
    )))  # fmt: skip
    with Store(tmp_path / "p.db") as store:
        with pytest.raises(DataError, match="more than the 1.0%"):
            import_rows([rows], store)
        assert store.counts()["judgments"] == 0
        account = import_rows([rows], store, max_rejected=0.5)
        counts = store.counts()
        assert (account.read, account.used, account.deduplicated) == (12, 9, 1)
        assert sorted(account.rejected) == ["equal", "unjudged"] and counts["judgments"] == 10
        import_rows([rows], store, max_rejected=0.5)
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
        assert import_export(tmp_path / "all.jsonl", store) == 9
        assert fingerprint(store) == before
        cut = (tmp_path / "all.jsonl").read_text()[:-20]
        (tmp_path / "cut.jsonl").write_text(cut)
        with pytest.raises(DataError, match=r"cut.jsonl:\d+ is not JSON"):
            import_export(tmp_path / "cut.jsonl", store)


def test_an_empty_store_holds_no_rows(tmp_path):
    Store(tmp_path / "p.db").close()
    with pytest.raises(DataError, match="holds no rows"):
        load_feedback([tmp_path / "p.db"], "pairs")
