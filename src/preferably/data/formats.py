r"""Rows to records. The shapes that are read, by the columns of a row; `docs/data.md` has an example of each.

Text stays text: a `prompt` that is a string is continued as it stands and never wrapped in a chat template. An
instruction is a user's message, with the input after a blank line, and a `system` column comes before it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from preferably.data import comparisons
from preferably.data.accounting import Reject
from preferably.data.answers import CONVERSATIONS, answered, as_text, conversation, instruction, prompt_and_answers
from preferably.data.chat import is_text
from preferably.data.columns import BadRow, Row, list_of, shown
from preferably.data.comparisons import Read
from preferably.data.conversations import check_prompt
from preferably.data.messages import tools_of
from preferably.data.trees import is_tree
from preferably.feedback.records import Completion, Group, Judged, Label, Origin, Place

Feedback = Literal["pairs", "labels", "rankings", "demonstrations", "prompts"]

ORDER = frozenset({"pairs", "rankings", "demonstrations", "prompts"})  # what an order of completions gives
ANSWER = frozenset({"demonstrations", "prompts"})
ORDERED = frozenset({"choice", "arena", "outputs"})  # shapes that say which completion was shown first
MEDIA = ("image", "images", "video", "videos", "audio", "audios")
LABELS = ("label", "kto_tag")
# The columns in which published shapes name the models that wrote the completions; ours is `models`, for any shape.
MODELS = {"arena": ("model_a", "model_b"), "outputs": ("generator_1", "generator_2")}

# What each kind of feedback asks of a row, told where a row has none of it: the column that is missed, and all of it.
NEEDS: dict[str, tuple[str, str]] = {
    "pairs": ("chosen", "chosen and rejected (or completions with choice, ranks or ratings)"),
    "labels": ("label", "label (or chosen and rejected)"),
    "rankings": ("ranks", "completions with ranks or ratings (or chosen and rejected)"),
    "demonstrations": ("completion", "completion, messages, output or text"),
    "prompts": ("prompt", "prompt, messages or instruction"),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to write feedback: the columns that mark it (any of these sets), what it gives, and who reads it."""

    name: str
    marks: tuple[frozenset[str], ...]
    gives: frozenset[str]
    read: Callable[[Row], Read]
    unless: frozenset[str] = frozenset()  # columns that make it another shape


def _label(row: Row) -> Read:
    name = next(name for name in LABELS if name in row.columns)
    value = row.get(name)
    if not isinstance(value, bool):
        raise BadRow(name, "bad_label", f"expected true or false, got {shown(value)}")
    prompt, completions, _ = _conversation(row) if _column(row) else _answer(row)
    return prompt, completions, (Label(value),) if completions else ()


def _column(row: Row) -> str | None:
    return next((name for name in CONVERSATIONS if row.has(name)), None)


def _conversation(row: Row) -> Read:
    return *answered(row, _column(row) or next(name for name in CONVERSATIONS if name in row.columns)), ()


def _answer(row: Row) -> Read:
    name = "output" if row.has("output") and not row.has("completion") else "completion"
    return *prompt_and_answers(row, [row.need(name)], [name]), ()


def _text(row: Row) -> Read:
    return (), (as_text(row.get("text"), "text"),), ()


def _prompt(row: Row) -> Read:
    if not row.has("prompt") and row.has("instruction"):
        return instruction(row), (), ()
    written = row.get("prompt")
    if isinstance(written, list):
        return check_prompt(conversation(row, "prompt"), "prompt"), (), ()
    return as_text(written, "prompt"), (), ()


def _marks(*sets: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(names.split()) for names in sets)


