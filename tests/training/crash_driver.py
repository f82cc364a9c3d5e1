"""Run by test_checkpoint.py in a process of its own: kills a writer of checkpoints at every fault point.

`crash_driver.py FOLDER kill|power|unsynced`. A fault point is each call of the write that changes the disk: open,
mkdir, rename, remove, rmdir (through audit events), fsync (wrapped) and the middle of every file. A forked child dies
by SIGKILL just before the n-th. With `power` what was not synced at that moment is spoilt first: contents zeroed or
cut, renames undone. `unsynced` is a power cut where syncing a file does nothing: the check of the check. Prints JSON.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from preferably.training import checkpoint

CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "test.half"}
RUN = "run-a"


def contents(step):
    state = json.dumps({"step": step}).encode() * 20
    return {"weights.bin": bytes([step]) * 3000, "optimizer.bin": bytes([step, 0]) * 999, "state.json": state}


def write(folder, step, **more):
    def writer(data):
        def put(path):
            with open(path, "wb") as stream:
                stream.write(data[: len(data) // 2])
                stream.flush()
                sys.audit("test.half", path)
                stream.write(data[len(data) // 2 :])

        return put

    files = {name: writer(data) for name, data in contents(step).items()}
    return checkpoint.write_checkpoint(folder, step, files, {"step": step}, run_id=RUN, **more)


class Disk:
    """Counts fault points; knows what a power cut would lose."""

    def __init__(self, root, die_at, mode):
        self.root, self.die_at, self.mode = str(root), die_at, mode
        self.count, self.dirty, self.renames, self.on = 0, {}, [], False
        self.real_fsync = os.fsync

    def audit(self, event, arguments):
        if not self.on or event not in CHANGES:
            return
        path = os.fspath(arguments[0]) if isinstance(arguments[0], (str, os.PathLike)) else ""
        writing = event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if event == "open" and not writing:
            return
        self.point()
        if event == "open" and path.startswith(self.root):
            self.dirty[path] = True
        elif event == "os.rename":
            source, target = (os.fspath(argument) for argument in arguments[:2])
            self.renames.append((source, target))
            self.dirty = {
                (target + name[len(source) :] if name.startswith(source + "/") else name): True for name in self.dirty
            }

    def fsync(self, descriptor):
        if self.on:
            self.point()
        self.real_fsync(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if self.mode != "unsynced":
            self.dirty.pop(path, None)
        self.renames = [(source, target) for source, target in self.renames if os.path.dirname(target) != path]

    def point(self):
        self.count += 1
        if self.count == self.die_at:
            self.on = False
            if self.mode != "kill":
                self.cut()
            os.kill(os.getpid(), signal.SIGKILL)

    def cut(self):
        for turn, path in enumerate(self.dirty):
            if os.path.isfile(path):
                size = os.path.getsize(path)
                Path(path).write_bytes(b"\0" * size if turn % 2 else Path(path).read_bytes()[: size // 2])
        for source, target in reversed(self.renames):
            if os.path.exists(target) and not os.path.exists(source):
                os.rename(target, source)


def child(folder, die_at, mode):
    disk = Disk(folder, die_at, mode)
    os.fsync = disk.fsync
    sys.addaudithook(disk.audit)
    disk.on = True
    write(folder, 3, keep=1)
    disk.on = False
    os._exit(0)


def main(root, mode):
    seen = []
    for die_at in range(1, 1000):
        folder = root / f"at-{die_at}"
        folder.mkdir()
        write(folder, 1)
        write(folder, 2)
        pid = os.fork()
        if pid == 0:
            try:
                child(folder, die_at, mode)
            finally:
                os._exit(9)
        status = os.waitpid(pid, 0)[1]
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        found = checkpoint.newest_valid(folder, RUN)
        right = found.path is not None and all(
            (found.path / name).read_bytes() == data for name, data in contents(found.manifest.step).items()
        )
        steps = sorted(path.name for path in folder.iterdir() if path.name.startswith("step-"))
        leftovers = sum(".tmp-" in name for name in steps)
        again = found.manifest.step + 1 if found.manifest else 1
        with checkpoint.lock_run(folder) as lock:  # the run is taken up again
            write(folder, again, keep=1, lock=lock)
        after = sorted(path.name for path in folder.iterdir() if path.name.startswith("step-"))
        clean = checkpoint.newest_valid(folder, RUN).manifest.step == again and not any(".tmp-" in n for n in after)
        seen.append(
            {
                "killed": killed,
                "status": status,
                "step": found.manifest.step if found.manifest else None,
                "right": right,
                "refused": len(found.refused),
                "leftovers": leftovers,
                "clean": clean,
            }
        )
        shutil.rmtree(folder)
        if not killed:
            break
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
