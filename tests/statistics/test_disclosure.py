"""Nobody can be found in counts of people, by looking or by subtracting."""

from collections import defaultdict
from itertools import product

import pytest

from preferably.statistics.disclosure import showable


@pytest.mark.parametrize(
    "counts, total, shown",
    [
        ([20, 6, 2], 28, [20, None, None]),  # 28 - 20 - 6 would be the two
        ([20, 6, 2], 40, [20, 6, None]),  # the 14 others are those two and whoever said nothing
        ([5, 5], 10, [5, 5]),
        ([5, 4], 9, [None, None]),
        ([12, 0], 12, [None, None]),  # all say the same: everybody's answer would be known
        ([12], 12, [None]),
        ([12], 17, [12]),
        ([7, 7, 0], 14, [7, None, None]),
        ([0, 0], 0, [None, None]),
        ([6, 6, 6], 19, [6, 6, None]),  # one who said nothing is one
    ],
)
def test_by_hand(counts, total, shown):
    names = "abc"[: len(counts)]
    assert list(showable(dict(zip(names, counts, strict=True)), total).values()) == shown


def test_whoever_knows_the_rule_cannot_work_out_a_small_count():
    """All tables of three answers up to 16 people: of those that look the same, no kept back answer has one count."""
    looks = defaultdict(list)
    for counts in product(range(17), repeat=3):
        for total in range(sum(counts), 17):
            shown = tuple(showable(dict(zip("abc", counts, strict=True)), total).values())
            looks[shown, total].append(counts)
    for (shown, total), tables in looks.items():
        assert all(one is None or one >= 5 for one in shown)
        for place in range(3):
            if shown[place] is None and total >= 5:
                assert len({counts[place] for counts in tables}) > 1, (shown, total)
        rest = total - sum(one or 0 for one in shown)
        assert rest == 0 or rest >= 5 or not any(shown)


def test_more_said_something_than_were_asked():
    with pytest.raises(ValueError, match="3 said something of 2"):
        showable({"a": 3}, 2)
