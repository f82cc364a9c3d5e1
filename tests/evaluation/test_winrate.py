import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preferably.errors import DataError
from preferably.evaluation.winrate import win_rate
from preferably.feedback.records import Completion, Group, Message, Preference
from preferably.judging.judge import both_orders, judge_by_score
from preferably.statistics.intervals import wilson

ROLES = {"schema", "win_rate", "interval", "confidence", "n", "wins", "ties", "losses", "missing", "judge", "decoding"}
MORE = {"labeler_kind", "inconsistent", "spread", "slices", "axes", "flags", "length_controlled", "style_controlled"}
SHAPE = ROLES | MORE | {"judged_by", "kl", "length", "model", "against", "duplicates", "bounds"}
DECODING = {"temperature": 0.7, "top_p": 1.0, "max_tokens": 64, "samples": 2}


def asked(n):
    return [Group((Message("user", f"prompt {i}"),)) for i in range(n)]


def value(prompts, completions):
    """A reply's score is the number in it; none for a question mark."""
    return [None if text.startswith("?") else float(text.split()[0]) for text in completions]


judge = judge_by_score(value)


def test_the_figures_by_hand():
    model = [["2", "2"], ["1", "0"], ["1", "?"], ["?", "?"], ["0", "1 word"]]
    against = [["1", "1"], ["1", "1"], ["0", "0"], ["0", "0"], ["3 words here", "0"]]
    result = win_rate(asked(5), model, against, judge)
    # Per prompt: 1; (1/2 + 0)/2; 1 of one judged; none; (0 + 1)/2.
    assert result.values == (1.0, 0.25, 1.0, None, 0.5)
    assert result.win_rate == pytest.approx(2.75 / 4)
    assert (result.n, result.wins, result.ties, result.losses, result.missing) == (4, 4, 1, 2, 3)
    assert result.outcomes[1] == ("tie", "against") and result.outcomes[3] == ("missing", "missing")
    assert result.bounds == (4.5 / 10, 7.5 / 10)
    score = wilson(2.75, 4)
    assert (result.interval.low, result.interval.high) == pytest.approx((score.low, score.high))
    assert result.interval.note and result.verdict == "not separable"
    assert (result.length.model, result.length.against) == (1.1, 1.2)


def test_the_json_has_exactly_the_documented_shape():
    result = win_rate(asked(2), [["2"], ["?"]], [["1"], ["1"]], judge)
    stored = result.as_json(
        judge="length", decoding=DECODING, kl={"mean": 1.5, "se": 0.1}, model="trained", against="base"
    )
    assert set(stored) == SHAPE
    assert stored == json.loads(json.dumps(stored, allow_nan=False))
    assert stored["schema"] == 1 and stored["win_rate"] == 1.0 and stored["confidence"] == 0.95
    assert stored["interval"] == [result.interval.low, result.interval.high]
    assert (stored["n"], stored["wins"], stored["missing"]) == (1, 1, 1)
    assert stored["bounds"] == [0.5, 1.0]  # one of two won, the other lost or won
    assert stored["kl"] == {"mean": 1.5, "se": 0.1} and stored["decoding"] == DECODING
    assert (stored["judge"], stored["model"], stored["against"]) == ("length", "trained", "base")
    assert stored["length"] == {"model": 1.0, "against": 1.0} and stored["duplicates"] == {"model": 0.0, "against": 1.0}


def test_where_nothing_can_be_judged_there_is_no_figure():
    result = win_rate(asked(3), [["?"]] * 3, [["1"]] * 3, judge, confidence=0.9)
    assert result.win_rate is None and result.interval is None and result.n == 0 and result.missing == 3
    assert result.verdict == "not separable" and result.bounds == (0.0, 1.0)
    stored = result.as_json(judge="j", decoding={}, model="m", against="a")
    assert stored["win_rate"] is None and stored["interval"] is None and stored["kl"] is None
    assert stored["confidence"] == 0.9


@pytest.mark.parametrize(("share", "verdict"), [(0.8, "better"), (0.5, "not separable"), (0.2, "worse")])
def test_the_verdict_is_the_intervals(share, verdict):
    model = [["2" if i < 200 * share else "0"] for i in range(200)]
    result = win_rate(asked(200), model, [["1"]] * 200, judge)
    assert result.verdict == verdict and result.win_rate == share


