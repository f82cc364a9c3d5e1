"""Paths that are no plain file: what is refused before a byte is read, directories, and files that change."""

import json
import os
import socket

import pytest

from preferably.data.accounting import Accounting
from preferably.data.load import load_feedback
from preferably.data.readers import read_rows
from preferably.data.sources import sources
from preferably.errors import DataError

LINE = '{"prompt": "p%d", "chosen": "c", "rejected": "r"}\n'


def refused(path, message):
    with pytest.raises(DataError, match=message) as caught:
        list(read_rows(path))
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_pipes_devices_and_sockets(tmp_path):
    os.mkfifo(tmp_path / "pipe.jsonl")
    refused(tmp_path / "pipe.jsonl", "is a pipe, not a regular file")
    refused("/dev/zero", "is a device")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        refused(tmp_path / "s", "is a socket")
    (tmp_path / "link.jsonl").symlink_to("/dev/zero")
    refused(tmp_path / "link.jsonl", "is a device")


def test_links_that_lead_nowhere(tmp_path):
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "b.jsonl")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "a.jsonl")
    refused(tmp_path / "a.jsonl", "leads back to itself")
    (tmp_path / "c.jsonl").symlink_to("nowhere.jsonl")
    refused(tmp_path / "c.jsonl", "symbolic link to 'nowhere.jsonl', which does not exist")


@pytest.mark.parametrize("name", ["a\nb.jsonl", "a\x1b[2J.jsonl", "a\u202eb.jsonl", "a\u2028b.jsonl", "a\udcff.jsonl"])
def test_names_that_cannot_be_shown(tmp_path, name):
    path = tmp_path / name
    path.write_text(LINE % 1)
    refused(path, r"rename the file")
    with pytest.raises(DataError, match="rename the file"):
        load_feedback([tmp_path], "pairs")


def test_permission_denied(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text(LINE % 1)
    path.chmod(0)
    if os.access(
        path, os.R_OK
    ):  # root may read everything: let the operating system refuse by other means        real = open
        real = open

        def deny(file, *arguments, **options):
            if str(file) == str(path):
                raise PermissionError(13, "Permission denied", str(path))
            return real(file, *arguments, **options)

        monkeypatch.setattr("builtins.open", deny)
    refused(path, "a.jsonl cannot be read: Permission denied")


def test_a_part_of_the_path_that_is_a_file(tmp_path):
    (tmp_path / "a.jsonl").write_text(LINE % 1)
    refused(tmp_path / "a.jsonl" / "b.jsonl", "cannot be read: Not a directory")
    refused(tmp_path / ("x" * 300), "cannot be read: File name too long")


@pytest.mark.parametrize("change", ["grow", "touch", "replace", "remove", "cut"])
def test_a_file_that_changes_while_it_is_read(tmp_path, change):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(LINE % number for number in range(20_000)))
    rows = read_rows(path)
    assert next(rows)[0] == 1
    if change == "grow":
        with open(path, "a") as file:
            file.write(LINE % 1)
    elif change == "touch":
        os.utime(path, ns=(1, 1))
    elif change == "replace":
        (tmp_path / "b").write_text(path.read_text())
        os.replace(tmp_path / "b", path)
    elif change == "remove":
        path.unlink()
    else:
        os.truncate(path, 300_001)
    with pytest.raises(DataError, match="a.jsonl changed while it was read"):
        list(rows)


def test_a_directory_gives_its_data_files(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    for number, name in enumerate(("b/1.json", "b/2.jsonl", ".hidden/3.jsonl", ".4.jsonl", "b/.5.json")):
        (tmp_path / name).write_text(LINE % number)
    (tmp_path / "a.csv").write_text("prompt,chosen,rejected\np,c,r\n")
    for name in ("README.md", "b/LICENSE"):
        (tmp_path / name).write_text("not data")
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    (tmp_path / "c.jsonl").symlink_to(tmp_path / "b" / "2.jsonl")
    found = load_feedback([tmp_path], "pairs")
    assert [group.place[0].removeprefix(f"{tmp_path}/") for group in found.groups] == ["a.csv", "b/1.json", "b/2.jsonl"]
    assert found.accounting.deduplicated == 1  # c.jsonl, which is b/2.jsonl once more
    warned = found.accounting.warned["not_data"]
    assert (warned.count, [place.removeprefix(f"{tmp_path}/") for place in warned.first]) == (
        3, ["README.md", "b/LICENSE", "linked"],
    )  # fmt: skip
    assert "README.md" in found.accounting.describe()


def test_directories_without_data(tmp_path):
    with pytest.raises(DataError, match="it is empty"):
        load_feedback([tmp_path], "pairs")
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(DataError, match=r"without data files \(.jsonl.*it holds README.md"):
        load_feedback([tmp_path], "pairs")
    (tmp_path / "data-00000-of-00001.arrow").write_text("x")
    (tmp_path / "state.json").write_text("{}")
    with pytest.raises(DataError, match="save_to_disk"):
        load_feedback([tmp_path], "pairs")


def test_an_empty_file_among_others_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text(LINE % 1)
    (tmp_path / "b.jsonl").write_text("")
    with pytest.raises(DataError, match="b.jsonl holds no rows"):
        load_feedback([tmp_path], "pairs")


def test_what_is_no_directory_is_left_as_it_is(tmp_path):
    account = Accounting()
    assert sources("owner/name:train", account) == ["owner/name:train"]
    assert sources(tmp_path / "a.jsonl", account) == [str(tmp_path / "a.jsonl")] and not account.warned


def test_a_mistyped_path_is_not_asked_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("preferably.data.readers.hub_rows", lambda *wanted: pytest.fail(f"asked for {wanted}"))
    (tmp_path / "data").mkdir()
    for path in (
        "data/train",
        "other/train.jsonl",
        "other/train.csv.gz",
        "/other/train",
        "train",
        "a/b/c",
        "./a/b",
        "~/a",
    ):
        refused(path, "does not exist")


def test_places_are_those_of_the_files_in_data_json(tmp_path):
    (tmp_path / "a.jsonl").write_text(LINE % 1 + "{}\n" + LINE % 2)
    made = load_feedback([tmp_path], "pairs", max_rejected=0.5).accounting.as_json()
    assert json.loads(json.dumps(made))["rejects"][0]["file"] == str(tmp_path / "a.jsonl")
