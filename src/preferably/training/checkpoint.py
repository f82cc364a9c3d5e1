"""Checkpoints that survive kill -9, a power cut and a full disk, and that say so when they did not.

Each is a directory `step-00000060` with the caller's files and `MANIFEST.json`, which is written last and holds size
and SHA-256 of every file (safetensors alone loads a file with a flipped bit without a word). It is written under
another name, synced file by file, renamed, synced again and read back; only then are older ones removed. So at any
moment the newest directory that verifies is a whole checkpoint. Files are safetensors and JSON, never pickle.
"""

import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from filelock import BaseFileLock, FileLock, Timeout

from preferably.errors import CheckpointError
from preferably.training.disk import NoSpaceError, sync, telling

SCHEMA = 1
MANIFEST = "MANIFEST.json"
SPARE = 1.3  # free space asked for before writing, as a multiple of the previous checkpoint

_NAME = re.compile(r"step-(\d{8,})")
_LEFTOVER = re.compile(r"step-\d{8,}\.tmp-.+")
_PACKAGES = ("preferably", "torch", "transformers", "tokenizers", "safetensors", "peft", "numpy")

Writer = Callable[[Path], object]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What the manifest says of a file."""

    size: int  # bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint says of itself."""

    run_id: str
    step: int
    files: dict[str, FileEntry]
    facts: dict[str, Any]


class Newest(NamedTuple):
    """The newest checkpoint that verifies, if there is one, and the newer ones that did not, with the reasons."""

    path: Path | None
    manifest: Manifest | None
    refused: list[tuple[Path, str]]


def name_of(step: int) -> str:
    """The name of the directory of `step`: `step-00000060`."""
    return f"step-{step:08d}"


