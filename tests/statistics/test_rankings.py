"""Several models: known strengths come back, ties are ties, and who cannot be told apart is not ranked."""

import numpy as np
import pytest

from preferably.statistics.rankings import Game, islands, ranked

STRENGTHS = {"a": 1.0, "b": 0.2, "c": 0.1, "d": -1.3}
NU = 0.6


def season(rng, prompts, strengths=STRENGTHS, nu=NU):
    """Every pair once on every prompt, by Davidson's model."""
    games, names = [], list(strengths)
    for prompt in range(prompts):
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                p, q = np.exp(strengths[one]), np.exp(strengths[other])
                weights = np.array([p, nu * np.sqrt(p * q), q])
                games.append(Game(one, other, float(rng.choice([1, 0.5, 0], p=weights / weights.sum())), prompt))
    return games


def test_known_strengths_come_back():
    board = ranked(season(np.random.default_rng(0), 600))
    found = {one.name: one for one in board.standings}
    for name, strength in STRENGTHS.items():
        assert found[name].strength == pytest.approx(strength, abs=0.15) and strength in found[name].interval
        assert found[name].games == 1800
    assert board.tie_weight == pytest.approx(NU, abs=0.08)
    assert board.groups == [["a"], ["b", "c"], ["d"]]
    assert ("a", "d") in board.separable and ("b", "c") not in board.separable and ("d", "a") not in board.separable


def test_two_models_by_hand():
    # 30 won, 20 tied, 10 lost: without a penalty p/q = 3, and P(tie) = 1/3 = nu / (sqrt 3 + 1 / sqrt 3 + nu)
    games = [Game("x", "y", result, at) for at, result in enumerate([1] * 30 + [0.5] * 20 + [0] * 10)]
    board = ranked(games, resamples=100)
    x, y = board.standings
    assert x.strength - y.strength == pytest.approx(np.log(3), abs=0.01)
    assert board.tie_weight == pytest.approx((3**0.5 + 3**-0.5) / 2, abs=0.01)


def test_the_order_in_which_games_stand_and_who_is_named_first_change_nothing():
    games = season(np.random.default_rng(1), 60)
    turned = [Game(game.second, game.first, 1 - game.result, game.prompt) for game in games[::-1]]
    one, other = ranked(games, resamples=50), ranked(turned, resamples=50)
    assert [s.name for s in one.standings] == [s.name for s in other.standings]
    assert [s.strength for s in one.standings] == pytest.approx([s.strength for s in other.standings], abs=1e-3)


def test_one_who_won_everything_has_a_finite_strength():
    games = [Game("best", other, 1, at) for at in range(30) for other in ("b", "c")]
    games += [Game("b", "c", at % 2, at) for at in range(30)]
    board = ranked(games, resamples=100)
    assert board.standings[0].name == "best" and 2 < board.standings[0].strength < 20
    assert board.groups[0] == ["best"] and board.groups[1] == ["b", "c"]


def test_equal_models_are_seldom_told_apart():
    rng, told = np.random.default_rng(2), 0
    for _ in range(40):
        told += bool(ranked(season(rng, 60, dict.fromkeys("abc", 0.0)), resamples=100).separable)
    assert told <= 6  # 5% over all pairs together


def test_models_that_no_game_connects_are_not_ranked():
    games = [Game("a", "b", 1, 0), Game("c", "d", 0, 1)]
    assert islands(games) == [["a", "b"], ["c", "d"]] or len(islands(games)) == 2
    with pytest.raises(ValueError, match="No game connects"):
        ranked(games)


@pytest.mark.parametrize("games", [[], [Game("a", "b", 0.3, 0)], [Game("a", "a", 1, 0)]])
def test_games_that_are_none_are_refused(games):
    with pytest.raises(ValueError, match=r"no games|Expected"):
        ranked(games)


def test_from_few_prompts_nobody_is_told_apart_and_nothing_is_known_exactly():
    board = ranked([Game("a", "b", 1.0, prompt) for prompt in range(5)])
    assert not board.separable and board.groups == [["a", "b"]] and "5 prompts are too few" in board.doubt
    assert all(one.interval.high - one.interval.low > 0.3 for one in board.standings)
    board = ranked([Game("a", "b", 0.5, prompt) for prompt in range(40)])
    assert not board.doubt and not board.separable
    assert all(one.interval.low < 0 < one.interval.high for one in board.standings)
