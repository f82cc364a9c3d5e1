"""Items and judgments."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "items",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
    )
    op.create_table(
        "judgments",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("item", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("labeler", sa.Text(), nullable=False),
        sa.Column("labeler_kind", sa.String(16), nullable=False),
        sa.Column("labeler_group", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("seed", sa.BigInteger()),
        sa.Column("guideline", sa.Text(), nullable=False),
        sa.Column("principle", sa.Text(), nullable=False),
        sa.Column("rationale", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(53)),
        sa.Column("supersedes", sa.String(64)),
        sa.Column("said_at", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_judgments"),
        sa.UniqueConstraint("id", name="uq_judgments_id"),
        sa.UniqueConstraint("supersedes", name="uq_judgments_supersedes"),
        sa.ForeignKeyConstraint(["item"], ["items.id"], name="fk_judgments_item"),
        sa.ForeignKeyConstraint(["supersedes"], ["judgments.id"], name="fk_judgments_supersedes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_judgments_item", "judgments", ["item"])
    op.create_index("ix_judgments_labeler", "judgments", ["labeler"])
