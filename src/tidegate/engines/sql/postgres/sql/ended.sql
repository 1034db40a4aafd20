-- What every end of a job leaves beside it: an entry in the history.
--
-- The jobs `_seqs` have just been ended: their `steps` and `finished_at` are those of the end.
CREATE OR REPLACE FUNCTION ended(_seqs bigint[], _event text, _note text)
RETURNS void
LANGUAGE plpgsql
SET search_path FROM CURRENT
SET enable_seqscan = off
SET jit = off
AS $$
BEGIN
    INSERT INTO history (seq, n, at, event, run, note)
    SELECT jobs.seq, jobs.steps, jobs.finished_at, _event, jobs.runs, _note FROM jobs WHERE jobs.seq = ANY (_seqs);
END
$$
