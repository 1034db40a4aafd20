-- holders: every owner that holds a lease.
-- flags: no-writes
-- ARGV: none. Returns the owners.
return call('SMEMBERS', P .. 'owners')
