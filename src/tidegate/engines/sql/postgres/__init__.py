"""PostgreSQL: the store that several processes and machines share.

Tables (`sql/tables.sql`): `specs` holds what never changes of a job, `jobs` where it stands, with its lease;
`history` its steps after the submission. Each is written once a step, and `jobs` alone is updated: its row is what
every step of a job locks, so steps of one job never race. Readers use the views `shown` (a job as `codec.JobRow`)
and `steps` (its whole history). `lines` and `terms` are few rows, made at need outside of other transactions and
remembered by every process. Whoever takes locks takes them in this order: gates by name, then jobs by seq.

The hot verbs are PL/pgSQL functions, one a file in `sql/`; the migration installs them. They run with the schema
they were installed in as their search path, so that no session state is needed.

Python names everything in full, as `tidegate.jobs`; where the URL names another schema, `Address.sql` puts that in
its place. A `Store` runs statements on the connections of the running event loop (`pool`), begins again what the
server gave up for another, and tells faults as this package's errors (`faults`). `hearing` rings for other processes.
"""
