"""Power cuts: what a program did to a folder is recorded, and replayed as a disk may have it after the power went.

A disk has kept what was synced before the cut. Of the rest it has kept any part, in any order: names made, changed or
removed, and contents, whole, cut short, or as zeros (after CrashMonkey, Mohan et al. 2018,
https://www.usenix.org/conference/osdi18/presentation/mohan).
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MUTATORS = ("rename", "replace", "mkdir", "rmdir", "unlink", "remove", "truncate")
ROOT = 0


@dataclass(frozen=True)
class Name:
    """A name in a directory is made (`node` is its file or directory) or removed (None)."""

    directory: int
    name: str
    node: int | None
    is_directory: bool = False

    @property
    def places(self):
        return {self.directory}


@dataclass(frozen=True)
class Move:
    """A name becomes another."""

    source: tuple[int, str]
    target: tuple[int, str]

    @property
    def places(self):
        return {self.source[0], self.target[0]}


@dataclass(frozen=True)
class Write:
    """The contents of a file from `start` on become `data`."""

    node: int
    start: int
    data: bytes

    @property
    def places(self):
        return {self.node}


@dataclass(frozen=True)
class Sync:
    """A file, or the names in a directory, are on the disk."""

    node: int


@dataclass(frozen=True)
class Fact:
    """Something that the program took for done."""

    what: Any


class Recorder:
    """Records what happens under `root` while its wrappers stand in for the functions of `os` (a monkeypatch).

    Before and after each of these calls the folder is read and compared, so that writes are seen whoever made them.
    """

    def __init__(self, root, monkeypatch):
        self.root, self.operations = Path(root), []
        self.nodes = {"": ROOT}  # by relative path
        self.data: dict[int, bytes | None] = {ROOT: None}
        self.count, self.depth = 0, 0
        for name in MUTATORS:
            monkeypatch.setattr(os, name, self.around(getattr(os, name)))
        self.fsync = os.fsync
        monkeypatch.setattr(os, "fsync", self.synced)

    def around(self, real):
        def called(*arguments, **options):
            self.look()
            moved = real.__name__ in ("rename", "replace") and self.inside(*arguments[:2])
            result = real(*arguments, **options)
            if moved:
                self.move(*moved)
            self.look()
            return result

        return called

    def inside(self, *paths):
        if all(os.fspath(path).startswith(f"{self.root}/") for path in paths):
            return [os.path.relpath(path, self.root) for path in paths]
        return None

    def synced(self, descriptor):
        self.look()
        self.fsync(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if path == str(self.root) or path.startswith(f"{self.root}/"):
            self.operations.append(Sync(self.nodes[os.path.relpath(path, self.root).removeprefix(".")]))

    def fact(self, what):
        self.look()
        self.operations.append(Fact(what))

    def place(self, path):
        directory, _, name = path.rpartition("/")
        return self.nodes[directory], name

    def move(self, source, target):
        self.operations.append(Move(self.place(source), self.place(target)))
        self.forget(target)
        for path in [p for p in self.nodes if p == source or p.startswith(f"{source}/")]:
            self.nodes[target + path[len(source) :]] = self.nodes.pop(path)

    def forget(self, path):
        for known in [p for p in self.nodes if p == path or p.startswith(f"{path}/")]:
            del self.nodes[known]

    def look(self):
        """Compare the folder with what is known of it."""
        found = {}
        for folder, directories, files in os.walk(self.root):
            here = os.path.relpath(folder, self.root).removeprefix(".")
            for name in (*directories, *files):
                path = f"{here}/{name}".lstrip("/")
                found[path] = None if name in directories else Path(folder, name).read_bytes()
        for path in sorted(set(self.nodes) - set(found) - {""}, reverse=True):
            self.operations.append(Name(*self.place(path), None))
            del self.nodes[path]
        for path in sorted(found):
            data = found[path]
            if path not in self.nodes:
                self.count += 1
                place = self.place(path)
                self.nodes[path] = self.count
                self.data[self.count] = None if data is None else b""
                self.operations.append(Name(*place, self.count, data is None))
            node = self.nodes[path]
            old = self.data[node]
            if data is not None and data != old:
                start = len(os.path.commonprefix([data, old]))
                self.operations.append(Write(node, start, data[start:]))
                self.data[node] = data


def unsynced(operations):
    """The same, as if nothing had ever been synced: the check of the check."""
    return [operation for operation in operations if not isinstance(operation, Sync)]


def after_cut(operations, at, draw):
    """Nodes as a disk may have them when the power goes before operation `at`: number -> names or contents."""
    waiting = {}  # what is not on the disk for sure
    for number, operation in enumerate(operations[:at]):
        if isinstance(operation, Sync):
            waiting = {n: o for n, o in waiting.items() if operation.node not in o.places}
        elif not isinstance(operation, Fact):
            waiting[number] = operation
    share = draw.choice((0.0, 0.3, 0.7, 0.9, 1.0))
    nodes: dict[int, dict[str, int] | bytes] = {ROOT: {}}
    for number, operation in enumerate(operations[:at]):
        if isinstance(operation, (Sync, Fact)) or (number in waiting and draw.random() > share):
            if isinstance(operation, Name) and operation.node is not None:
                nodes.setdefault(operation.node, {} if operation.is_directory else b"")  # it is there, without a name
            continue
        torn = number in waiting and draw.random() < 0.3
        apply(nodes, operation, draw if torn else None)
    return nodes


def apply(nodes, operation, torn):
    match operation:
        case Name(directory, name, None):
            nodes[directory].pop(name, None)
        case Name(directory, name, node, is_directory):
            nodes.setdefault(node, {} if is_directory else b"")
            nodes[directory][name] = node
        case Move((source, old), (target, new)):
            if old in nodes[source]:  # its own making may be lost
                nodes[target][new] = nodes[source].pop(old)
        case Write(node, start, data):
            if torn is not None:
                cut = torn.randrange(len(data) + 1)
                data = data[:cut] + (bytes(len(data) - cut) if torn.random() < 0.5 else b"")
            nodes[node] = nodes[node][:start].ljust(start, b"\0") + data


def store(nodes, folder, node=ROOT):
    """Make `folder` what the nodes say."""
    for name, number in nodes[node].items():
        path = folder / name
        if isinstance(nodes[number], bytes):
            path.write_bytes(nodes[number])
        else:
            path.mkdir()
            store(nodes, path, number)
