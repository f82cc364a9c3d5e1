"""What Alembic runs: the migrations, over the connection that `opening` has begun."""

from alembic import context

from preferably.feedback.store.opening import VERSIONS
from preferably.feedback.store.tables import metadata

if hasattr(context, "config"):  # not where somebody else imports it
    context.configure(
        connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True,
        transactional_ddl=True, version_table=VERSIONS,
    )  # fmt: skip
    context.run_migrations()