def test_samples_of_one_prompt_do_not_narrow_the_interval():
    won = [random.Random(0).random() < 0.6 for _ in range(100)]
    once, often = (
        win_rate(asked(100), [["2" if w else "0"] * s for w in won], [["1"] * s] * 100, judge) for s in (1, 8)
    )
    assert once.values == often.values and once.interval == often.interval and often.wins == 8 * once.wins


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.lists(st.tuples(*[st.sampled_from("012?")] * 2), min_size=1, max_size=3), min_size=1, max_size=14)
)
def test_counts_add_up_and_changing_sides_mirrors_everything(rows):
    model, against = [[a for a, _ in row] for row in rows], [[b for _, b in row] for row in rows]
    one = win_rate(asked(len(rows)), model, against, both_orders(judge))
    other = win_rate(asked(len(rows)), against, model, both_orders(judge))
    assert one.wins + one.ties + one.losses + one.missing == sum(map(len, rows))
    assert (one.wins, one.ties, one.losses, one.missing) == (other.losses, other.ties, other.wins, other.missing)
    assert (one.win_rate is None) == (other.win_rate is None) == (one.n == 0)
    if one.win_rate is not None:
        assert one.win_rate == pytest.approx(1 - other.win_rate)
        assert one.bounds[0] - 1e-12 <= (one.wins + one.ties / 2) / (sum(map(len, rows)) - one.missing) <= one.bounds[1]
    assert one.inconsistent == 0


def test_every_state_that_is_no_verdict_is_missing():
    answers = [
        Preference(0),
        Preference("both_bad"),
        Preference("unsure"),
        Preference(0, state="invalid"),
        Preference(1, state="refused"),
        Preference(None, state="failed"),
    ]
    result = win_rate(asked(6), [["a"]] * 6, [["b"]] * 6, lambda groups: answers)
    assert result.outcomes == (("model",), ("tie",)) + (("missing",),) * 4


def test_verdicts_that_change_with_the_order_are_ties_and_counted():
    def first_shown(groups):
        return [Preference(0) for _ in groups]

    result = win_rate(asked(4), [["a"]] * 4, [["b"]] * 4, both_orders(first_shown))
    assert (result.ties, result.inconsistent, result.win_rate) == (4, 4, 0.5)


def test_the_judge_sees_the_prompt_and_the_models_reply_first():
    prompts = [Group((Message("user", "hello"),), (Completion((Message("assistant", "old"),)),), ("f.jsonl", 3))]
    seen = []

    def spy(groups):
        seen.extend(groups)
        return [Preference("tie") for _ in groups]

    win_rate(prompts, [["m"]], [["a"]], spy)
    assert [completion.text for completion in seen[0].completions] == ["m", "a"]
    assert seen[0].prompt_text == "hello" and seen[0].place == ("f.jsonl", 3)


def test_how_the_outcome_goes_with_length_by_hand():
    #        longer won, longer lost, shorter won, as long, longer tied, longer unjudged
    model = [["2 x x"], ["0 x"], ["2"], ["2"], ["1 x"], ["? x"]]
    against = [["1 x"], ["1"], ["1 x"], ["1"], ["1"], ["1"]]
    length = win_rate(asked(6), model, against, judge).length
    assert (length.longer, length.shorter) == (3, 1)
    assert length.when_longer == pytest.approx((1 + 0 + 0.5) / 3) and length.when_shorter == 1.0
    assert length.prefers_longer == pytest.approx(1 / 3)
    none = win_rate(asked(1), [["1"]], [["1"]], judge).length
    assert none.when_longer is None and none.when_shorter is None and none.prefers_longer is None


def test_a_constant_reply_is_flagged_but_greedy_samples_are_not():
    prompts = asked(10)
    constant = [["1 I cannot say."] * 3] * 6 + [[f"1 {i}", "1 other", "1 I cannot say. "] for i in range(4)]
    greedy = [[f"1 reply {i}"] * 3 for i in range(10)]
    result = win_rate(prompts, constant, greedy, judge)
    assert result.duplicates == (1.0, 0.0) and result.constant == ("model",)
    half = win_rate(prompts, [["1"]] * 5 + [[f"1 {i}"] for i in range(5)], [row[:1] for row in greedy], judge)
    assert half.duplicates == (0.5, 0.0) and half.constant == ()


@pytest.mark.parametrize(
    ("model", "against"),
    [([["1"]], [["1"]] * 2), ([["1"]] * 2, [["1"]]), ([["1"], []], [["1"], []]), ([["1"], ["1", "2"]], [["1"], ["1"]])],
)
def test_replies_that_do_not_match_are_refused(model, against):
    with pytest.raises(DataError, match="replies"):
        win_rate(asked(2), model, against, judge)


def test_no_prompts_are_refused():
    with pytest.raises(DataError, match="at least one prompt"):
        win_rate([], [], [], judge)


def test_a_seed_gives_the_same_interval():
    model = [[str(random.Random(i).randint(0, 2))] for i in range(60)]
    first, again, other = (win_rate(asked(60), model, [["1"]] * 60, judge, seed=seed) for seed in (1, 1, 2))
    assert first == again and first.interval != other.interval


def test_what_so_many_prompts_can_see():
    result = win_rate(asked(100), [["1"]] * 50 + [["0"]] * 50, [["0"]] * 50 + [["1"]] * 50, judge)
    assert result.verdict == "not separable" and result.spread == 0.5
    assert result.sees == pytest.approx((1.959964 + 0.841621) * 0.5 / 10, rel=1e-5)  # 14 points
    alike = win_rate(asked(2), [["1"], ["1"]], [["1"], ["1"]], judge)
    assert alike.spread == 0 and alike.sees is None
