"""Files and directories that are there whole or not at all."""

import errno
import os

import pytest

from preferably.errors import CheckpointError
from preferably.training.disk import NoSpaceError, new_directory, telling, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def failing(monkeypatch, call, code):
    def fail(*arguments):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(("code", "kind"), [(errno.ENOSPC, NoSpaceError), (errno.EIO, CheckpointError)])
def test_a_file_that_cannot_be_written_is_the_old_one(tmp_path, monkeypatch, call, code, kind):
    write_whole(tmp_path / "a", b"old")
    with monkeypatch.context() as patch:
        failing(patch, call, code)
        with pytest.raises(CheckpointError, match="a was not written") as caught:
            write_whole(tmp_path / "a", b"new")
    assert type(caught.value) is kind
    assert names(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


def fill(path, text):
    with new_directory(path) as place:
        (place / "a").write_text(text)


def test_a_directory_takes_the_place_of_the_old_one(tmp_path):
    fill(tmp_path / "model", "old")
    (tmp_path / "model" / "b").write_text("no longer written")
    fill(tmp_path / "model", "new")
    assert names(tmp_path) == ["model"] and names(tmp_path / "model") == ["a"]
    assert (tmp_path / "model" / "a").read_text() == "new"


def test_a_directory_that_could_not_be_filled_is_the_old_one(tmp_path):
    fill(tmp_path / "model", "old")
    with pytest.raises(NoSpaceError, match="model was not written"), new_directory(tmp_path / "model") as place:
        (place / "a").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert names(tmp_path) == ["model"] and (tmp_path / "model" / "a").read_text() == "old"


def test_what_a_killed_writer_left_is_removed(tmp_path):
    for name in ("model.tmp", "model.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").touch()
    fill(tmp_path / "model", "new")
    assert names(tmp_path) == ["model"] and names(tmp_path / "model") == ["a"]


def test_what_is_no_error_of_the_system_passes_through(tmp_path):
    with pytest.raises(ZeroDivisionError), telling(tmp_path):
        raise ZeroDivisionError
