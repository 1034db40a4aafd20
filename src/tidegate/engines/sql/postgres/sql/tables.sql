-- The tables, indexes and views of a PostgreSQL store. A blank line ends a statement.
-- Instants are microseconds since 1970 (UTC), durations microseconds, ranks whole 1/512ths. All text is ordered
-- by code point, whatever the database's collation.
--
-- The line of one lane and type. `gates` are the names of its lane's gates. `reached` is the highest rank claimed
-- from it, `turn` when it last gave a job; a claim that finds the row locked leaves both to the other claim.
-- Processes remember `id`, so it is drawn: a store that has lost its newest lines, by a failover or a restore, never
-- gives a number that it gave before to another line. `made` counts.
CREATE TABLE lines (
    id integer PRIMARY KEY DEFAULT 1 + (random() * 2147483646)::integer,
    made bigint GENERATED ALWAYS AS IDENTITY,
    queue text COLLATE "C" NOT NULL,
    upstream text COLLATE "C",
    parents text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    gates text[] COLLATE "C" NOT NULL,
    reached bigint NOT NULL DEFAULT 0,
    turn bigint NOT NULL DEFAULT 0,
    UNIQUE NULLS NOT DISTINCT (queue, upstream, parents, type)
) WITH (fillfactor = 25, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0)

-- Numbers the turns of lines.
CREATE SEQUENCE turns

-- What jobs were promised for their failures and their end, each text once; `kept_...` say it again for SQL. The `id`
-- is drawn as that of a line is.
CREATE TABLE terms (
    id integer PRIMARY KEY DEFAULT 1 + (random() * 2147483646)::integer,
    terms text COLLATE "C" NOT NULL,
    kept_succeeded bigint NOT NULL,
    kept_failed bigint NOT NULL,
    kept_cancelled bigint NOT NULL
)

CREATE UNIQUE INDEX terms_once ON terms (md5(terms))

-- What never changes of a job, from its submission to its pruning. It is the history's first entry, too:
-- `submitted`, at `created_at`, in transaction `xact`.
CREATE TABLE specs (
    seq bigint PRIMARY KEY,
    xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at bigint NOT NULL,
    id uuid NOT NULL UNIQUE,
    line_id integer NOT NULL,
    terms_id integer NOT NULL,
    priority smallint NOT NULL CHECK (priority BETWEEN 0 AND 9),
    expires_at bigint,
    user_id text COLLATE "C" NOT NULL,
    tags text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C",
    fingerprint text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    traceparent text COLLATE "C" NOT NULL,
    payload bytea NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)

CREATE SEQUENCE seqs CACHE 1

CREATE INDEX specs_of_user ON specs (user_id, seq)

CREATE INDEX specs_in_feed ON specs (xact, seq)

