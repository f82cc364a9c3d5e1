"""What became of every row: read = used + rejected + deduplicated, always."""

import math
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from preferably.errors import DataError

SHOWN = 3  # rejects that a message quotes
STORED = 100  # rejects that `data.json` holds

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
    "too_large": "one row is larger than the reader's limit",
    "not_an_object": "the row is JSON but not an object",
    # shape
    "missing_field": "a column or key that this feedback needs is not there",
    "wrong_type": "null, a number or a list where text belongs, or the reverse",
    "mixed_forms": "text and lists of messages in one row",
    "bad_example": "a row labelled as a bad answer, among demonstrations",
    "unsupported": "tool calls, a chat history or another shape that is not read yet",
    "empty": "text that is empty or only whitespace",
    # conversations
    "no_messages": "a list of messages without any",
    "unknown_role": "a role other than system, user and assistant",
    "system_not_first": "a system message after another turn",
    "starts_with_assistant": "a conversation that the assistant opens, so that there is no prompt",
    "ends_with_user": "a conversation without an answer of the assistant at its end",
    "ends_with_assistant": "a prompt that ends with the assistant's answer",
    "completion_role": "a completion that does not begin with an assistant turn",
    "prompts_differ": "chosen and rejected answer different prompts",
    "bad_transcript": "a transcript that does not open with Human: or Assistant:",
    # preference
    "equal": "chosen and rejected are the same text",
    # tokens
    "special_token": "a message spells out a special token, which would forge a turn or an end",
    "too_long": "longer than max_length tokens",
    "empty_after_truncation": "nothing left to learn once cut to max_length",
    "equal_after_truncation": "chosen and rejected became the same once cut to max_length",
    "equal_tokens": "chosen and rejected are the same tokens",
    "no_shared_start": "no prompt, no BOS, and completions that share no first token to condition on",
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
        return f"{self.file}:{self.line} {self.field}: {self.code} ({self.reason})"


@dataclass(slots=True)
class Accounting:
    """The counts of rows. Each row is entered once, by `use`, `reject` or `deduplicate`, so the sums always hold."""

    read: int = 0
    used: int = 0
    deduplicated: int = 0
    rejects: list[Reject] = field(default_factory=list)

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
        """A row that was counted as used turned out, in a later stage, not to be usable."""
        self.used -= 1
        self.rejects.append(reject)

    def merge(self, other: "Accounting") -> None:
        """Add the counts of another source."""
        self.read += other.read
        self.used += other.used
        self.deduplicated += other.deduplicated
        self.rejects.extend(other.rejects)

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
        """The part of `data.json` that is about rows: the counts, the counts by code and the first rejects."""
        return {
            "read": self.read,
            "used": self.used,
            "deduplicated": self.deduplicated,
            "rejected": self.rejected,
            "rejects": [asdict(reject) for reject in self.rejects[:STORED]],
        }

    def describe(self) -> str:
        """One paragraph for people: the counts, the counts by code and the first rejects."""
        text = f"{self.read} rows read: {self.used} used, {len(self.rejects)} rejected, {self.deduplicated} duplicates."
        return f"{text} {self._rejected_text()}" if self.rejects else text

    def enforce(self, max_rejected: float) -> None:
        """Raise `DataError` where nothing is left, or more than the share `max_rejected` (0 to 1) was rejected."""
        self.close()
        if not self.used:
            raise DataError(f"None of the {self.read} rows can be used. {self._rejected_text()}")
        share = len(self.rejects) / self.read
        if share <= max_rejected:
            return
        enough = math.ceil(share * 1000) / 1000
        raise DataError(
            f"{len(self.rejects)} of {self.read} rows ({share:.1%}) were rejected, more than the {max_rejected:.1%} "
            f"that is allowed. {self._rejected_text()} Mend these rows, "
            f"or go on without them: --max-rejected {enough:g}."
        )

    def _rejected_text(self) -> str:
        counts = ", ".join(f"{code} {count}" for code, count in self.rejected.items())
        return f"Rejected: {counts}. First: {'; '.join(str(reject) for reject in self.rejects[:SHOWN])}."
