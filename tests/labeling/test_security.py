"""What every request meets: over real HTTP, as browsers and others send it."""

import http.client
import json
import re
from contextlib import contextmanager
from itertools import product
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from sites import group, running
from starlette.routing import Mount

from preferably.labeling.app import PUBLIC
from preferably.labeling.security import HEADERS, LARGEST, form_token


@contextmanager
def served(tmp_path, **more):
    with running(tmp_path, **more) as site:
        yield site


@pytest.fixture
def site(tmp_path):
    with served(tmp_path) as started:
        yield started


def ask(site, method, path, *, body=None, session=None, **headers):
    """(status, headers, text) of a request with just these headers; _ in a name stands for -."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if session:
        sent["Cookie"] = f"preferably={session}"
    try:
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        return response.status, response.headers, response.read().decode("utf-8", "replace")
    finally:
        connection.close()


def vote(**more):
    return {"id": str(uuid4()), "choice": "tie"} | more


def lead_routes(site):
    return [route for route in site.app.routes if route.path.startswith("/admin")]


def example_of(path):
    return re.sub(r"\{[^}]+\}", "1", path)


ORIGINS = [
    {"Sec_Fetch_Site": "cross-site", "Origin": "https://away.example"},
    {"Sec_Fetch_Site": "same-site", "Origin": "http://127.0.0.1:9"},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "CROSS-SITE", "Origin": "null"},
    {"Sec_Fetch_Site": ""},
    {"Origin": "https://away.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://127.0.0.1.away.example:{port}"},
    {"Origin": "http://localhost:{port}"},
    {"Origin": "away.example"},
]
KINDS = ["application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=b", None]


def test_no_other_site_writes_anything_whatever_it_says_it_sends(site):
    """12 origins x 5 content types x 4 methods, with the cookie that browsers might add and even the right token."""
    site.put(("pair", group("q", "left", "right")))
    person, token = site.person("ada")
    turn = site.queue.next(person).asked.turn
    count = 0
    for origin, kind, method in product(ORIGINS, KINDS, ["POST", "PUT", "PATCH", "DELETE"]):
        headers = {name: value.format(port=site.port) for name, value in origin.items()}
        headers |= {"X_Token": form_token(token)} | ({"Content_Type": kind} if kind else {})
        for path in (f"/answers/{turn}", f"/skip/{turn}", "/logout"):
            status, _, _ = ask(site, method, path, body=json.dumps(vote()), session=token, **headers)
            assert status == 403, (origin, kind, method, path)
            count += 1
    assert count == 12 * 5 * 4 * 3
    assert not site.said() and site.people.of_session(token) is not None


def test_a_write_needs_the_token_of_its_own_session(site):
    site.put(("pair", group("q", "left", "right")))
    person, token = site.person("ada")
    _, other = site.person("ben")
    turn = site.queue.next(person).asked.turn
    own = {"Content_Type": "application/json", "Sec_Fetch_Site": "same-origin"}
    for wrong in ("", "x", form_token(other), form_token(token)[:-1]):
        status, _, _ = ask(
            site, "POST", f"/answers/{turn}", body=json.dumps(vote()), session=token, X_Token=wrong, **own
        )
        assert status == 403
    assert not site.said()
    right = form_token(token)
    status, _, text = ask(
        site, "POST", f"/answers/{turn}", body=json.dumps(vote()), session=token, X_Token=right, **own
    )
    assert status == 200 and json.loads(text)["saved"] == site.said()[0].id


def test_names_that_are_not_its_own_are_refused(site):
    for host in ("away.example", f"away.example:{site.port}", "127.0.0.1.away.example", "", "169.254.169.254"):
        status, headers, _ = ask(site, "GET", "/login", Host=host)
        assert status == 400 and headers["X-Frame-Options"] == "DENY"
    for host in ("localhost", f"127.0.0.1:{site.port}"):
        assert ask(site, "GET", "/login", Host=host)[0] == 200


def test_nobody_gets_behind_the_doors_and_no_labeler_to_what_is_a_leads(site):
    _, labeler = site.person("ada")
    checked = 0
    for route in site.app.routes:
        if isinstance(route, Mount):
            assert route.path == "/static"
            continue
        for method in sorted((route.methods or set()) - {"HEAD"}):
            if route.path in PUBLIC:
                continue
            path = example_of(route.path)
            for accept in ("text/html", "application/json"):
                status, headers, _ = ask(site, method, path, Accept=accept)
                if method == "GET" and accept == "text/html":
                    assert (status, headers["Location"]) == (303, "/login"), path
                else:
                    assert status == 401, path
            assert ask(site, method, path, session="x" * 43, Accept="application/json")[0] == 401
            if path.startswith("/admin"):
                assert ask(site, method, path, session=labeler, Accept="application/json")[0] == 403, path
            checked += 1
    assert checked > 12 and lead_routes(site)


def test_every_answer_has_the_headers_and_no_page_is_kept(site):
    _, token = site.person("ada")
    seen = {}
    for method, path, session in (
        ("GET", "/login", None),
        ("GET", "/join", None),
        ("GET", "/task", token),
        ("GET", "/nowhere", token),
        ("GET", "/mine", None),
        ("POST", "/answers/1", token),
        ("GET", "/static/task.js", None),
        ("GET", "/health", None),
        ("POST", "/login", None),
        ("GET", "/static/../app.py", None),
        ("GET", "/static/%2e%2e/app.py", None),
        ("OPTIONS", "/task", None),
    ):
        status, headers, _ = ask(site, method, path, session=session)
        seen[path] = status
        for name, value in HEADERS.items():
            if name == "Cache-Control" and path.startswith("/static/task"):
                assert headers[name] == "no-cache"
            else:
                assert headers[name] == value, (path, name)
    assert seen["/static/../app.py"] == seen["/static/%2e%2e/app.py"] == 404


def test_a_body_has_an_end(site):
    _, token = site.person("ada")
    own = {"Content_Type": "application/json", "X_Token": form_token(token)}
    for path in ("/answers/1", "/login", "/join", "/join/look"):
        assert ask(site, "POST", path, body="x" * (LARGEST + 1), session=token, **own)[0] == 413
        assert ask(site, "POST", path, body=iter([b"x" * LARGEST, b"y"]), session=token, **own)[0] == 413  # in chunks
    assert ask(site, "POST", "/answers/1", body="{" * 90_000, session=token, **own)[0] == 400
    assert ask(site, "POST", "/answers/1", body="[" * 90_000, session=token, **own)[0] == 400


def test_whoever_guesses_at_a_door_is_slowed_down(tmp_path):
    with served(tmp_path, guesses="10/minute") as site:
        site.person("lee", "lead", password="long enough it is")
        wrong = urlencode({"name": "lee", "password": "not this one at all"})
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        tried = [ask(site, "POST", "/login", body=wrong, **form)[0] for _ in range(10)]
        assert tried == [403] * 10
        right = urlencode({"name": "lee", "password": "long enough it is"})
        status, headers, _ = ask(site, "POST", "/login", body=right, **form)
        assert status == 429 and headers["Retry-After"] == "60"
        assert ask(site, "GET", "/login")[0] == 200
        guess = json.dumps({"code": "x" * 43})
        tried = [
            ask(site, "POST", f"/join{'/look' * (n % 2)}", body=guess, Content_Type="application/json")[0]
            for n in range(61)
        ]
        assert 429 not in tried[:60] and tried[60] == 429


def test_one_browser_that_asks_without_end_is_slowed_down_and_its_office_is_not(site):
    _, token = site.person("ada")
    _, other = site.person("ben")
    seen = [ask(site, "GET", "/turns/next", session=token)[0] for _ in range(601)]
    assert set(seen[:600]) == {200} and seen[600] == 429
    assert ask(site, "GET", "/turns/next", session=other)[0] == 200


def test_a_session_that_somebody_else_chose_is_none_and_one_that_ended_stays_so(site):
    site.person("lee", "lead", password="long enough it is")
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    body = urlencode({"name": "lee", "password": "long enough it is"})
    status, headers, _ = ask(site, "POST", "/login", body=body, session="chosen-by-somebody-else", **form)
    cookie = headers["Set-Cookie"]
    token = re.match(r"preferably=([^;]+)", cookie).group(1)
    assert status == 303 and token != "chosen-by-somebody-else" and len(token) >= 43
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/" in cookie
    assert ask(site, "GET", "/me", session="chosen-by-somebody-else")[0] == 303
    assert ask(site, "GET", "/me", session=token)[0] == 200
    out = urlencode({"token": form_token(token)})
    assert ask(site, "POST", "/logout", body=out, session=token, **form)[0] == 303
    assert ask(site, "GET", "/me", session=token)[0] == 303
    assert ask(site, "POST", "/answers/1", body="{}", session=token, Content_Type="application/json")[0] == 401


def test_an_invitation_works_once_even_when_it_is_used_twice_at_one_moment(site):
    import threading

    code = site.people.invite("labeler")
    got, go = [], threading.Barrier(8)

    def come_in(name):
        go.wait()
        body = json.dumps({"code": code, "name": name})
        got.append(ask(site, "POST", "/join", body=body, Content_Type="application/json")[0])

    threads = [threading.Thread(target=come_in, args=(f"p{n}",)) for n in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(got) == [200] + [403] * 7 and len(site.people.all()) == 1


def test_no_path_ends_in_a_fault_of_the_server(site):
    _, token = site.person("ada")
    odd = [
        "/turns/%00",
        "/turns/%ff",
        "/turns/" + "a" * 3000,
        "/mine?page=-1",
        "/mine?page=9999999999999",
        "/mine?page=%D9%A1",
        "/mine?page[]=1",
        "/welcome?step=0",
        "/welcome?step=-1",
        "/welcome?step=1e9",
        "/welcome?step=" + "9" * 5000,
        "/qualify?again=%00",
        "/answers/%2e%2e",
    ]
    for path in odd:
        assert ask(site, "GET", path, session=token)[0] < 500, path
    own = {"X_Token": form_token(token)}
    bodies = [b"", b"null", b"[]", b"1", b"\xff", b'{"id": {}}', b'{"step": "x"}', b"step=%ff&verdict=%00", b"a" * 5000]
    for path, body, kind in product(("/answers/1", "/skip/1", "/welcome", "/qualify", "/me/about"), bodies, KINDS):
        headers = own | ({"Content_Type": kind} if kind else {})
        assert ask(site, "POST", path, body=body, session=token, **headers)[0] < 500, (path, body, kind)


ODD = {
    "not a number": '"seconds": NaN',
    "without end": '"seconds": Infinity',
    "a number nobody asked for": '"x": NaN',
    "half a letter": '"rationale": "\\ud800"',
    "nothing": '"rationale": "a\\u0000b"',
    "half a letter in a flag": '"flags": ["\\udfff"]',
    "deep": '"x": ' + "[" * 900 + "]" * 900,
    "a long number": '"seconds": ' + "9" * 4000,
    "a long key": '"' + "k" * 9000 + '": 1',
    "flags of flags": '"flags": [["harmful"]]',
    "a flag that is a table": '"flags": [{}]',
    "corrects what is not there": '"corrects": true',
    "two of a key": '"choice": 1, "choice": "tie"',
    "a strength that is a text": '"strength": "2"',
    "a choice that is a list": '"choice": [0]',
    "a huge exponent": '"seconds": 1e999',
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_answer_is_kept_or_told_and_never_a_fault_of_the_server(site, what):
    site.put(("pair", group("q", "left", "right")))
    person, token = site.person("ada")
    turn = site.queue.next(person).asked.turn
    body = f'{{"id": "{uuid4()}", "choice": "tie", {ODD[what]}}}'
    own = {"Content_Type": "application/json", "Accept": "application/json", "X_Token": form_token(token)}
    status, _, text = ask(site, "POST", f"/answers/{turn}", body=body, session=token, **own)
    assert status in (200, 400, 422), text
    assert len(site.said()) == (status == 200) and ("saved" in json.loads(text)) == (status == 200)
    assert ask(site, "GET", "/mine", session=token)[0] == 200
    assert ask(site, "GET", f"/turns/{turn}", session=token)[0] == 200


def test_programs_too_do_first_what_comes_before_the_first_task(tmp_path):
    with served(tmp_path, project={"guidelines": "Be fair.", "version": "2"}) as site:
        site.put(("pair", group("q", "left", "right")))
        person, token = site.person("ada")
        site.people.note(person.id, read="1")
        status, _, text = ask(site, "GET", "/turns/next", session=token, Accept="application/json")
        assert status == 403 and "/welcome" in text
        site.people.note(person.id, read="2")
        status, _, text = ask(site, "GET", "/turns/next", session=token, Accept="application/json")
        assert status == 200 and json.loads(text)["kind"] == "pair"
