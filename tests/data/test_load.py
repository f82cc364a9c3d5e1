import json

import pytest

from preferably.data.load import load_feedback, read_feedback
from preferably.data.writers import write_rows
from preferably.errors import ConfigError, DataError


def lines(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def row(number, **changes):
    return {"prompt": f"p{number}", "chosen": "c", "rejected": "r"} | changes


def test_files_are_read_in_order_and_duplicates_are_counted_across_them(tmp_path):
    one = lines(tmp_path / "one.jsonl", [row(1), row(2), row(1, id=7)])
    two = lines(tmp_path / "two.jsonl", [row(3), row(2), row(2, chosen="r", rejected="c"), row(4, chosen="r")])
    loaded = load_feedback([one, two], "pairs", max_rejected=0.2)
    assert [group.prompt_text for group in loaded.groups] == ["p1", "p2", "p3", "p2"]
    assert loaded.groups[2].place == (str(two), 1)
    assert [completion.text for completion in loaded.groups[3].completions] == ["r", "c"]
    counts = loaded.accounting.as_json()
    assert (counts["read"], counts["used"], counts["deduplicated"], counts["rejected"]) == (7, 4, 2, {"equal": 1})


def test_too_many_rejects_stop_with_the_rows(tmp_path):
    path = lines(tmp_path / "one.jsonl", [row(1), row(2, chosen="r")])
    with pytest.raises(DataError, match=r"one.jsonl:2 rejected: equal .* --max-rejected 0.5"):
        load_feedback([path], "pairs")


def test_limit_stops_reading(tmp_path):
    path = lines(tmp_path / "one.jsonl", [row(number) for number in range(9)])
    loaded = load_feedback([path, path], "pairs", limit=4)
    assert len(loaded.groups) == loaded.accounting.read == 4


def test_views_of_one_file(tmp_path):
    path = lines(tmp_path / "one.jsonl", [row(1), row(1, chosen="d")])
    assert [len(group.completions) for group in load_feedback([path], "pairs").groups] == [2, 2]
    prompts = load_feedback([path], "prompts")
    assert [group.completions for group in prompts.groups] == [()] and prompts.accounting.deduplicated == 1
    assert [group.completions[0].text for group in load_feedback([path], "demonstrations").groups] == ["c", "d"]
    labels = load_feedback([path], "labels")
    assert [group.label for group in labels.groups] == [True, False, True, False] and labels.accounting.used == 2
    assert [group.ranks for group in load_feedback([path], "rankings").groups] == [(1, 2), (1, 2)]
    with pytest.raises(ConfigError, match="axes of this data: none"):
        load_feedback([path], "pairs", axis="helpful")


def test_an_id_without_a_text_is_none(tmp_path):
    path = lines(tmp_path / "a.jsonl", [row(0, id=""), row(1, id=""), row(2, id="x")])
    assert load_feedback([path], "pairs").accounting.used == 3


def test_a_verdict_that_is_given_again_in_the_other_order_is_no_second_vote(tmp_path):
    said = [
        {"prompt": "p", "completions": ["x", "y"], "choice": 0, "labeler": "ann"},
        {"prompt": "p", "completions": ["y", "x"], "choice": 1, "labeler": "ann"},
        {"prompt": "p", "completions": ["x", "y"], "choice": 1, "labeler": "bob"},
    ]
    found = read_feedback([lines(tmp_path / "a.jsonl", said)], "pairs")
    assert found.groups == [] and found.accounting.deduplicated == 1
    assert found.accounting.as_json()["rejected"] == {"no_majority": 2}


def test_a_group_of_labelers_does_not_take_away_an_arenas_judge(tmp_path):
    said = [
        {
            "prompt": "p",
            "response_a": "x",
            "response_b": "y",
            "winner": winner,
            "judge": judge,
            "labeler_group": "crowd",
        }
        for winner, judge in (("model_a", "ann"), ("model_b", "bob"))
    ]
    [one] = read_feedback([lines(tmp_path / "a.jsonl", said)], "pairs").records
    assert [(each.labeler, each.labeler_group) for each in one.judgments] == [("ann", "crowd"), ("bob", "crowd")]


def test_who_wrote_what_is_read_from_csv_too(tmp_path):
    rows = [{"prompt": "p", "completions": ["x", "y"], "ranks": [1, 2], "models": ["a", "b"]}]
    write_rows(rows, tmp_path / "both.csv")
    [one] = load_feedback([tmp_path / "both.csv"], "rankings").groups
    assert [each.origin.model for each in one.completions] == ["a", "b"]
