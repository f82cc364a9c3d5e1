"""Instructions that a program can check: the 25 kinds of IFEval, each a pure function of a response.

Source of the kinds and of their arguments: Zhou et al. 2023, https://arxiv.org/abs/2311.07911, table 1. A rule is given
the response, which is never blank, and its arguments by name; it says whether the instruction was followed.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from preferably.errors import DataError
from preferably.evaluation.sentences import count_sentences

LESS, AT_LEAST = "less than", "at least"
ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
FENCE = re.compile(r"```(?:json)?\s*(.*?)\s*(?:```)?", re.DOTALL | re.IGNORECASE)
HIGHLIGHT = re.compile(r"\*\*([^\n*]*)\*\*|\*([^\n*]*)\*")


@dataclass(frozen=True, slots=True)
class Rule:
    """A checkable kind of instruction. `language` names what of it only a detector of languages can tell: nothing, the
    whole of it, or a part, which is then left out without one."""

    check: Callable[..., bool]
    language: str = ""  # "", "all" or "part"

    @property
    def takes(self) -> frozenset[str]:
        """The names of its arguments, all of which it needs."""
        parameters = inspect.signature(self.check).parameters.values()
        return frozenset(one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY)

    def arguments(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """`given` without its nulls, which tables hold where a row has no such argument. `DataError` where one is
        missing, unknown or of the wrong kind."""
        found = {key: value for key, value in given.items() if value is not None}
        if found.keys() != self.takes:
            wanted = ", ".join(sorted(self.takes)) or "none"
            raise DataError(f"{name} takes the arguments {wanted}; got {', '.join(sorted(found)) or 'none'}.")
        for key, value in found.items():
            _expect(name, key, value)
        # Tables make the numbers of a column with nulls fractional.
        return {key: int(value) if isinstance(value, float) else value for key, value in found.items()}


def rule_named(name: str) -> Rule:
    """The rule called `name`; `DataError`, with the names that are known, for any other."""
    if name not in RULES:
        raise DataError(f"There is no rule for the instruction {name!r}; the known ones are {', '.join(RULES)}.")
    return RULES[name]


def _expect(name: str, key: str, value: Any) -> None:
    kinds: dict[str, type] = {"keywords": list, "forbidden_words": list}
    texts = {
        "keyword", "letter", "language", "relation", "let_relation", "capital_relation", "first_word",
        "postscript_marker", "section_spliter", "prompt_to_repeat", "end_phrase",
    }  # fmt: skip
    wanted = kinds.get(key, str if key in texts else int)
    whole = isinstance(value, float) and value.is_integer()
    fits = isinstance(value, wanted) or (wanted is int and whole)
    if fits and wanted is list:
        fits = bool(value) and all(isinstance(one, str) and one for one in value)
    if not fits or isinstance(value, bool):
        raise DataError(f"{name} got {key} = {value!r:.60}; expected {_called(wanted)}.")
    if key.endswith("relation") and value not in (LESS, AT_LEAST):
        raise DataError(f"{name} got {key} = {value!r:.60}; expected {LESS!r} or {AT_LEAST!r}.")


def _called(kind: type) -> str:
    return {list: "a list of words", str: "text", int: "a whole number"}[kind]


def _compares(count: int, relation: str, number: float) -> bool:
    return count < number if relation == LESS else count >= number


def _word(text: str) -> re.Pattern[str]:
    """`text` where it is no part of a longer word, in any case."""
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)", re.IGNORECASE)


def keywords_existence(response: str, *, keywords: Sequence[str]) -> bool:
    """Every keyword is there, in any case, also as a part of a word."""
    return all(word.lower() in response.lower() for word in keywords)


def keywords_frequency(response: str, *, keyword: str, frequency: int, relation: str) -> bool:
    """The keyword is there less than, or at least, so often; also as a part of words."""
    return _compares(response.lower().count(keyword.lower()), relation, frequency)


def forbidden_words(response: str, *, forbidden_words: Sequence[str]) -> bool:
    """None of the words is there as a word of its own."""
    return not any(_word(word).search(response) for word in forbidden_words)


def letter_frequency(response: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """The letter, in any case, is there less than, or at least, so often."""
    return _compares(response.lower().count(letter.lower()), let_relation, let_frequency)


def response_language(response: str, *, language: str) -> bool:
    """Never asked: whether this is followed is for a detector of languages to say."""
    raise AssertionError("a language was to be told without a detector")


def number_sentences(response: str, *, num_sentences: int, relation: str) -> bool:
    """There are less than, or at least, so many sentences (`sentences.count_sentences`)."""
    return _compares(count_sentences(response), relation, num_sentences)


def number_paragraphs(response: str, *, num_paragraphs: int) -> bool:
    """Exactly so many paragraphs parted by `***`, none of them blank; a divider may open or close the response."""
    parts = response.split("***")
    inner = parts[1:-1]
    ends = [part for part in (parts[:1] + parts[1:][-1:]) if part.strip()]
    return all(part.strip() for part in inner) and len(inner) + len(ends) == num_paragraphs


def number_words(response: str, *, num_words: int, relation: str) -> bool:
    """There are less than, or at least, so many runs of letters and digits."""
    return _compares(len(re.findall(r"\w+", response)), relation, num_words)


def nth_paragraph_first_word(response: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Exactly so many paragraphs parted by two newlines, of which the n-th begins with the word, in any case."""
    parts = response.split("\n\n")
    if sum(bool(part.strip()) for part in parts) != num_paragraphs or not 1 <= nth_paragraph <= num_paragraphs:
        return False
    words = parts[nth_paragraph - 1].split()
    if not words:  # an empty paragraph stands where the n-th should be
        return False
    return re.split(r"[.,?!'\"]", words[0].lstrip("'").lstrip('"'))[0].lower() == first_word.lower()