-- Where a job stands: one narrow row a job, the only one that its steps change, and what they all lock.
-- `stage`: 0 waits to be due, 1 stands in line, 2 stands in line but past its expires_at, 3 waits and is past its
-- expires_at, 4 is not queued. A claim that meets a job past its expires_at moves it from 1 to 2 or from 0 to 3.
-- The lease of a running job is here, too: `token`, `owner`, `lease_until`, who claimed the run where that is
-- another (`claimed_by`), why a reaper holds it (`reason`), and the eras of its gates as JSON.
CREATE TABLE jobs (
    seq bigint PRIMARY KEY,
    run_at bigint NOT NULL,
    due_at bigint NOT NULL,
    rank bigint,
    lease_until bigint,
    started_at bigint,
    timeout_at bigint,
    finished_at bigint,
    prune_at bigint,
    expires_at bigint,
    cancel_requested_at bigint,
    dismissed_at bigint,
    timeout bigint NOT NULL,
    line_id integer NOT NULL,
    runs integer NOT NULL DEFAULT 0,
    steps integer NOT NULL DEFAULT 1,
    upstream_faults integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    interruptions integer NOT NULL DEFAULT 0,
    base integer NOT NULL DEFAULT 0,
    priority smallint NOT NULL,
    stage smallint NOT NULL CHECK (stage BETWEEN 0 AND 4),
    degraded smallint NOT NULL DEFAULT 0,
    status text COLLATE "C" NOT NULL DEFAULT 'queued',
    user_id text COLLATE "C" NOT NULL,
    token text COLLATE "C",
    owner text COLLATE "C",
    claimed_by text COLLATE "C",
    reason text COLLATE "C",
    eras text COLLATE "C",
    settled_by text COLLATE "C",
    cancelled_by text COLLATE "C",
    revived_by text COLLATE "C",
    progress_fraction text COLLATE "C",
    progress_message text COLLATE "C",
    result_path text COLLATE "C",
    error_code text COLLATE "C",
    error_message text COLLATE "C",
    error_more text COLLATE "C",
    served_by text COLLATE "C",
    result bytea,
    CONSTRAINT jobs_status CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT jobs_stage CHECK ((status = 'queued') = (stage < 4)),
    CONSTRAINT jobs_ranked CHECK (stage NOT IN (1, 2) OR rank IS NOT NULL),
    CONSTRAINT jobs_leased CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT jobs_finished CHECK ((status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT jobs_kept CHECK ((finished_at IS NULL) = (prune_at IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)

-- INCLUDE spares `stats` the rows.
CREATE INDEX jobs_in_line ON jobs (line_id, rank, seq) INCLUDE (run_at) WHERE stage = 1

CREATE INDEX jobs_of_flow ON jobs (line_id, user_id, priority, rank) WHERE stage IN (1, 2)

CREATE INDEX jobs_due ON jobs (run_at, seq) INCLUDE (line_id) WHERE stage = 0

CREATE INDEX jobs_expiring ON jobs (stage, expires_at, seq) INCLUDE (line_id, run_at)
    WHERE stage < 4 AND expires_at IS NOT NULL

CREATE INDEX jobs_leased ON jobs (lease_until, seq) WHERE lease_until IS NOT NULL

CREATE INDEX jobs_cancelling ON jobs (seq) WHERE lease_until IS NOT NULL AND cancel_requested_at IS NOT NULL

CREATE INDEX jobs_kept_until ON jobs (prune_at, seq) INCLUDE (line_id, status, dismissed_at)
    WHERE prune_at IS NOT NULL

CREATE INDEX jobs_of_status ON jobs (status, seq) WHERE status IN ('queued', 'failed', 'cancelled')

-- The steps of a job after its submission, from `n` 2 on. Read them through the view `steps`.
CREATE TABLE history (
    seq bigint NOT NULL,
    xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at bigint NOT NULL,
    n integer NOT NULL,
    run integer NOT NULL,
    event text COLLATE "C" NOT NULL,
    note text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (seq, n)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)

CREATE INDEX history_in_feed ON history (xact, seq, n)

-- Which gates with a limit a lease counts against, and in which era.
CREATE TABLE lease_gates (
    seq bigint NOT NULL,
    gate text COLLATE "C" NOT NULL,
    era bigint NOT NULL,
    PRIMARY KEY (seq, gate)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)

CREATE INDEX lease_gates_in_era ON lease_gates (gate, era)

-- What each key stands for. `forget_at` stays empty while the job is there: `prune` sets it as the job goes, to 24 h
-- after the job ended, or forgets the key at once where that is over. So no other step touches a key.
CREATE TABLE idempotency (
    user_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    job_id uuid NOT NULL,
    forget_at bigint,
    PRIMARY KEY (user_id, key)
)

CREATE INDEX idempotency_forgotten ON idempotency (forget_at) WHERE forget_at IS NOT NULL

-- Claims and reclaims that took jobs: from then on the same nonce is a repeat.
CREATE TABLE nonces (
    nonce text COLLATE "C" PRIMARY KEY,
    until bigint NOT NULL
)

CREATE INDEX nonces_by_end ON nonces (until)

CREATE TABLE documents (
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    value bytea,
    nonce text COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, key)
)

-- One row: the version of the newest won swap. A swap updates it, so versions are committed in their order.
CREATE TABLE versions (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    last bigint NOT NULL
) WITH (fillfactor = 10)

INSERT INTO versions (last) VALUES (0)

CREATE TABLE gates (
    name text COLLATE "C" PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    not_before bigint,
    most bigint,
    pace_period bigint,
    pace_burst bigint,
    era bigint NOT NULL,
    paced_until bigint
) WITH (fillfactor = 25, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0)

CREATE INDEX gates_of_document ON gates (kind, key)

CREATE TABLE grants (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    nonce text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    n bigint NOT NULL,
    at bigint NOT NULL,
    until bigint NOT NULL
)

CREATE INDEX grants_of_key ON grants (key, at, n)

CREATE INDEX grants_of_nonce ON grants (nonce)

CREATE INDEX grants_by_end ON grants (until)

CREATE TABLE workers (
    owner text COLLATE "C" PRIMARY KEY,
    info text COLLATE "C" NOT NULL,
    until bigint NOT NULL
)

-- A job as `codec.JobRow` reads it, the same names in the same order; then what else is known of it.
CREATE VIEW shown AS
SELECT specs.seq, specs.id, jobs.line_id, specs.line_id AS first_line_id, specs.user_id, specs.priority, specs.tags,
    jobs.status, jobs.run_at, jobs.due_at, specs.created_at, jobs.expires_at, specs.expires_at AS first_expires_at,
    jobs.started_at, jobs.finished_at, jobs.timeout_at, jobs.cancel_requested_at, jobs.dismissed_at, jobs.prune_at,
    jobs.runs, jobs.upstream_faults, jobs.crashes, jobs.interruptions, jobs.base, jobs.timeout, terms.terms,
    specs.idempotency_key, specs.fingerprint, specs.request_id, specs.traceparent, jobs.progress_fraction,
    jobs.progress_message, jobs.result_path, jobs.error_code, jobs.error_message, jobs.error_more, jobs.degraded,
    jobs.served_by, jobs.stage, specs.payload, jobs.result, jobs.token, jobs.owner, jobs.lease_until, jobs.claimed_by,
    jobs.reason, jobs.eras
FROM jobs JOIN specs ON specs.seq = jobs.seq JOIN terms ON terms.id = specs.terms_id

-- Every step of every job, the submission first.
CREATE VIEW steps AS
SELECT seq, 1 AS n, created_at AS at, 'submitted' AS event, 0 AS run, '' AS note, xact FROM specs
UNION ALL SELECT seq, n, at, event, run, note, xact FROM history
