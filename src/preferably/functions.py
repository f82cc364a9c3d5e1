"""A user's own functions, named on the command line: `module:function` or `path/file.py:function`."""

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from preferably.errors import ConfigError


def load_function(name: str) -> Callable[..., Any]:
    """The function called `module:function` or `path/file.py:function`.

    Modules are looked for in the working directory first, also from the installed command. Whatever the file does on
    import is done: name only what you trust. `ConfigError` for a name of another shape, a module or file that is
    missing or fails on import, an attribute that is missing and one that cannot be called.
    """
    module, source, attribute = _module_of(name)
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = get_close_matches(part, [other for other in dir(found) if not other.startswith("_")], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"Cannot load {name!r}: {source} ({_where(module)}) has no {part!r}.{hint}")
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"Cannot load {name!r}: it is of type {type(found).__name__}, expected a function.")
    return found


def file_of(name: str) -> Path | None:
    """The file of the module that `name` names a function in; None where that is built in. Raises as
    `load_function`."""
    place = getattr(_module_of(name)[0], "__file__", None)
    return Path(place) if place else None


def _module_of(name: str) -> tuple[ModuleType, str, str]:
    """The module that is named, how it is named, and the rest of the name."""
    source, colon, attribute = name.rpartition(":")
    if not (colon and source and attribute):
        raise ConfigError(f"Cannot load {name!r}: expected module:function or path/file.py:function.")
    by_path = source.endswith(".py") or "/" in source or os.sep in source
    return (_load_file(name, Path(source)) if by_path else _load_module(name, source)), source, attribute


def source_of(name: str) -> str:
    """The text of the function called `name`; of one that has none (made by another, or not of Python) what it is."""
    function = load_function(name)
    try:
        return inspect.getsource(function)
    except (TypeError, OSError):
        return repr(function).split(" at 0x")[0]


def _where(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "built in"


@contextmanager
def _importing_from(folder: str) -> Iterator[None]:
    """`folder` comes first while importing and last afterwards, so that it never hides what others import later."""
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)


def _load_module(name: str, source: str) -> ModuleType:
    if not all(part.isidentifier() for part in source.split(".")):
        raise ConfigError(f"Cannot load {name!r}: {source!r} is not a module's name; a file is path/file.py.")
    try:
        with _importing_from(os.getcwd()):
            return importlib.import_module(source)
    except ModuleNotFoundError as error:
        # The named module, or a package above it, is missing; anything else is missing inside it.
        if error.name is not None and (source == error.name or source.startswith(error.name + ".")):
            here = f"not installed and not in {os.getcwd()}"
            raise ConfigError(f"Cannot load {name!r}: there is no module {error.name!r} ({here}).") from None
        raise ConfigError(f"Cannot load {name!r}: {source} needs a module that is missing: {error}.") from error
    except (Exception, SystemExit) as error:
        raise ConfigError(f"Cannot load {name!r}: {source} raised {type(error).__name__}: {error}") from error


def _load_file(name: str, path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file() or path.suffix != ".py":
        what = "is not a .py file" if path.exists() else "does not exist"
        raise ConfigError(f"Cannot load {name!r}: {path} {what}.")
    # A name of its own, so that reward.py is never taken for an installed package called reward.
    key = f"preferably_loaded_{path.stem}_{sha256(str(path).encode()).hexdigest()[:12]}"
    if key in sys.modules:
        return sys.modules[key]
    spec = importlib.util.spec_from_file_location(key, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[key] = module  # dataclasses and pickle look it up there while it runs
    try:
        with _importing_from(str(path.parent)):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[key]
        raise ConfigError(f"Cannot load {name!r}: {path} raised {type(error).__name__}: {error}") from error
    return module
