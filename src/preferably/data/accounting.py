"""What became of every row: read = used + rejected + deduplicated, always."""

import math
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from preferably.errors import DataError
from preferably.feedback.records import Place

SHOWN = 3  # rejects that a message quotes
STORED = 100  # rejects that `data.json` holds
PLACES = 3  # places of a warning that are kept
SHORTER = "Have longer rows cut (--truncation keep_start or keep_end), allow more tokens (--max-length)"

# Every code that a row can be rejected with. Codes are part of the interface: `data.json` holds them, scripts match on
# them; a meaning may be worded better, a code is never renamed.
CODES: dict[str, str] = {
    # reading
    "not_utf8": "the row is not UTF-8 text",
    "invalid_json": "the row is not one JSON value",
    "duplicate_key": "an object names a key twice",
    "bad_number": "NaN, Infinity, or a number too large to hold",
    "lone_surrogate": "half of a surrogate pair, which no file can store as UTF-8",
    "nul": "a NUL character",
    "too_deep": "nested too deep to read",
    "too_large": "one row, or one cell of CSV, is larger than the reader's limit",
    "not_an_object": "the row is JSON but not an object",
    "invalid_csv": "the row is not CSV: a quote that is not doubled, or is never closed",
    "wrong_columns": "more or fewer cells than the header has columns",
    "bad_cell": "a cell whose column does not hold text, and that cannot be read",
    # shape
    "missing_field": "a column or key that this feedback needs is not there",
    "wrong_type": "null, a number or a list where text belongs, or the reverse",
    "mixed_forms": "text and lists of messages in one row",
    "wrong_number": "too few completions, or not one rank or rating for each",
    "bad_label": "a label other than true and false",
    "bad_choice": "a choice that names neither of the two completions nor a tie",
    "bad_rank": "a rank other than 1, 2, 3, ...",
    "bad_score": "a score or strength that is no finite number, or a strength below 0",
    "scores_contradict": "the chosen completion has the lower score",
    "repeated_id": "an id that an earlier row has, which says something else",
    "unsupported": "content in parts, images or another thing that is not read",
    "empty": "text that is empty or only whitespace",
    "text_too_large": "a text of a million characters or more",
    # conversations
    "no_messages": "a list of messages without any",
    "unknown_role": "a role other than system, user, assistant and tool",
    "system_not_first": "a system message after another turn",
    "starts_with_assistant": "a conversation that the assistant opens, so that there is no prompt",
    "ends_with_user": "a conversation without an answer of the assistant at its end",
    "ends_with_assistant": "a prompt that ends with the assistant's answer",
    "bad_tool_call": "tools, or calls of them, that are no JSON or have no name",
    "nothing_to_learn": "a completion of which every turn says train: false",
    "completion_role": "a completion that does not begin with an assistant turn",
    "prompts_differ": "chosen and rejected answer different prompts",
    "bad_transcript": "a transcript that does not open with Human: or Assistant:",
    # preference
    "equal": "completions that are compared are the same text",
    # verdicts that nothing can be learnt from: counted, and no fault of the row
    "tie": "neither completion is better",
    "both_bad": "both completions are bad",
    "unsure": "the labeler could not tell",
    "unjudged": "completions that nobody compared, or whose judgment failed",
    "no_majority": "as many labelers say the one as the other",
    "bad_example": "an answer that was labelled as bad, among demonstrations",
    # tokens
    "template_refuses": "turns in an order that the chat template refuses",
    "special_token": "a message spells out a special token, which would forge a turn or an end",
    "too_long": "longer than max_length tokens",
    "empty_after_truncation": "nothing left to learn once cut to max_length",
    "equal_after_truncation": "chosen and rejected became the same once cut to max_length",
    "equal_tokens": "chosen and rejected are the same tokens",
    "no_shared_start": "no prompt, no BOS, and completions that share no first token to condition on",
}

NO_FAULT = frozenset({"tie", "both_bad", "unsure", "unjudged", "no_majority", "bad_example"})

