from preferably.feedback.records import Completion, Group, Judged, Message, Preference
from preferably.feedback.views import demonstrations, pairs, prompts, verdicts


def group(*texts):
    return Group((Message("user", "q"),), tuple(Completion((Message("assistant", text),)) for text in texts), ("a", 1))


def shown(groups):
    return [[completion.text for completion in item.completions] for item in groups]


def test_the_chosen_one_comes_first():
    judged = [Judged(group("a", "b"), (Preference(0),)), Judged(group("a", "b"), (Preference(1),))]
    assert shown(pairs(judged)) == [["a", "b"], ["b", "a"]]
    assert pairs(judged)[1].place == ("a", 1)


def test_the_majority_decides_and_ties_make_no_pair():
    assert shown(pairs([Judged(group("a", "b"), (Preference(1), Preference(0), Preference(1)))])) == [["b", "a"]]
    assert pairs([Judged(group("a", "b"), (Preference(1), Preference(0)))]) == []


def test_only_verdicts_count():
    judgments = (Preference("tie"), Preference("unsure"), Preference(None), Preference(0, state="failed"))
    assert pairs([Judged(group("a", "b"), judgments)]) == []


def test_the_order_of_display_does_not_change_the_choice():
    assert shown(pairs([Judged(group("a", "b"), (Preference(0, order=(1, 0)),))])) == [["a", "b"]]
    assert shown(pairs([Judged(group("a", "b", "c"), (Preference(2, order=(0, 2)),))])) == [["c", "a"]]


def test_demonstrations_and_prompts():
    judged = [Judged(group("a")), Judged(group("a", "b"), (Preference(1),))]
    assert shown(demonstrations(judged)) == [["a"], ["b"]]
    assert shown(prompts(judged)) == [[], []]


def test_a_win_in_one_order_and_a_tie_in_the_other_is_a_tie():
    one = Judged(group("a", "b"), (Preference(0, labeler="j"), Preference("tie", labeler="j", order=(1, 0))))
    assert verdicts(one) == {"j": {(0, 1): 0}}
    assert verdicts(Judged(group("a", "b"), (Preference(0, labeler="j"),))) == {"j": {(0, 1): 1}}
