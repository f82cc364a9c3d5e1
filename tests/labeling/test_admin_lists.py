"""Orders and filters are names that the page knows: anything else is refused, and does nothing."""

import random

import pytest

from preferably.errors import ConfigError
from preferably.labeling.admin.listing import Listing, leaf_of, ordered

LISTS = ("/admin/tasks", "/admin/people", "/admin/disagreements", "/admin/agreement")
SEEDS = (
    "' OR '1'='1", "1; DROP TABLE people--", "number DESC, (SELECT password FROM people)", "password", "-password",
    "people.password", "__class__", "__dict__", "__init__.__globals__", "person__password", "password__startswith",
    "gold", "turns.said", "1 UNION SELECT code FROM invitations", "' || (SELECT group_concat(name) FROM people) || '",
    "number)) UNION SELECT 1,2,3--", "CASE WHEN 1=1 THEN number ELSE answers END", "RANDOM()", "pg_sleep(5)", "1/0",
    "%27%20OR%201%3D1", "\x00", "\u202e", "{{7*7}}", "${7*7}", "../../etc/passwd", "", " ", "number ", "NUMBER", "null",
    "9" * 40, "-1", "1e9", "0x10", "\u0661", "a" * 5000, "<script>alert(1)</script>", "sort[]", "[$ne]",
)  # fmt: skip
NAMES = (
    "sort", "page", "batch", "kind", "state", "role", "group", "password", "password__startswith", "__class__",
    "person__password", "id", "gold", "order_by", "sort[]", "filter[password]", "limit", "'; DROP TABLE tasks--",
)  # fmt: skip


def payloads(count):
    """(address, name, value), each once."""
    everything = [(address, name, value) for address in LISTS for name in NAMES for value in SEEDS]
    return random.Random(7).sample(everything, count)


def test_500_payloads_get_nothing_and_break_nothing(site):
    here = site()
    here.ask(1, 2, 3)
    mia = here.come("mia", "admin")
    here.judge(here.come("ada", group="careful"), limit=1)
    secrets = [here.people.log_in("mia", "a long password")[1], "argon2", "Traceback", "sqlite", "SELECT"]
    codes = {}
    for address, name, value in payloads(500):
        got = mia.client.get(address, params={name: value})
        codes[got.status_code] = codes.get(got.status_code, 0) + 1
        assert got.status_code in (200, 400), (address, name, value)
        echoed = got.text.replace(value, "").replace("&#39;", "'")
        assert not any(secret in echoed for secret in secrets if secret not in value + name), (address, name, value)
        if got.status_code == 200:  # what was asked for is what the list has anyway
            assert not value.strip("-") or name in ("page", "state", "sort") and value.strip().isalnum(), (name, value)
    assert codes[400] > 400
    assert [person.name for person in here.people.all()] == ["mia", "ada"]


@pytest.mark.parametrize(
    "query, match",
    [
        ([("sort", "password")], "can be sorted by name, judged"), ([("__class__", "x")], "narrowed by role; got"),
        ([("role", "king")], "Nothing here has role"), ([("page", "-1")], "A page is"), ([("page", "1 ")], "A page is"),
        ([("sort", "name"), ("sort", "judged")], "narrowed"),
    ],
)  # fmt: skip
def test_what_a_list_does_not_know_is_refused(query, match):
    with pytest.raises(ConfigError, match=match):
        Listing.of(query, sorts=["name", "judged"], filters={"role": ("lead", "labeler")})


def test_pages_links_and_orders():
    listing = Listing.of([("sort", "-judged"), ("role", "lead"), ("page", "9")], sorts=["name", "judged"],
                         filters={"role": ("lead",)})  # fmt: skip
    assert (listing.sort, listing.falling, listing.number, listing.filters) == ("judged", True, 9, {"role": "lead"})
    leaf = leaf_of(list(range(25)), listing, 10)
    assert (leaf.rows, leaf.number, leaf.count, leaf.total) == ([20, 21, 22, 23, 24], 3, 3, 25)
    assert listing.link(page=2) == "?sort=-judged&role=lead&page=2"
    assert listing.turned("judged") == "?sort=judged&role=lead" and listing.turned("name") == "?sort=-name&role=lead"
    assert ordered([3, None, 1, 2], lambda one: one, True) == [3, 2, 1, None]
    assert ordered([3, None, 1], lambda one: one, False) == [1, 3, None]


def test_an_empty_list_has_a_page():
    leaf = leaf_of([], Listing.of([], sorts=["name"]), 10)
    assert (leaf.rows, leaf.number, leaf.count) == ([], 1, 1)
