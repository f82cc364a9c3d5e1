import json
import os
import random
import shutil
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preferably.errors import CheckpointError
from preferably.training.checkpoint import (
    MANIFEST,
    name_of,
    newest_valid,
    verify,
    write_checkpoint,
)


def put(data):
    return lambda path: path.write_bytes(data)


def write(folder, step, run_id="a", **more):
    files = {"weights.bin": put(bytes(range(256)) * 4 + bytes([step % 256])), "state.json": put(b'{"step": %d}' % step)}
    return write_checkpoint(folder, step, files, {"lr": 0.1, "names": ("x", "y")}, run_id=run_id, **more)


def steps(folder):
    return sorted(path.name for path in folder.iterdir())


# What is written


def test_the_manifest_holds_size_and_sha256_of_every_file(tmp_path):
    path = write(tmp_path / "run" / "checkpoints", 60)
    assert path == tmp_path / "run" / "checkpoints" / "step-00000060" == path.with_name(name_of(60))
    stored = json.loads((path / MANIFEST).read_text())
    assert stored["schema"] == 1 and stored["run_id"] == "a" and stored["step"] == 60
    assert stored["facts"] == {"lr": 0.1, "names": ["x", "y"]}
    for name in ("weights.bin", "state.json"):
        data = (path / name).read_bytes()
        assert stored["files"][name] == {"size": len(data), "sha256": sha256(data).hexdigest()}
    assert steps(path.parent) == ["step-00000060"]
    manifest = verify(path, run_id="a")
    assert (manifest.run_id, manifest.step, manifest.facts["names"]) == ("a", 60, ["x", "y"])


def test_tensors_saved_by_safetensors_come_back_bit_by_bit(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    tensors = {
        "w": torch.randn(3, 5, generator=torch.Generator().manual_seed(0)),
        "b": torch.tensor([float("nan"), -0.0]),
    }
    path = write_checkpoint(tmp_path, 1, {"w.safetensors": lambda to: save_file(tensors, to)}, {}, run_id="a")
    loaded = load_file(verify(path) and path / "w.safetensors")
    assert all(loaded[name].numpy().tobytes() == tensor.numpy().tobytes() for name, tensor in tensors.items())


def test_facts_with_keys_that_are_not_text_are_stored_as_json_reads_them(tmp_path):
    path = write_checkpoint(tmp_path, 0, {"a": put(b"1")}, {"axis": {2: "x", 10: None}, "name": "é\ud800"}, run_id="a")
    assert verify(path).facts["axis"] == {"2": "x", "10": None}


@pytest.mark.parametrize("name", ["", ".", "..", MANIFEST, "a/b", "../a", "a\\b", "a\0"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="plain name"):
        write_checkpoint(tmp_path / "c", 1, {name: put(b"x")}, {}, run_id="a")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("facts", [{"x": float("nan")}, {"x": object()}, {"x": {1, 2}}])
def test_facts_that_are_not_json_are_refused_before_anything_is_written(tmp_path, facts):
    with pytest.raises(ValueError, match="JSON"):
        write_checkpoint(tmp_path / "c", 1, {"a": put(b"x")}, facts, run_id="a")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("more", [{"step": -1}, {"files": {}}, {"keep": 0}])
def test_arguments_that_make_no_checkpoint_are_refused(tmp_path, more):
    arguments = {"step": 1, "files": {"a": put(b"x")}} | more
    with pytest.raises(ValueError, match="at least one file"):
        write_checkpoint(tmp_path, facts={}, run_id="a", **arguments)


def test_a_step_that_is_there_is_never_overwritten(tmp_path):
    before = (write(tmp_path, 1) / MANIFEST).read_bytes()
    with pytest.raises(CheckpointError, match="is there already"):
        write(tmp_path, 1, run_id="b")
    assert (tmp_path / "step-00000001" / MANIFEST).read_bytes() == before
    assert steps(tmp_path) == ["step-00000001"]


def test_a_step_that_does_not_verify_is_moved_aside_not_overwritten(tmp_path):
    (write(tmp_path, 1) / "weights.bin").write_bytes(b"spoilt")
    write(tmp_path, 1)
    assert newest_valid(tmp_path, "a").manifest.step == 1
    (aside,) = tmp_path.glob("step-00000001.refused-*")
    assert (aside / "weights.bin").read_bytes() == b"spoilt"


# What is detected

FILES = ("weights.bin", "state.json", MANIFEST)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def directory_instead(path):
    path.unlink()
    path.mkdir()


SPOIL = {
    "bit flip": flip,
    "zeroed": lambda path: path.write_bytes(b"\0" * path.stat().st_size),
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "extra byte": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "a directory": directory_instead,
    "another file's bytes": lambda path: path.write_bytes(path.with_name("other").read_bytes()),
    "a dead link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", SPOIL)
def test_every_corruption_is_named_and_the_previous_checkpoint_used(tmp_path, name, kind):
    old, new = write(tmp_path, 1), write(tmp_path, 2)
    if kind == "another file's bytes":
        shutil.copy(old / name, new / "other")
    SPOIL[kind](new / name)
    (new / "other").unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match=name.replace(".", r"\.")):
        verify(new)
    found = newest_valid(tmp_path, "a")
    assert (found.path, found.manifest.step) == (old, 1)
    ((refused, reason),) = found.refused
    assert refused == new and name in reason


def test_an_extra_file_two_swapped_files_and_swapped_directories_are_detected(tmp_path):
    one, two = write(tmp_path, 1), write(tmp_path, 2)
    (two / "extra.bin").touch()
    with pytest.raises(CheckpointError, match=r"extra\.bin: is not in the manifest"):
        verify(two)
    (two / "extra.bin").unlink()
    os.rename(two / "weights.bin", two / "spare")
    os.rename(two / "state.json", two / "weights.bin")
    os.rename(two / "spare", two / "state.json")
    with pytest.raises(CheckpointError, match=r"(state\.json|weights\.bin): has"):
        verify(two)
    shutil.rmtree(two)
    os.rename(one, two)
    with pytest.raises(CheckpointError, match="of step 1"):
        verify(two)


def test_every_flipped_bit_of_a_manifest_is_detected(tmp_path):
    file = write(tmp_path, 1) / MANIFEST
    whole = file.read_bytes()
    random.seed(0)
    for bit in random.sample(range(8 * len(whole)), 600):
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        file.write_bytes(spoilt)
        with pytest.raises(CheckpointError, match=MANIFEST):
            verify(file.parent)
    file.write_bytes(whole)
    verify(file.parent)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.one_of(st.binary(max_size=60), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["schema", "files", "step", "run_id", "facts", "digest", "size"]), inner), max_leaves=8,
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_no_manifest_breaks_the_reader(tmp_path, data):
    folder = tmp_path / "step-00000001"
    folder.mkdir(exist_ok=True)
    (folder / MANIFEST).write_bytes(data)
    with pytest.raises(CheckpointError):
        verify(folder)


