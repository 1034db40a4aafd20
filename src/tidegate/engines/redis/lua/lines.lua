-- flags: no-writes
-- The names of lines. ARGV: numbers. Answers for each the JSON of queue, upstream, parents and type.
return call('HMGET', P .. 'lines', unpack(ARGV, 2))
