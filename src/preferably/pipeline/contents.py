"""What is in a file, a store, a model or a judge, as a digest: what stays the same under another name, and does not
under the same name with other contents."""

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from preferably.data.accounting import Accounting
from preferably.data.sources import sources
from preferably.errors import DataError, ModelError
from preferably.feedback.store.naming import is_store
from preferably.feedback.store.store import Store
from preferably.functions import file_of, load_function
from preferably.judging.described import ASIDE
from preferably.judging.parts import weighted
from preferably.judging.people import named_store
from preferably.judging.settings import is_judge_file, read_judges
from preferably.models.loading import is_reward_model, model_directory

MODEL_FILES = (".safetensors", ".json", ".model", ".txt", ".jinja")  # weights, settings, tokenizer, template


def of_file(file: Path) -> str:
    """SHA-256 of a file; `DataError` where it cannot be read."""
    try:
        seen = file.stat()
        return _of_file(str(file.resolve()), seen.st_size, seen.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}.") from None


@lru_cache(maxsize=4096)
def _of_file(file: str, size: int, changed: int) -> str:
    with open(file, "rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def of_data(name: str) -> str:
    """The digest of a file of rows, a folder of them, or a store; a data set of the hub is known by its name alone.

    Of a store it is that of its judgments, which never change once they are there.
    """
    if is_store(name):
        return of_store(name)
    if not Path(name).exists():
        if "://" in name or (name.count("/") == 1 and not Path(name).suffix):
            return _joined("hub", [name])
        raise DataError(f"{name} does not exist; paths are as seen from the folder where the command runs.")
    return _joined("data", [of_file(Path(file)) for file in sources(name, Accounting())])


def of_store(name: str | Path) -> str:
    """The digest of all judgments in a store: what each is about, and what it says. `DataError` where the store cannot
    be opened."""
    says = ("id", "item", "kind", "verdict", "state", "shown", "supersedes")  # an erased name changes none
    with Store(name, create=False) as store:
        return _joined("store", (str([row[column] for column in says]) for rows in store.pages() for row in rows))


def of_model(name: str) -> str:
    """The digest of a model's files; one of a hub is known by its name alone."""
    folder = Path(model_directory(name))
    if not folder.is_dir():
        return _joined("hub", [name])
    files = [file for file in sorted(folder.iterdir()) if file.suffix in MODEL_FILES]
    return _joined("model", (f"{file.name} {of_file(file)}" for file in files))


def of_judge(name: str) -> str:
    """The digest of a judge, or of a part of a reward with its weight, by the names that users give them.

    Of a language model it is what its verdicts depend on, so that a price or a deadline can be changed; of a function
    the file that it is in. Raises what naming a judge raises.
    """
    name, weight = weighted(name)
    return ("" if weight == 1 else f"{weight!r} ") + _of_judge(name)


def _of_judge(name: str) -> str:
    bare = name.removeprefix("judge:")
    if is_judge_file(bare):
        told = [one.model_dump(mode="json", exclude=ASIDE) for one in read_judges(bare)]
        return _joined("judge", [json.dumps(told, sort_keys=True)])
    if named_store(name) is not None or name == "length" or name.startswith("format:"):
        return _joined("named", [name])
    if ":" in bare and not Path(bare).exists():
        load_function(bare)  # or an error that says what is there
        return of_function(bare)
    if not is_reward_model(bare):
        raise ModelError(
            f"{bare} is no reward model; expected one (`preferably train reward`), module:function or a judge's .yaml."
        )
    return of_model(bare)


def of_function(function: str | Callable[..., Any]) -> str:
    """The digest of a function by its name, which is that of the file that is named and of its name there; of one of a
    program, that of its source. Empty for a callable that has none."""
    if isinstance(function, str):  # all of the file is there for judging, whatever the function is made of
        file = file_of(function)
        return (of_file(file) if file else "") + function.rpartition(":")[2]
    with suppress(OSError, TypeError):  # built in, or a callable that is no function
        return sha256(inspect.getsource(function).encode()).hexdigest()
    return ""


def _joined(kind: str, parts: "Iterator[str] | list[str] | Any") -> str:
    whole = sha256(kind.encode())
    for part in parts:
        whole.update(b"\0" + part.encode())
    return whole.hexdigest()