def test_a_manifest_of_a_future_schema_says_to_upgrade(tmp_path):
    write(tmp_path, 1)
    file = write(tmp_path, 2) / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | {"schema": 2}))
    with pytest.raises(CheckpointError, match="schema 2.*upgrade"):
        verify(file.parent)
    assert newest_valid(tmp_path, "a").manifest.step == 1


def test_a_checkpoint_of_another_run_is_refused_and_older_ones_are_used(tmp_path):
    write(tmp_path, 1)
    other = write(tmp_path, 2, run_id="b")
    found = newest_valid(tmp_path, "a")
    assert found.manifest.step == 1 and found.refused[0][0] == other and "'b'" in found.refused[0][1]
    assert newest_valid(tmp_path).manifest.run_id == "b"
    with pytest.raises(CheckpointError, match="of run 'b'"):
        verify(other, run_id="a")


def test_where_nothing_verifies_nothing_is_given(tmp_path):
    assert newest_valid(tmp_path / "absent", "a") == (None, None, [])
    (write(tmp_path, 1) / MANIFEST).unlink()
    (tmp_path / "step-00000002").touch()
    (tmp_path / "step-00000003.tmp-1-ff").mkdir()
    (tmp_path / "notes").mkdir()
    found = newest_valid(tmp_path, "a")
    assert found.path is None and [path.name for path, _ in found.refused] == ["step-00000002", "step-00000001"]


def test_steps_are_ordered_as_numbers(tmp_path):
    write(tmp_path, 99_999_999)
    write(tmp_path, 100_000_000)
    assert newest_valid(tmp_path, "a").manifest.step == 100_000_000
