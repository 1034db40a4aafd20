"""Jobs in a relational database: what SQLite and PostgreSQL share, and each of them."""