def write_checkpoint(
    directory: Path,
    step: int,
    files: Mapping[str, Writer],
    facts: Mapping[str, Any],
    *,
    run_id: str,
    keep: int | None = None,
    best: int | None = None,
    lock: BaseFileLock | None = None,
) -> Path:
    """Writes `directory/step-<step>` and returns its path, once it has been synced and read back.

    `files`: plain name -> a function that writes that one file at the path it is given (it may raise; nothing is then
    changed). `facts`: anything JSON (no NaN), kept in the manifest. `keep`, `best`: as in `prune`, which is done last
    where `keep` is given. `lock`: what `lock_run` gave; leftovers of killed writers are removed only under it.

    `NoSpaceError` where the disk is or would be full, `CheckpointError` where something else stopped the write or the
    step is there already (one that does not verify is moved aside, not overwritten); older checkpoints are untouched by
    either. `ValueError` for names, steps or facts that cannot be stored.
    """
    plain_facts = _checked(step, files, facts, keep)
    final = directory / name_of(step)
    temporary = _temporary(final)
    with telling(final, " Older ones are untouched."):
        directory.mkdir(parents=True, exist_ok=True)
        sync(directory.parent)
        if lock is not None and lock.is_locked:
            for path in directory.iterdir():
                if _LEFTOVER.fullmatch(path.name):
                    shutil.rmtree(path, ignore_errors=True)
        _refuse_existing(final)
        _expect_space(directory, run_id)
        try:
            temporary.mkdir()
            entries = {name: _write_file(temporary / name, write) for name, write in files.items()}
            if extra := sorted({path.name for path in temporary.iterdir()} - set(files)):
                raise CheckpointError(f"{final}: its writers also left {', '.join(extra)}; name every file.")
            content = _encode({"run_id": run_id, "step": step, "files": entries, "facts": plain_facts})
            _write_file(temporary / MANIFEST, lambda path: path.write_bytes(content))
            sync(temporary)
            if final.exists():  # it does not verify: kept for whoever wants to know why
                os.rename(final, final.with_name(f"{final.name}.refused-{secrets.token_hex(4)}"))
            os.rename(temporary, final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync(directory)
    verify(final)
    if keep is not None:
        prune(directory, keep, run_id=run_id, best=best, verified=final)
    return final


def verify(path: Path, *, run_id: str | None = None) -> Manifest:
    """The manifest of the checkpoint in `path`, after every byte of it has been checked.

    `CheckpointError`, naming the file and the reason, for a file that is missing, unreadable, not in the manifest, or
    of another size or content, and for a manifest that is broken, from a newer version, of another step, or of another
    run than `run_id` (if that is given).
    """
    manifest = _read_manifest(path, run_id)
    try:
        present = {entry.name for entry in os.scandir(path)} - {MANIFEST}
        for name in sorted(present ^ set(manifest.files)):
            raise CheckpointError(f"{path / name}: {'is not in the manifest' if name in present else 'is missing'}.")
        for name, entry in manifest.files.items():
            file = path / name
            if not file.is_file():
                raise CheckpointError(f"{file}: is not a file.")
            if (size := file.stat().st_size) != entry.size:
                raise CheckpointError(f"{file}: has {size} bytes, not the {entry.size} of the manifest.")
            if _digest(file) != entry.sha256:
                raise CheckpointError(f"{file}: its content is not what was written (SHA-256 differs).")
    except OSError as error:
        raise CheckpointError(f"{error.filename or path}: cannot be read: {error.strerror}.") from error
    return manifest


def newest_valid(directory: Path, run_id: str | None = None) -> Newest:
    """The newest checkpoint of `run_id` (of any run, if `None`) in `directory` that verifies.

    Older ones are tried in turn; `refused` holds each newer one with the reason. Temporary directories are not looked
    at, nothing is changed, and a directory that does not exist holds none.
    """
    refused: list[tuple[Path, str]] = []
    for path in _newest_first(directory):
        try:
            return Newest(path, verify(path, run_id=run_id), refused)
        except CheckpointError as error:
            refused.append((path, str(error).rstrip(".")))
    return Newest(None, None, refused)


def prune(
    directory: Path, keep: int, *, run_id: str, best: int | None = None, verified: Path | None = None
) -> list[Path]:
    """Removes old checkpoints of `run_id` and returns which; `keep` (at least 1) of the newest that verify stay.

    The step `best` stays whatever its age, and so does what does not verify, belongs to another run or cannot
    be removed. `verified` was checked just now and is not read again. `ValueError` for keep < 1.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, the newest checkpoint; got {keep}.")
    kept, removed = 0, []
    for path in _newest_first(directory):
        try:
            # Only those that are to stay are read in full.
            reading = kept < keep and path != verified
            manifest = verify(path, run_id=run_id) if reading else _read_manifest(path, run_id)
        except CheckpointError:
            continue
        if kept < keep:
            kept += 1
        elif path != verified and manifest.step != best:
            # Renamed first: a kill on the way leaves a leftover, not a checkpoint with half of its files.
            doomed = _temporary(path)
            with suppress(OSError):
                os.rename(path, doomed)
                shutil.rmtree(doomed)
                removed.append(path)
    return removed


@contextmanager
def lock_run(directory: Path) -> Iterator[BaseFileLock]:
    """Holds the run directory for this process; `CheckpointError` naming the holder where another has it.

    The lock goes with the process, however that ends: a killed run never has to be unlocked by hand.
    """
    lock, holder = FileLock(directory / ".lock", timeout=0, thread_local=False), directory / ".lock-holder"
    with telling(directory / ".lock"):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            who = "another process"
            with suppress(OSError):
                who = holder.read_text(encoding="utf-8", errors="replace").strip() or who
            advice = "wait for it to end or choose another output directory"
            raise CheckpointError(f"{directory} is in use by {who}; {advice}.") from None
    try:
        with suppress(OSError):  # a courtesy: a full disk is told where it matters
            holder.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
        yield lock
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def environment_facts(*, device: str, dtype: str, threads: int) -> dict[str, Any]:
    """What a bit-identical resume depends on: versions, and the device, dtype and number of threads given."""
    versions = {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES}
    return {"versions": versions, "machine": platform.machine(), "device": device, "dtype": dtype, "threads": threads}


def _checked(step: int, files: Mapping[str, Writer], facts: Mapping[str, Any], keep: int | None) -> dict[str, Any]:
    """The facts as they will be read back, once the arguments are known to be storable."""
    if step < 0 or not files or (keep is not None and keep < 1):
        got = f"step {step}, {len(files)} files, keep {keep}"
        raise ValueError(f"A checkpoint needs a step from 0 up, at least one file and keep from 1 up; got {got}.")
    for name in files:
        if name in ("", ".", "..", MANIFEST) or any(sign in name for sign in "/\\\0"):
            raise ValueError(f"{name!r} cannot be the name of a file in a checkpoint; expected a plain name.")
    try:
        return dict(json.loads(json.dumps(dict(facts), allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"The facts of a checkpoint must be JSON: {error}.") from error


def _temporary(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp-{os.getpid()}-{secrets.token_hex(4)}")


def _refuse_existing(final: Path) -> None:
    try:
        found = verify(final)
    except CheckpointError:
        return
    raise CheckpointError(f"{final} is there already, from run {found.run_id!r}, and is never overwritten.")


def _expect_space(directory: Path, run_id: str) -> None:
    for path in _newest_first(directory):
        try:
            manifest = _read_manifest(path, run_id)
        except CheckpointError:
            continue
        needed = int(SPARE * sum(entry.size for entry in manifest.files.values()))
        if (free := shutil.disk_usage(directory).free) < needed:
            sizes = f"{free / 1e6:,.1f} MB free, {needed / 1e6:,.1f} MB wanted"
            full = f"the disk is full: {sizes} ({SPARE} x the previous one)"
            raise NoSpaceError(f"No checkpoint was written in {directory}, {full}.")
        return


def _write_file(path: Path, write: Writer) -> FileEntry:
    write(path)
    if not path.is_file():
        raise CheckpointError(f"{path.name}: its writer wrote no file.")
    sync(path)
    return FileEntry(path.stat().st_size, _digest(path))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _encode(body: Mapping[str, Any]) -> bytes:
    """The manifest's bytes; the digest over everything else in it comes last."""
    full = {"schema": SCHEMA, **body}
    full["files"] = {name: asdict(entry) for name, entry in body["files"].items()}
    digest = sha256(json.dumps(full, sort_keys=True).encode()).hexdigest()
    return (json.dumps({**full, "digest": digest}, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _read_manifest(path: Path, run_id: str | None) -> Manifest:
    file = path / MANIFEST
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{file}: is missing.") from None
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}.") from error
    try:
        stored = json.loads(raw)
        schema = stored["schema"]
        if isinstance(schema, int) and schema > SCHEMA:
            known = f"this version of preferably reads up to {SCHEMA}; upgrade it"
            raise CheckpointError(f"{file}: is of schema {schema}, {known}.")
        files = {name: FileEntry(entry["size"], entry["sha256"]) for name, entry in stored["files"].items()}
        manifest = Manifest(stored["run_id"], stored["step"], files, stored["facts"])
        # Written again, it must come out the same to the byte, digest included.
        whole = schema == SCHEMA and raw == _encode({**asdict(manifest), "files": files})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise CheckpointError(f"{file}: is broken.")
    if run_id is not None and manifest.run_id != run_id:
        raise CheckpointError(f"{file}: is of run {manifest.run_id!r}, not of {run_id!r}.")
    named = _NAME.fullmatch(path.name)
    if named and int(named[1]) != manifest.step:
        raise CheckpointError(f"{file}: is of step {manifest.step}, not of the one that the directory is named after.")
    return manifest


def _newest_first(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    try:
        steps = {path: int(named[1]) for path in directory.iterdir() if (named := _NAME.fullmatch(path.name))}
    except OSError as error:
        raise CheckpointError(f"{directory}: cannot be read: {error.strerror}.") from error
    return sorted(steps, key=steps.__getitem__, reverse=True)