def number_placeholders(response: str, *, num_placeholders: int) -> bool:
    """At least so many placeholders in square brackets, such as [address]."""
    return len(re.findall(r"\[.*?\]", response)) >= num_placeholders


def postscript(response: str, *, postscript_marker: str) -> bool:
    """The marker (P.S. or P.P.S) is there, in any case, perhaps with a space behind its dots."""
    letters = [re.escape(part) for part in postscript_marker.rstrip(".").split(".")]
    last = r"\." if postscript_marker.endswith(".") else ""
    return re.search(r"\.\s?".join(letters) + last, response, re.IGNORECASE) is not None


def number_bullet_lists(response: str, *, num_bullets: int) -> bool:
    """Exactly so many lines that begin with a hyphen or with one asterisk."""
    lines = [line.lstrip() for line in response.split("\n")]
    return sum(line[:1] == "-" or (line[:1] == "*" and line[1:2] not in ("*", "")) for line in lines) == num_bullets


def constrained_response(response: str) -> bool:
    """One of `ANSWERS` is there as it is written."""
    return any(answer in response for answer in ANSWERS)


def number_highlighted_sections(response: str, *, num_highlights: int) -> bool:
    """At least so many pieces within a line between asterisks, single or double, that say something."""
    found = (first or second for first, second in HIGHLIGHT.findall(response))
    return sum(bool(text.strip()) for text in found) >= num_highlights


def multiple_sections(response: str, *, section_spliter: str, num_sections: int) -> bool:
    """At least so many marks of a section with its number, such as SECTION 1, as they are written."""
    return len(re.findall(re.escape(section_spliter) + r"\s?\d+", response)) >= num_sections


def json_format(response: str) -> bool:
    """The whole response is JSON, perhaps in a fence of Markdown."""
    text = response.strip()
    fenced = FENCE.fullmatch(text)
    try:
        json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return False
    return True


def title(response: str) -> bool:
    """A title in double angle brackets, on one line, that says something."""
    return any(found.strip("<> \t\r") for found in re.findall(r"<<[^\n]+>>", response))


def two_responses(response: str) -> bool:
    """Two different responses parted by six asterisks."""
    parts = response.split("******")
    said = [part.strip() for part in parts if part.strip()]
    return all(part.strip() for part in parts[1:-1]) and len(said) == 2 and said[0] != said[1]


def repeat_prompt(response: str, *, prompt_to_repeat: str) -> bool:
    """The response begins with the request, in any case."""
    return response.strip().lower().startswith(prompt_to_repeat.strip().lower())


def end_checker(response: str, *, end_phrase: str) -> bool:
    """The response ends with the phrase, in any case, perhaps within double quotes."""
    return response.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def capital_word_frequency(response: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """Less than, or at least, so many words all in capitals; parts joined by a hyphen or a dot are one word."""
    words = re.findall(r"\w+(?:[-.]\w+)*", response)
    return _compares(sum(word.isupper() for word in words), capital_relation, capital_frequency)


def english_capital(response: str) -> bool:
    """All letters are capitals; that they are English is not looked at here."""
    return response.isupper()


def english_lowercase(response: str) -> bool:
    """No letter is a capital; that they are English is not looked at here."""
    return response.islower()


def no_comma(response: str) -> bool:
    """There is no comma."""
    return "," not in response


def quotation(response: str) -> bool:
    """The whole response is in double quotes."""
    text = response.strip()
    return len(text) > 1 and text[0] == text[-1] == '"'


RULES: dict[str, Rule] = {
    "keywords:existence": Rule(keywords_existence),
    "keywords:frequency": Rule(keywords_frequency),
    "keywords:forbidden_words": Rule(forbidden_words),
    "keywords:letter_frequency": Rule(letter_frequency),
    "language:response_language": Rule(response_language, "all"),
    "length_constraints:number_sentences": Rule(number_sentences),
    "length_constraints:number_paragraphs": Rule(number_paragraphs),
    "length_constraints:number_words": Rule(number_words),
    "length_constraints:nth_paragraph_first_word": Rule(nth_paragraph_first_word),
    "detectable_content:number_placeholders": Rule(number_placeholders),
    "detectable_content:postscript": Rule(postscript),
    "detectable_format:number_bullet_lists": Rule(number_bullet_lists),
    "detectable_format:constrained_response": Rule(constrained_response),
    "detectable_format:number_highlighted_sections": Rule(number_highlighted_sections),
    "detectable_format:multiple_sections": Rule(multiple_sections),
    "detectable_format:json_format": Rule(json_format),
    "detectable_format:title": Rule(title),
    "combination:two_responses": Rule(two_responses),
    "combination:repeat_prompt": Rule(repeat_prompt),
    "startend:end_checker": Rule(end_checker),
    "startend:quotation": Rule(quotation),
    "change_case:capital_word_frequency": Rule(capital_word_frequency),
    "change_case:english_capital": Rule(english_capital, "part"),
    "change_case:english_lowercase": Rule(english_lowercase, "part"),
    "punctuation:no_comma": Rule(no_comma),
}
