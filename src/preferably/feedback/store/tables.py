"""The tables, as the newest migration leaves them: what was judged, what was said of it, and what servers
replied when they were asked."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s", "pk": "pk_%(table_name)s",
    }
)  # fmt: skip

# A group, by the digest of what it holds. Never changed.
items = Table(
    "items",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("content", Text, nullable=False),  # codec.group_content
)

# Rows are added and never changed; a correction is a row that names the one it takes the place of.
judgments = Table(
    "judgments",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("item", String(64), ForeignKey("items.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("verdict", Text, nullable=False),  # codec.verdict_of
    Column("state", String(16), nullable=False),
    Column("labeler", Text, nullable=False),
    Column("labeler_kind", String(16), nullable=False),
    Column("labeler_group", Text, nullable=False),
    Column("shown", Text, nullable=False),  # the order, a JSON list
    Column("seed", BigInteger),
    Column("guideline", Text, nullable=False),
    Column("principle", Text, nullable=False),
    Column("rationale", Text, nullable=False),
    Column("seconds", Float(53)),
    Column("supersedes", String(64), ForeignKey("judgments.id"), unique=True),
    Column("said_at", String(32), nullable=False),
    Column("digest", String(64), nullable=False),  # of all that the client sent
    Index("ix_judgments_item", "item"),
    Index("ix_judgments_labeler", "labeler"),
    sqlite_autoincrement=True,  # numbers are never given twice
)

# What a server replied to a request, by the key of the whole request: it is not asked and paid for twice.
replies = Table(
    "replies",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("body", Text, nullable=False),  # as it came, JSON
    Column("said_at", String(32), nullable=False),
)
