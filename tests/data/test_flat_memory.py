"""Memory stays flat however long a line, an array or a file is. Peaks never fall: a process for each."""

import json
import subprocess
import sys

import pytest

LIMIT_MB = 256  # above what the process needs before it reads; the contents are more, and could be any number

WRITE = """
import gzip, json, os, sys

kind, path, megabytes = sys.argv[1], sys.argv[2], int(sys.argv[3])
noise = os.urandom(4000).hex()  # shrinks in gzip, and not like a bomb

def row(number):
    at = number * 7919 % 6000
    return json.dumps({"prompt": f"{number}", "chosen": noise[at : at + 2000], "rejected": "r"})

def pieces():
    many = range(megabytes * 2**20 // len(noise))
    if kind == "line":
        yield from (row(0), '\\n{"prompt": "', *(noise for _ in many), '"}\\n', row(1))
    elif kind == "quote":
        yield from ('prompt,chosen,rejected\\np,c,r\\np,"', *(noise + "\\n" for _ in many), "p,c,r\\n")
    else:
        start, between, end = ("[", ",\\n", "]") if kind == "array" else ("", "\\n", "\\n")
        yield start
        for number in range(megabytes * 500):
            yield (between if number else "") + row(number)
        yield end

if kind == "parquet":
    import pyarrow
    from pyarrow import parquet
    texts = [(noise * 4)[n % 5000 :][:20_000] for n in range(megabytes * 50)]
    table = pyarrow.table({"prompt": texts, "chosen": texts})
    parquet.write_table(table, path, row_group_size=len(texts), compression="none", use_dictionary=False)
else:
    with gzip.open(path, "wt", compresslevel=1) as file:
        for piece in pieces():
            file.write(piece)
"""

READ = """
import json, resource, sys
from preferably.data.accounting import Reject
from preferably.data.readers import read_rows
if sys.argv[2] == "parquet":
    from pyarrow import parquet

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before, rows, rejected = peak(), 0, 0
for _, found in read_rows(sys.argv[1]):
    rows += 1
    rejected += isinstance(found, Reject)
print(json.dumps([rows, rejected, peak() - before]))
"""


@pytest.mark.parametrize(
    ("kind", "name", "megabytes", "used", "rejected"),
    [
        ("line", "a.jsonl.gz", 500, 2, 1),
        ("rows", "a.jsonl.gz", 300, 150_000, 0),
        ("array", "a.json.gz", 300, 150_000, 0),
        ("quote", "a.csv.gz", 300, 2, None),
        ("parquet", "a.parquet", 200, 10_000, 0),
    ],
)
def test_memory_is_flat(tmp_path, kind, name, megabytes, used, rejected):
    path = str(tmp_path / name)
    for script, arguments in ((WRITE, [kind, path, str(megabytes)]), (READ, [path, kind])):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    found, refused, grown = json.loads(done.stdout)
    assert grown < LIMIT_MB
    assert found - refused == used and rejected in (None, refused)
