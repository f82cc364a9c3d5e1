"""Which point of a sweep to take."""

from preferably.pipeline.frontier import Point, frontier, recommend


def point(beta, win_rate, low, high, kl, *warnings, **more):
    return Point({"beta": beta}, f"runs/{beta}", "finished", win_rate=win_rate, interval=(low, high), kl=kl, kl_se=0.1,
                 warnings=warnings, **more)  # fmt: skip


GRID = {"beta": [0.05, 0.1, 0.2, 0.4]}
NEAR = point(0.4, 0.60, 0.56, 0.64, 1.0)
GOOD = point(0.2, 0.78, 0.74, 0.82, 3.0)
BEST = point(0.1, 0.80, 0.76, 0.84, 6.0)
WILD = point(0.05, 0.95, 0.93, 0.97, 40.0, "kl_high")
FAILED = Point({"beta": 0.01}, "runs/0.01", "failed", "loss is nan")


def test_the_frontier_is_what_no_other_beats():
    beaten = point(0.3, 0.70, 0.66, 0.74, 3.5)
    assert frontier([WILD, beaten, BEST, GOOD, NEAR, FAILED]) == [NEAR, GOOD, BEST, WILD]
    same_kl = point(0.21, 0.79, 0.75, 0.83, 3.0)
    assert frontier([GOOD, same_kl]) == [same_kl]
    assert frontier([]) == [] == frontier([FAILED])


def test_what_cannot_be_told_from_the_best_and_is_nearer_is_taken():
    found = recommend([NEAR, GOOD, BEST, WILD], GRID)
    assert found.point is GOOD
    assert "0.780 at 3.00 nats" in found.reason and "not told apart from the best (0.800 at 6.00 nats" in found.reason
    assert "beta=0.05 has 0.950, but raised kl_high" in found.reason


def test_an_interval_that_misses_the_best_is_no_substitute():
    assert recommend([NEAR, BEST], GRID).point is BEST
    assert recommend([point(0.2, 0.75, 0.72, 0.799, 3.0), BEST], GRID).point is BEST


def test_nothing_is_taken_where_nothing_is_better_than_the_start():
    level = point(0.2, 0.52, 0.48, 0.56, 3.0)
    found = recommend([level, WILD], GRID)
    assert "no point without one of these alarms (kl_high) is better than the start" in found.reason
    assert found.point is None and "0.520" in found.reason
    assert recommend([level], GRID).reason.startswith("no point is better than the start")
    assert recommend([WILD], GRID).point is None and "every point raised" in recommend([WILD], GRID).reason
    assert "no point was measured" in recommend([FAILED], GRID).reason


def test_a_run_whose_replies_are_flagged_is_not_taken():
    constant = point(0.05, 0.99, 0.98, 1.0, 0.5, flags=("constant", "judge_directed"))
    found = recommend([GOOD, BEST, constant], GRID)
    assert found.point is GOOD
    assert "beta=0.05 has 0.990, but raised constant replies, judge-directed replies" in found.reason
    assert recommend([constant], GRID).point is None and "every point raised" in recommend([constant], GRID).reason
    start = point(0.2, 0.78, 0.74, 0.82, 3.0, start_flags=("empty",))
    found = recommend([start, BEST], GRID)
    assert found.point is start and any("starting model are flagged (empty)" in hint for hint in found.hints)


def test_hints():
    hints = recommend([point(0.4, 0.9, 0.86, 0.94, 1.0), BEST, FAILED], GRID).hints
    assert any("beta = 0.4 is at the edge" in hint for hint in hints)
    assert any("fresh" in hint for hint in hints)
    assert any("1 of 3 runs failed: beta=0.01: loss is nan" in hint for hint in hints)
    assert not any("edge" in hint for hint in recommend([GOOD, BEST], GRID).hints)
    assert not any("edge" in hint for hint in recommend([GOOD], {"beta": [0.2]}).hints)
