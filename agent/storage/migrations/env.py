"""What Alembic runs: the migrations, on the connection that `agent.storage.database` opened."""

from alembic import context

from agent.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by making a new one.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
