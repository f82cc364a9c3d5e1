"""Tables of the labeling app, beside those of the judgments: who labels, what is asked, who was shown what.

Unlike judgments these rows change. Times are UTC by ISO 8601; ids are made at random, and of what opens a door (a
session, an invitation) the SHA-256 is kept alone.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)  # fmt: skip

from preferably.feedback.store.tables import metadata

people = Table(
    "people",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # that judgments are signed with
    Column("role", String(16), nullable=False),  # admin, lead or labeler
    Column("labeler_group", Text, nullable=False),
    Column("password", Text, nullable=False),  # argon2id; empty where there is none
    Column("active", Boolean, nullable=False),
    Column("joined_at", String(32), nullable=False),
    Column("read", Text, nullable=False),  # the version of the guidelines that was read last
    # JSON: {"version", "right", "asked", "passed", "at", "tries", "resets"} or, since a reset, "resets" alone; or empty
    Column("qualification", Text, nullable=False),
)

invitations = Table(
    "invitations",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of the code
    Column("role", String(16), nullable=False),
    Column("labeler_group", Text, nullable=False),
    Column("person", String(64), ForeignKey("people.id")),  # for whom, where they are known: a way back in
    Column("made_by", Text, nullable=False),
    Column("made_at", String(32), nullable=False),
    Column("ends_at", String(32), nullable=False),
    Column("used_by", String(64), ForeignKey("people.id")),
    Column("revoked", Boolean, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(64), primary_key=True),  # SHA-256 of what the cookie holds
    Column("person", String(64), ForeignKey("people.id"), nullable=False),
    Column("made_at", String(32), nullable=False),
    Column("seen_at", String(32), nullable=False),
    Column("revoked", Boolean, nullable=False),
    Index("ix_sessions_person", "person"),
)

# What is asked of people. `free` is `overlap` less what was answered or is on lease: what may still be given out.
tasks = Table(
    "tasks",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),  # digest of item, kind and batch
    Column("batch", Text, nullable=False),
    Column("item", String(64), ForeignKey("items.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("overlap", Integer, nullable=False),
    Column("free", Integer, nullable=False),
    Column("priority", Float(53), nullable=False),
    Column("gold", Text, nullable=False),  # JSON: {"expected": verdict, "why": text}; empty where nobody knows better
    Column("open", Boolean, nullable=False),
    Column("queued_at", String(32), nullable=False),
    Index("ix_tasks_open", "open", "priority", "number"),
    Index("ix_tasks_batch", "batch"),
    Index("ix_tasks_item", "item"),
    sqlite_autoincrement=True,
)

# One person's turn with one task, which nobody gets twice.
turns = Table(
    "turns",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("task", BigInteger().with_variant(Integer, "sqlite"), ForeignKey("tasks.number"), nullable=False),
    Column("person", String(64), ForeignKey("people.id"), nullable=False),
    Column("shown", Text, nullable=False),  # JSON: the order of the completions on the page
    Column("seed", BigInteger, nullable=False),  # that the order was drawn with
    Column("state", String(16), nullable=False),  # leased, answered, skipped, lapsed (the lease ended)
    Column("boot", String(64), nullable=False),  # of the machine whose clock `until` is by
    Column("until", Float(53), nullable=False),  # seconds of that clock, which nobody can set
    Column("given_at", String(32), nullable=False),
    Column("done_at", String(32), nullable=False),
    Column("late", Boolean, nullable=False),  # answered after the lease had ended
    Column("deciding", Boolean, nullable=False),  # given to settle what others disagree on: takes nobody's place
    Column("said", Text, nullable=False),  # JSON: labeling.queue.Said
    Column("right", Boolean),  # of gold: whether it was answered as expected
    UniqueConstraint("task", "person", name="uq_turns_task"),
    Index("ix_turns_person", "person", "state"),
    Index("ix_turns_state", "state", "until"),
)

# Apart from everything else: who answered is told to nobody, only how many did (labeling.demographics).
demographics = Table(
    "demographics",
    metadata,
    Column("person", String(64), ForeignKey("people.id"), primary_key=True),
    Column("answers", Text, nullable=False),  # JSON: {question: choice}
    Column("said_at", String(32), nullable=False),
)
