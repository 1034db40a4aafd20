"""Jobs in a relational database: one schema, with SQLite on it now and room for PostgreSQL."""
