"""The labeling server under 50 labelers: how long an acknowledged vote takes, and what 100 kills lose.

Each vote is on the disk when it is acknowledged (SQLite: synchronous FULL or EXTRA; PostgreSQL: fsync and
synchronous_commit on). The labelers are threads of this process, which share the two cores with the server.

    python bench/labeling.py            six minutes, alone on the machine
    python bench/labeling.py --smoke    half a minute, proves nothing
"""

import argparse
import random
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.machine import ROOT, facts, table, write_result

sys.path.insert(0, str(ROOT / "tests" / "support"))
PEOPLE, RATE, GOAL = 50, 20.0, 0.2  # votes a second together, were there nothing but pauses; seconds


def filled(place: str, tasks: int, overlap: int) -> list[str]:
    """A store with tasks and people; the tokens of their sessions."""
    from labelers import group, invited

    from preferably.feedback.store.store import Store
    from preferably.labeling.project import project_of
    from preferably.labeling.queue import Queue, Task

    with Store(place) as store:
        Queue(store, project_of({})).add([Task(group(n), overlap=overlap) for n in range(tasks)], "b")
        return [invited(store, f"p{n}")[1] for n in range(PEOPLE)]


def quantile(values: list[float], share: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(share * len(values)))]


def paced(place: str, folder: Path, seconds: float, pause: float, tasks: int) -> dict[str, Any]:
    """Labelers vote for some seconds, each after a pause of `pause` in the mean (0: as fast as they can)."""
    from voting import Labelers, Server

    sessions = filled(place, tasks, 3)
    server = Server(place, folder)
    server.start()
    try:
        began = time.perf_counter()
        with Labelers(server.port, sessions, pause=pause) as votes:
            time.sleep(seconds)
        took = time.perf_counter() - began
    finally:
        server.stop()
    waits = sorted(votes.seconds)
    return {
        "votes": len(waits), "votes_per_second": len(waits) / took, "p50": quantile(waits, 0.5),
        "p99": quantile(waits, 0.99), "worst": waits[-1], "refused": dict(Counter(str(s) for s, _ in votes.refused)),
    }  # fmt: skip


def killed(place: str, folder: Path, kills: int) -> dict[str, Any]:
    """The server is killed again and again while they vote; what was lost or doubled."""
    from voting import Labelers, Server

    from preferably.feedback.store.store import Store

    sessions = filled(place, 6000, 3)
    server, luck = Server(place, folder), random.Random(1)
    server.start()
    try:
        with Labelers(server.port, sessions, pause=PEOPLE / RATE) as votes:
            for _ in range(kills):
                time.sleep(luck.uniform(0.1, 2.0))
                server.kill()
                server.start()
            time.sleep(1)
    finally:
        server.stop()
    with Store(place) as store:
        entries = list(store.entries())
    said = Counter(entry.id for entry in entries)
    twice = Counter((entry.group.prompt_text, entry.judgment.labeler) for entry in entries)
    over = Counter(entry.group.prompt_text for entry in entries)
    found = {
        "kills": kills, "acknowledged": len(votes.acknowledged),
        "lost": sum(name not in said for name in votes.acknowledged),
        "doubled": sum(count - 1 for count in twice.values()), "over_assigned": sum(n > 3 for n in over.values()),
    }  # fmt: skip
    if not place.startswith("postgresql"):
        with sqlite3.connect(place) as connection:
            found["integrity"] = connection.execute("PRAGMA integrity_check").fetchone()[0]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="seconds and two kills")
    parser.add_argument("--kills", type=int, default=50, help="in each database")
    options = parser.parse_args()
    seconds, kills = (6.0, 2) if options.smoke else (60.0, options.kills)
    from databases import made_in, postgresql

    rows: list[dict[str, Any]] = []
    environment = facts()
    with TemporaryDirectory() as temporary, postgresql() as server:
        for name in ("sqlite", "postgresql"):
            places = (f"{temporary}/{n}.db" if name == "sqlite" else made_in(server) for n in range(3))
            folder = Path(temporary) / name
            folder.mkdir()
            row: dict[str, Any] = {
                "store": name, "paced": paced(next(places), folder, seconds, PEOPLE / RATE, 2000),
                "as_fast_as_they_can": paced(next(places), folder, seconds / 3, 0.0, 9000),
                "killed": killed(next(places), folder, kills),
            }  # fmt: skip
            print(row, flush=True)
            rows.append(row)
    goals = {
        f"p99 of a vote <= {GOAL} s, {PEOPLE} labelers who pause {PEOPLE / RATE:g} s in the mean": all(
            row["paced"]["p99"] <= GOAL for row in rows
        ),
        "no vote refused for a database that is busy": not any(
            row[part]["refused"] for row in rows for part in ("paced", "as_fast_as_they_can")
        ),
        "nothing lost, doubled or over-assigned": not any(
            row["killed"][part] for row in rows for part in ("lost", "doubled", "over_assigned")
        ),
    }  # fmt: skip
    settings = {
        "smoke": options.smoke,
        "people": PEOPLE,
        "rate": RATE,
        "seconds": seconds,
        "sqlite": sqlite3.sqlite_version,
    }
    write_result("labeling", environment, settings, {"goals": goals, "rows": rows})
    print(table([{"store": row["store"]} | row["paced"] | row["killed"] for row in rows]))
    for goal, held in goals.items():
        print(f"{'yes' if held else 'NO '}  {goal}")


if __name__ == "__main__":
    main()
