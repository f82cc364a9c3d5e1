"""Data sets of the hub, from a server on this machine that speaks the part of the hub's API that `datasets` uses."""

import io
import json
import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow
import pytest
from pyarrow import parquet

from preferably.data.hub import HubId, hub_id
from preferably.data.readers import read_rows
from preferably.errors import DataError

COMMIT = "c" * 40
PAIRS = [{"prompt": f"p{n}", "chosen": "c", "rejected": "r"} for n in range(300)]
TALK = [
    {
        "messages": [
            {"role": "user", "content": "q", "name": None},
            {"role": "assistant", "content": "a\u00e9", "name": "x"},
        ]
    }
]


def parquet_bytes(rows):
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer, row_group_size=64)
    return buffer.getvalue()


def lines(rows):
    return "\n".join(map(json.dumps, rows)).encode()


CARD = """---
configs:
- {config_name: talk, data_files: [{split: train, path: talk.parquet}]}
- {config_name: pairs, data_files: [{split: train, path: pairs.parquet}, {split: test, path: some.parquet}]}
---
"""
REPOS = {
    "someone/plain": {
        "data/train-00000-of-00002.parquet": parquet_bytes(PAIRS[:200]),
        "data/train-00001-of-00002.parquet": parquet_bytes(PAIRS[200:]),
        "data/test-00000-of-00001.parquet": parquet_bytes([*PAIRS[:2], {"prompt": "p", "chosen": "a\0"}]),
    },
    "someone/configs": {
        "README.md": CARD.encode(),
        "talk.parquet": parquet_bytes(TALK),
        "pairs.parquet": parquet_bytes(PAIRS[:5]),
        "some.parquet": parquet_bytes(PAIRS[5:7]),
    },
    "someone/splits": {"validation.jsonl": lines(PAIRS[:3]), "test.jsonl": lines(PAIRS[3:5])},
    "someone/one": {"test.csv": b"prompt,chosen,rejected\np,c,r\n"},
    "someone/broken": {"train.parquet": parquet_bytes(PAIRS)[:-100] + b"PAR1"},
    "someone/script": {"script.py": b"raise SystemExit('ran')", "train.jsonl": lines(PAIRS[:1])},
    "someone/nothing": {"README.md": b"# Nothing"},
}  # fmt: skip


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def _send(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in ({"Content-Length": len(body), "X-Repo-Commit": COMMIT} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value):
        self._send(200, json.dumps(value).encode(), Content_Type="application/json")

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.do_GET(parse_qs(form))

    def do_GET(self, form=None):
        path = unquote(urlsplit(self.path).path).rstrip("/")
        found = re.fullmatch(
            r"(/api)?/datasets/([^/]+/[^/]+)(?:/(resolve|revision|tree|paths-info)/([^/]+)(?:/(.*))?)?", path
        )
        files = REPOS.get(found[2]) if found else None
        if files is None:
            return self._send(404, X_Error_Code="RepoNotFound")
        api, repo, verb, _, inside = found.groups()
        entries = [{"type": "file", "path": name, "size": len(data), "oid": "0" * 40} for name, data in files.items()]
        folders = sorted({name.rsplit("/", 1)[0] for name in files if "/" in name})
        entries += [{"type": "directory", "path": name, "oid": "1" * 40} for name in folders]
        if verb == "resolve":
            return self._file(files.get(inside))
        if verb == "tree":
            below = [entry for entry in entries if not inside or entry["path"].startswith(f"{inside}/")]
            return self._json(below) if below or not inside else self._send(404, X_Error_Code="EntryNotFound")
        if verb == "paths-info":
            return self._json([entry for entry in entries if entry["path"] in form["paths"]])
        names = [{"rfilename": name} for name in files]
        self._json({"id": repo, "sha": COMMIT, "siblings": names, "private": False, "gated": False, "disabled": False,
                    "tags": [], "downloads": 0, "likes": 0})  # fmt: skip

    def _file(self, data):
        if data is None:
            return self._send(404, X_Error_Code="EntryNotFound")
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not part:
            return self._send(200, data, ETag=f'"{hash(data)}"', Accept_Ranges="bytes")
        first, last = int(part[1]), min(int(part[2] or len(data) - 1), len(data) - 1)
        if first > last:
            return self._send(416, Content_Range=f"bytes */{len(data)}")
        some = data[first : last + 1]
        self._send(206, some, ETag=f'"{hash(data)}"', Content_Range=f"bytes {first}-{last}/{len(data)}")


# The endpoint is read when `datasets` is imported, so this runs in a process of its own. The server of exported infos
# is another host, which is not here.
READ = """
import json, sys
import datasets
datasets.config.USE_PARQUET_EXPORT = False
from preferably.data.accounting import Reject
from preferably.data.load import load_feedback
from preferably.data.readers import read_rows
from preferably.errors import DataError

told = {}
for name in sys.argv[1:]:
    try:
        told[name] = [[line, row.code if isinstance(row, Reject) else row] for line, row in read_rows(name)]
    except DataError as refused:
        told[name] = str(refused)
loaded = load_feedback(["someone/plain", "someone/configs:pairs:test"], "pairs")
told["places"] = [list(group.place) for group in loaded.groups][-3:] + [loaded.accounting.read]
print(json.dumps(told))
"""
IDS = [
    "someone/plain", "someone/plain:test", "someone/plain:dev", "someone/configs", "someone/configs:talk:train",
    "someone/configs:pairs:train", "someone/configs:pairs:test", "someone/configs:none:test", "someone/splits",
    "someone/splits:validation", "someone/one", "someone/broken", "someone/script", "someone/nothing", "no/where",
]  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    home = tmp_path_factory.mktemp("hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(home), "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "", "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    environment.pop("HF_DATASETS_OFFLINE", None)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ, *IDS], capture_output=True, text=True, env=environment, cwd=home, timeout=300
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def numbered(rows):
    return [[number, row] for number, row in enumerate(rows, 1)]


def test_rows_of_parquet_over_two_files(told):
    assert told["someone/plain"] == numbered(PAIRS)


def test_a_split_is_named_and_rows_are_checked(told):
    assert told["someone/plain:test"] == [*numbered(PAIRS[:2]), [3, "nul"]]


def test_a_configuration_is_named(told):
    assert told["someone/configs:pairs:train"] == numbered(PAIRS[:5])
    assert told["someone/configs:pairs:test"] == numbered(PAIRS[5:7])
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a\u00e9", "name": "x"}]
    assert told["someone/configs:talk:train"] == [[1, {"messages": turns}]]


def test_the_only_split_needs_no_name(told):
    assert told["someone/one"] == [[1, {"prompt": "p", "chosen": "c", "rejected": "r"}]]
    assert told["someone/splits:validation"] == numbered(PAIRS[:3])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("someone/plain:dev", "expected one of the splits"),
        ("someone/splits", "for example someone/splits:"),
        ("someone/configs", "talk.*pairs"),
        ("someone/configs:none:test", "none"),
        ("someone/broken", "cannot be read from the hub"),
        ("someone/script", "no longer supported"),
        ("someone/nothing", "cannot be read from the hub"),
        ("no/where", "doesn't exist on the Hub"),
    ],
)
def test_errors_are_one_line_that_names_the_id(told, name, message):
    assert isinstance(told[name], str) and told[name].startswith(name) and "\n" not in told[name]
    assert re.search(message, told[name])


def test_places_name_the_id_and_the_row(told):
    # the rows of the second are in the first, too
    assert told["places"] == [["someone/plain", 298], ["someone/plain", 299], ["someone/plain", 300], 302]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b", HubId("a/b")),
        ("a/b:train", HubId("a/b", None, "train")),
        ("a-1/b.c_d:en-US.x:test", HubId("a-1/b.c_d", "en-US.x", "test")),
        *(
            (text, None)
            for text in ("a", "a/b/c", "/a/b", "./b", "../b", "a/b:", "a/b:x:y:z", "a b/c", "a/b\n", "http://a/b")
        ),
    ],
)
def test_ids(text, expected):
    assert hub_id(text) == expected


def test_without_datasets_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'preferably\[data\]'"):
        list(read_rows("someone/plain"))
