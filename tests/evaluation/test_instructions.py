"""The checkable instructions, each on responses that follow it and that do not."""

import pytest

from preferably.errors import DataError
from preferably.evaluation.instructions import RULES, rule_named
from preferably.evaluation.sentences import count_sentences

# (instruction, arguments, responses that follow it, responses that do not)
CASES = [
    ("keywords:existence", {"keywords": ["cat", "dog food"]}, ["A Catalog of dog food"], ["A cat and a dog, food"]),
    ("keywords:existence", {"keywords": ["c++"]}, ["I write C++."], ["I write ccc."]),  # no regular expression
    ("keywords:frequency", {"keyword": "no", "frequency": 2, "relation": "at least"}, ["No, not now"], ["No."]),
    ("keywords:frequency", {"keyword": "no", "frequency": 2, "relation": "less than"}, ["No."], ["No, not now"]),
    ("keywords:forbidden_words", {"forbidden_words": ["art"]}, ["A party starts."], ["Art is long.", "(art)"]),
    ("keywords:letter_frequency", {"letter": "A", "let_frequency": 3, "let_relation": "at least"}, ["aAa"], ["aA"]),
    ("keywords:letter_frequency", {"letter": "!", "let_frequency": 1, "let_relation": "less than"}, ["a"], ["a!"]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, ["One. Two"], ["One"]),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "less than"}, ["Mr. Poe."], ["A b. C."]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2},
     ["one\n***\ntwo", "***\none\n***\ntwo\n***", "one***two"], ["one", "one\n\ntwo", "one\n***\n \n***\ntwo", "***"]),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 1}, ["one", "one***"], ["a***b", "a*** ***b"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "at least"}, ["it's me"], ["only two"]),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, ["only two!"], ["it's me"]),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "weekend"},
     ["One.\n\n\"Weekend!\" she said", "a\n\nweekend's"],
     ["Weekend\n\nOne", "a\n\nweekend\n\nb", "a", "a\n\nweekends"]),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, ["[name] of [address]"],
     ["[name]", "[a\nb][c]"]),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, ["Bye.\nP.S. more", "p. s. more"], ["PS more"]),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, ["P.P.S more", "p. p. s. more"], ["P.S. more"]),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, ["* a\n  - b", "- a\n-b\n**bold**"],
     ["* a", "* a\n* b\n* c", "1. a\n2. b"]),
    ("detectable_format:constrained_response", {}, ["Well: My answer is maybe. Really."],
     ["my answer is maybe.", "Yes."]),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, ["*one* and **two**", "*a* *b* *c*"],
     ["*one*", "**one**", "* a\n* b", "** ** **one**", "*a\nb* c"]),
    ("detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 2},
     ["SECTION 1\na\nSECTION 2\nb", "SECTION1 SECTION 2 SECTION 3"],
     ["SECTION 1", "Section 1 Section 2", "SECTION A B"]),
    ("detectable_format:json_format", {}, ['{"a": [1]}', ' ```json\n{"a": 1}\n``` ', "```\n[]\n```", "3"],
     ["a", "{a: 1}", 'So: {"a": 1}']),
    ("detectable_format:title", {}, ["<<Poem of joy>>\nla", "a <<b>>"], ["<Poem>", "<< >>", "<<a\nb>>"]),
    ("combination:two_responses", {}, ["one\n******\ntwo", "******one******two"],
     ["one", "same ****** same", "a******b******c", "a******  ******b"]),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi. "}, ["say HI. Hello!"], ["Hello! Say hi."]),
    ("startend:end_checker", {"end_phrase": "Any questions?"}, ["a. any QUESTIONS? ", '"a Any questions?"'],
     ["Any questions? No.", "Any questions"]),
    ("startend:quotation", {}, [' "so it is" ', '""'], ['"', 'so "it" is', '"a" b']),
    ("change_case:capital_word_frequency", {"capital_frequency": 3, "capital_relation": "at least"},
     ["I am in the USA, OK", "WELL-KNOWN A.B. X"], ["I am OK", "Not One Word"]),
    ("change_case:capital_word_frequency", {"capital_frequency": 1, "capital_relation": "less than"}, ["none"], ["OK"]),
    ("change_case:english_capital", {}, ["ALL OF IT, 3!"], ["Not ALL", "3!"]),
    ("change_case:english_lowercase", {}, ["all of it, 3!"], ["not All", "3!"]),
    ("punctuation:no_comma", {}, ["none here; none"], ["one, two"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "follow", "do_not"), CASES)
def test_what_follows_an_instruction_and_what_does_not(name, arguments, follow, do_not):
    rule = rule_named(name)
    assert rule.arguments(name, arguments) == arguments
    assert {text: rule.check(text, **arguments) for text in follow} == dict.fromkeys(follow, True)
    assert {text: rule.check(text, **arguments) for text in do_not} == dict.fromkeys(do_not, False)


def test_every_kind_of_the_paper_is_there_and_tested():
    assert len(RULES) == 25
    assert {name for name, *_ in CASES} == RULES.keys() - {"language:response_language"}
    assert [name for name, rule in RULES.items() if rule.language == "all"] == ["language:response_language"]


def test_an_instruction_that_is_not_known_is_told_with_those_that_are():
    with pytest.raises(DataError, match="no rule for the instruction 'keywords:existance'.*keywords:existence, keyw"):
        rule_named("keywords:existance")


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("keywords:existence", {}, "takes the arguments keywords; got none"),
        ("keywords:existence", {"keywords": []}, "expected a list of words"),
        ("keywords:existence", {"keywords": "cat"}, "expected a list of words"),
        ("punctuation:no_comma", {"num_words": 3}, "takes the arguments none; got num_words"),
        ("length_constraints:number_words", {"num_words": 3, "relation": "around"}, "'less than' or 'at least'"),
        ("length_constraints:number_words", {"num_words": "3", "relation": "at least"}, "expected a whole number"),
        ("length_constraints:number_words", {"num_words": 2.5, "relation": "at least"}, "expected a whole number"),
        ("length_constraints:number_words", {"num_words": True, "relation": "at least"}, "expected a whole number"),
        ("startend:end_checker", {"end_phrase": 3}, "expected text"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name, given, says):
    with pytest.raises(DataError, match=says):
        rule_named(name).arguments(name, given)


def test_nulls_of_tables_and_numbers_that_tables_made_fractional_are_read():
    rule = rule_named("length_constraints:number_words")
    given = {"num_words": 3.0, "relation": "at least", "keywords": None, "letter": None}
    assert rule.check("one two three", **rule.arguments("length_constraints:number_words", given))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0), ("...", 0), ("One", 1), ("One.", 1), ("One. Two! Three?", 3), ("Really?! Yes.", 2),
        ('"Stop!" he said. He ran.', 2), ("Dr. Who met J. R. Smith. They left.", 2), ("At 3.14 it is pi. Yes.", 2),
        ("1. Buy milk.\n2. Sell it.", 2), ("It was 1999. Then came more.", 2), ("Heading\n\nText goes on. End", 2),
        ("We saw e.g. cats, i.e. pets.", 1), ("It ended (at last.) Good.", 2), ("Wait... what? no", 1),
    ],
)  # fmt: skip
def test_sentences(text, sentences):
    assert count_sentences(text) == sentences
