"""How many sentences a text has, by rule: English punctuation, without a model."""

import re

# A mark that can end a sentence, with the quotes and brackets that close behind it, before white space or the end.
END = re.compile(r"(?P<mark>[.!?]+)[\"'\u2019\u201d)\]*_]*(?=\s|$)")
BEFORE = re.compile(r"\S+$")
INITIAL = re.compile(r"[A-Z]")
NUMBER = re.compile(r"\d+")  # of a list, where nothing of the sentence stands before it
ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st jr sr vs etc inc ltd co corp gen col sgt capt lt rep sen gov hon rev fig no vol pp ed eds "
    "al approx dept est ave blvd rd jan feb mar apr jun jul aug sep sept oct nov dec e.g i.e a.m p.m u.s u.k ph.d"
    .split()
)  # fmt: skip


def count_sentences(text: str) -> int:
    """The pieces of `text` that end in a mark (. ! ?) before white space, and what is left behind the last, if it has
    letters or digits.

    A dot behind an abbreviation, an initial or the number of a list item ends nothing, nor does any mark before a small
    letter. A line break alone ends nothing. Published figures use a trained splitter, which counts other things in
    places (docs/evaluation-suites.md has how often).
    """
    begin = count = 0
    for found in END.finditer(text):
        rest = text[found.end() :].lstrip()
        if rest and (rest[0].islower() or (found["mark"] == "." and _goes_on(text[begin : found.start()]))):
            continue
        if re.search(r"\w", text[begin : found.start()]):
            count += 1
        begin = found.end()
    return count + bool(re.search(r"\w", text[begin:]))


def _goes_on(before: str) -> bool:
    """Whether a dot behind `before` belongs to its last word."""
    word = BEFORE.search(before)
    if word is None:
        return True
    last = word[0].lstrip("\"'([*_\u2018\u201c")
    if NUMBER.fullmatch(last):
        return not before[: word.start()].rpartition("\n")[2].strip()
    return last.lower() in ABBREVIATIONS or INITIAL.fullmatch(last) is not None