# A row is read as the first of these that its columns mark and that gives what is wanted.
SHAPES = (
    Shape("pair", _marks("chosen", "rejected"), ORDER | {"labels"}, comparisons.pair),
    Shape("ranking", _marks("completions ranks"), ORDER, comparisons.several),
    Shape("ratings", _marks("completions ratings"), ORDER, comparisons.several),
    Shape("choice", _marks("completions"), ORDER | {"labels"}, comparisons.choice, frozenset({"ranks", "ratings"})),
    Shape("arena", _marks("response_a", "response_b", "conversation_a", "conversation_b"), ORDER | {"labels"},
          comparisons.arena),
    Shape("outputs", _marks("output_1", "output_2"), ORDER | {"labels"}, comparisons.outputs),
    Shape("edit", _marks("completion edited", "output edited"), ORDER | {"labels"}, comparisons.edit,
          frozenset(LABELS)),
    Shape("label", _marks(*(f"{one} {other}" for one in LABELS for other in (*CONVERSATIONS, "completion", "output"))),
          ANSWER | {"labels"}, _label),
    Shape("conversation", _marks(*CONVERSATIONS), ANSWER, _conversation),
    Shape("completion", _marks("completion"), ANSWER, _answer),
    Shape("instruction", _marks("instruction output", "input output"), ANSWER, _answer),
    Shape("text", _marks("text"), frozenset({"demonstrations"}), _text),
    Shape("prompt", _marks("prompt", "instruction"), frozenset({"prompts"}), _prompt),
)  # fmt: skip


def shape_of(row: Row) -> Shape:
    """The shape that `row` is read as; `BadRow` where its columns say nothing of what is wanted.

    Columns that hold null or no text count only where nothing else decides: then they are what is wrong.
    """
    filled = {name for name in row.columns if row.has(name)}
    for names in (filled, set(row.columns)):
        for shape in SHAPES:
            fits = any(mark <= names for mark in shape.marks) and not shape.unless & names
            if fits and (row.wanted is None or row.wanted in shape.gives):
                return shape
    column, needed = NEEDS[row.wanted or "pairs"]
    raise row.missing(column, needed)


def parse_row(
    columns: dict[str, Any], feedback: Feedback | None, place: Place, row: Row | None = None
) -> Judged | Reject:
    """The record that a row holds, or why it holds none; `feedback` None takes any kind.

    A pair becomes a group of two with `Preference(choice=0)`, a labelled answer a group of one with a `Label`, a
    demonstration a group of one, a prompt a group of none. `row`, where given, is told of repairs and warnings.
    """
    row = row or Row(columns, feedback)
    try:
        if is_tree(columns):
            reason = (
                "a message tree; `preferably data convert FILE --from oasst --to pairs --output NEW` makes rows of it"
            )
            raise BadRow("prompt", "unsupported", reason)
        shape = shape_of(row)
        row.shape = shape.name
        for name in MEDIA:
            if row.columns.get(name):
                raise BadRow(name, "unsupported", "images, video and audio are not read, only text")
        prompt, completions, judgments = shape.read(row)
        tools = "" if is_text(prompt or completions[0]) else tools_of(row)
        who: dict[str, Any] = {name: _name(row, name) for name in ("labeler", "labeler_group")}
        who = {name: value for name, value in who.items() if value}  # an arena's judge is named in its own column
        if who:
            judgments = tuple(replace(judgment, **who) for judgment in judgments)
        origins = _origins(row, len(completions))
    except BadRow as bad:
        return Reject(*place, bad.field, bad.code, bad.reason)
    if unread := row.unread():
        row.warnings["unread_column"] = ", ".join(unread)
    source = row.columns.get("source")
    made = tuple(map(Completion, completions, origins))
    group = Group(prompt, made, place, tools, source=source if isinstance(source, str) else "")
    if feedback == "prompts":
        group = replace(group, columns=row.rest())
    return Judged(group, judgments)


def _origins(row: Row, count: int) -> list[Origin | None]:
    """Which model wrote each completion, where the row says so; null is nobody that is known."""
    names = [row.get(name) for name in MODELS.get(row.shape, ())]
    if row.has("models"):
        names = list_of(row.get("models"), "models")
        if len(names) != count:
            raise BadRow("models", "wrong_number", f"{count} completions, but {len(names)} models")
    for name in names:
        if not isinstance(name, str | None):
            raise BadRow("models", "wrong_type", f"expected the name of a model, got {shown(name)}")
    return [Origin(name) if name else None for name in names] or [None] * count


def _name(row: Row, column: str) -> str:
    name = row.columns.get(column)
    if name is not None and (isinstance(name, bool) or not isinstance(name, str | int)):
        raise BadRow(column, "wrong_type", f"expected a name or a number, got {shown(name)}")
    return "" if name is None else str(name)