# What was read in another way than it was written, so that the rows could be used.
REPAIRS: dict[str, str] = {
    "bom": "files with a byte order mark in front",
    "utf16": "files in UTF-16",
    "array_in_jsonl": "files named .jsonl that hold one JSON array",
    "crlf": "lines of JSON that end with CR LF",
    "lone_cr": "rows that are parted by CR alone",
    "blank_line": "lines without a row",
    "boolean_spelling": "cells of CSV with True or FALSE for true or false",
    "messages_in_cell": "cells of CSV that hold a list of messages as JSON",
    "role_spelling": "rows with roles in other case or with spaces around them",
    "id_type": "rows whose id is a number where others are text, or the reverse",
}

# What is used as it is, and what a person should look at.
WARNINGS: dict[str, str] = {
    "not_data": "files in a directory that are no data and were passed over",
    "control_character": "rows with control characters, such as the escapes that color a terminal",
    "hidden_character": "rows with characters that are invisible or reorder the text",
    "homoglyph": "rows with Cyrillic or Greek letters inside of Latin words",
    "composition": "rows that differ from an earlier one in Unicode composition only",
    "mojibake": "rows with text that was decoded wrongly, such as \u00c3\u00a9 for \u00e9",
    "replacement_character": "rows with U+FFFD, which stands for what was lost, or with private-use characters",
    "unread_column": "rows with columns or keys that are not read",
    "same_role_twice": "rows in which two turns of one role follow each other",
    "conflict": "rows that say the reverse of an earlier one about the same completions",
    "special_token_in_text": "rows of plain text that spell out a special token",
    "partly_used": "rows of which some pairs or labels could not be used, and others were",
}


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that is not used: where it is, which field is at fault, a code of `CODES`, and the reason in words."""

    file: str
    line: int  # from 1; elements of a JSON array are counted as lines
    field: str
    code: str
    reason: str

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"{self.code!r} is not in preferably.data.accounting.CODES")

    def __str__(self) -> str:
        return printable(f"{self.file}:{self.line} {self.field}: {self.code} ({self.reason})")


def printable(text: str) -> str:
    """`text` of others for a terminal: what hides, reorders or controls is written as `<U+202E>`."""
    return "".join(character if character.isprintable() else f"<U+{ord(character):04X}>" for character in text)


@dataclass(slots=True)
class Warned:
    """How often a warning was given, and the first places."""

    count: int = 0
    first: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Accounting:
    """The counts of rows. Each row is entered once, by `use`, `reject` or `deduplicate`, so the sums always hold.

    Repairs and warnings are beside the sums: a row can have several, and some are about whole files.
    """

    read: int = 0
    used: int = 0
    deduplicated: int = 0
    rejects: list[Reject] = field(default_factory=list)
    repaired: Counter[str] = field(default_factory=Counter)
    warned: dict[str, Warned] = field(default_factory=dict)
    merged: dict[Place, list[Place]] = field(default_factory=dict)  # later rows that speak of what a row holds

    def use(self) -> None:
        """A row was read and is used."""
        self.read += 1
        self.used += 1

    def reject(self, reject: Reject) -> None:
        """A row was read and cannot be used."""
        self.read += 1
        self.rejects.append(reject)

    def deduplicate(self) -> None:
        """A row was read and says what another has said."""
        self.read += 1
        self.deduplicated += 1

    def reject_later(self, reject: Reject) -> None:
        """A row that was counted as used, and those merged with it, turned out in a later stage not to be usable."""
        for file, line in [(reject.file, reject.line), *self.merged.get((reject.file, reject.line), ())]:
            self.used -= 1
            self.rejects.append(replace(reject, file=file, line=line))

    def repair(self, code: str, count: int = 1) -> None:
        """Something of `REPAIRS` was mended, `count` times."""
        if code not in REPAIRS:
            raise ValueError(f"{code!r} is not in preferably.data.accounting.REPAIRS")
        self.repaired[code] += count

    def warn(self, code: str, place: str) -> None:
        """Something of `WARNINGS` is at `place`, and is used as it is."""
        if code not in WARNINGS:
            raise ValueError(f"{code!r} is not in preferably.data.accounting.WARNINGS")
        self._warned(code, Warned(1, [place]))

    def _warned(self, code: str, more: Warned) -> None:
        warned = self.warned.setdefault(code, Warned())
        warned.count += more.count
        warned.first = [*warned.first, *more.first][:PLACES]

    def merge(self, other: "Accounting") -> None:
        """Add the counts of another source."""
        self.read += other.read
        self.used += other.used
        self.deduplicated += other.deduplicated
        self.rejects.extend(other.rejects)
        self.repaired.update(other.repaired)
        self.merged.update(other.merged)
        for code, warned in other.warned.items():
            self._warned(code, warned)

    @property
    def faults(self) -> list[Reject]:
        """The rejected rows that are at fault: all but those whose verdict nothing can be learnt from."""
        return [reject for reject in self.rejects if reject.code not in NO_FAULT]

    @property
    def rejected(self) -> dict[str, int]:
        """How many rows were rejected with each code, the most frequent first."""
        return dict(
            sorted(Counter(reject.code for reject in self.rejects).items(), key=lambda item: (-item[1], item[0]))
        )

    def close(self) -> None:
        """Assert that no row is lost: a failure here is a bug of ours, not of the data."""
        assert min(self.used, self.deduplicated) >= 0, f"negative counts: {self.as_json()}"
        assert self.read == self.used + len(self.rejects) + self.deduplicated, f"rows were lost: {self.as_json()}"

    def as_json(self) -> dict[str, Any]:
        """The part of `data.json` that is about rows: the counts, the counts by code, and the first places."""
        return {
            "read": self.read,
            "used": self.used,
            "deduplicated": self.deduplicated,
            "rejected": self.rejected,
            "rejects": [asdict(reject) for reject in self.rejects[:STORED]],
            "repaired": dict(self.repaired),
            "warned": {code: asdict(warned) for code, warned in self.warned.items()},
        }

    def describe(self) -> str:
        """One paragraph for people: the counts, the counts by code, and the first places."""
        said = [
            f"{self.read} rows read: {self.used} used, {len(self.rejects)} rejected, {self.deduplicated} duplicates."
        ]
        if self.rejects:
            said.append(self.rejected_text(self.rejects))
        if self.repaired:
            said.append(f"Repaired: {', '.join(f'{code} {count}' for code, count in self.repaired.items())}.")
        if self.warned:
            items = (f"{code} {it.count} ({printable('; '.join(it.first))})" for code, it in self.warned.items())
            said.append(f"To look at: {', '.join(items)}.")
        return " ".join(said)

    def enforce(self, max_rejected: float, option: str | None = "--max-rejected") -> None:
        """Raise `DataError` where nothing is left, or more than the share `max_rejected` (0 to 1) is at fault.

        `option` is what allows more, where there is one.
        """
        self.close()
        faults = self.faults
        mend = SHORTER if faults and _most_frequent(faults) == "too_long" else "Mend these rows"
        if not self.used:
            advice = f" {SHORTER}." if mend == SHORTER else ""
            said = self.rejected_text(faults or self.rejects)
            raise DataError(f"None of the {self.read} rows can be used. {said}{advice}")
        share = len(faults) / self.read
        if share <= max_rejected:
            return
        enough = math.ceil(share * 1000) / 1000
        without = "take them out" if option is None else f"go on without them: {option} {enough:g}"
        raise DataError(
            f"{len(faults)} of {self.read} rows ({share:.1%}) were rejected, more than the {max_rejected:.1%} "
            f"that is allowed. {self.rejected_text(faults)} {mend}, or {without}."
        )

    def rejected_text(self, rejects: list[Reject]) -> str:
        """The counts by code, and of `rejects` (one or more) the first with the most frequent code."""
        counts = ", ".join(f"{code} {count}" for code, count in self.rejected.items())
        code = _most_frequent(rejects)
        alike = [reject for reject in rejects if reject.code == code]
        same = len({(reject.field, reject.code, reject.reason) for reject in rejects}) == 1
        of_code = f" of {code}" if len(self.rejected) > 1 else ""
        return f"Rejected: {counts}. First{of_code}: {'; '.join(map(str, alike[: 1 if same else SHOWN]))}."


def _most_frequent(rejects: list[Reject]) -> str:
    return Counter(reject.code for reject in rejects).most_common(1)[0][0]
