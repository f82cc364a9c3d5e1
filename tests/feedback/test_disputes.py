"""What is disputed, and why, where the data show it; with verdicts that are made up one by one."""

import math

import pytest

from preferably.feedback.disputes import AMBIGUOUS, disputes_of
from preferably.feedback.questions import Said, questions_of
from preferably.feedback.records import Completion, Flag, Group, Message, Preference

LONG = "Where do I find the form for a refund of last year's fee, please?"


def group(prompt=LONG, one="In the settings, under fees.", other="You can write to us about that at any time."):
    return Group((Message("user", prompt),), tuple(Completion((Message("assistant", text),)) for text in (one, other)))


def votes(about, *choices, names="abcdefgh"):
    return [Said(about, Preference(choice, labeler=name)) for choice, name in zip(choices, names, strict=False)]


def told(said, groups=None, random=()):
    return disputes_of(questions_of(said), said, groups or {}, random)


def test_figures_by_hand():
    """Three of four say 0: of six pairs of verdicts three are unlike; entropy of 3/4 and 1/4; a quarter is not the
    commonest."""
    found = told(votes(group(), 0, 0, 0, 1)).prompts[0]
    assert (found.labelers, found.disagreement, found.minority) == (4, 0.5, 0.25)
    assert found.entropy == pytest.approx(-0.75 * math.log2(0.75) - 0.25 * math.log2(0.25))


def test_the_most_disputed_come_first_and_one_pair_of_verdicts_is_no_proof():
    split, apart, one = group("split " + LONG), group("apart " + LONG), group("one " + LONG)
    said = votes(split, 0, 1, 0, 1, 0, 1) + votes(apart, 0, 1)
    for number in range(9):
        said += votes(group(f"{number} {LONG}") if number else one, 0, 0, 0)
    found = told(said)
    # 18 + 2 unlike of 30 + 2 + 54 ordered pairs of verdicts, 0.23, is usual: (3 x 0.23 + 1) / 4 < (3 x 0.23 + 9) / 18
    assert found.usual == pytest.approx(20 / 86)
    assert [item.group for item in found.prompts[:3]] == [split, apart, one]
    assert found.prompts[1].disagreement == 1 > found.prompts[0].disagreement
    assert found.unanimous == 9 and [item.group for item in found.listed] == [split, apart]


def test_a_flag_lists_a_prompt_and_is_the_first_reason():
    flagged = group("flagged " + LONG)
    flags = [Said(flagged, Flag(AMBIGUOUS, labeler="a")), Said(flagged, Flag("harmful", labeler="b"))]
    said = [*votes(flagged, 0, 0), *flags]
    found = told(said + votes(group(), 0, 0))
    assert [item.group for item in found.listed] == [flagged]
    assert found.listed[0].flagged == 1 and found.listed[0].reasons == ("flagged as ambiguous by 1",)
    # supersedes the first, which the store leaves out
    back = Said(flagged, Flag(AMBIGUOUS, raised=False, labeler="a"))
    assert told([*votes(flagged, 0, 0), back, flags[1]]).listed == []
    alone = told([Said(flagged, Flag(AMBIGUOUS, labeler="a"))])  # that nobody judged
    assert alone.listed[0].labelers == 0 and alone.usual is None


@pytest.mark.parametrize("choices, reason", [
    ((0, 1, 0, 1), ""),
    ((0, "tie", "unsure", 1), "2 of 4 see a tie or are unsure"),
    ((0, 0, 0, 1), "only d differs"),
    ((0, 0, 1), ""),  # two against one: either may be the odd one
    ((0, 0, 0, "tie"), ""),
])  # fmt: skip
def test_reasons_of_verdicts(choices, reason):
    assert told(votes(group(), *choices)).prompts[0].reasons == ((reason,) if reason else ())


def test_one_who_looks_random_is_the_odd_one_against_two():
    assert told(votes(group(), 0, 0, 1), random=["c"]).prompts[0].reasons == ("only c differs, who looks random",)


def test_completions_that_are_nearly_the_same():
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    near = group(one=long, other=long.replace("three", "THREE"))
    assert told(votes(near, 0, 1)).prompts[0].reasons == ("the completions are nearly the same (94% of the words)",)
    assert told(votes(group(one=long, other=long[: len(long) // 2]), 0, 1)).prompts[0].reasons == ()


def test_groups_that_are_of_two_minds():
    groups = {"a": "UK", "b": "UK", "c": "Kenya", "d": "Kenya", "e": ""}
    found = told(votes(group(), 0, 0, 1, 1, 1), groups).prompts[0]
    assert found.reasons == ("groups differ: all 2 of UK against all 2 of Kenya",)
    assert told(votes(group(), 0, 1, 1, 0), groups).prompts[0].reasons == ()


def test_a_short_prompt_is_a_reason_only_where_short_ones_are_disputed():
    said = []
    for number in range(12):
        said += votes(group(f"Refund {number}?"), 0, 1) + votes(group(f"{number} {LONG}"), 0, 0)
    found = told(said)
    assert found.prompts[0].reasons == ("a short prompt (2 words)",)
    turned = []
    for number in range(12):
        turned += votes(group(f"Refund {number}?"), 0, 0) + votes(group(f"{number} {LONG}"), 0, 1)
    turned += votes(group("Fee?"), 0, 1)
    assert all(item.reasons == () for item in told(turned).listed)


def test_everything_as_json():
    found = told(votes(group(), 0, 1, "tie")).as_json()
    assert found["judged_twice"] == 1 and found["unanimous"] == 0 and found["disagreement"] == 1
    assert found["most_ambiguous"][0]["prompt"] == LONG and len(found["most_ambiguous"][0]["completions"]) == 2


def test_what_is_agreed_on_takes_no_place_from_what_is_not():
    """Sixty prompts of two who agree are more doubtful than one of twenty of whom one does not, and need no look."""
    odd = group("odd " + LONG)
    names = [f"n{at}" for at in range(20)]
    said = votes(odd, *[0] * 19, 1, names=names)
    for number in range(60):
        said += votes(group(f"{number} {LONG}"), 0, 0)
    split = [group(f"split {number} {LONG}") for number in range(10)]
    for one in split:
        said += votes(one, 0, 1)
    listed = told(said).listed
    assert [one.group for one in listed[-1:]] == [odd] and len(listed) == 11 and listed[-1].reasons is not None
