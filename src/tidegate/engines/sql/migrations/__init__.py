"""The schema's history, run by Alembic; forward only."""
