-- flags: no-writes
-- The names of lines. ARGV: numbers. Answers the store's life; then for each its name, nil for none.
local names = call('HMGET', P .. 'lines', unpack(ARGV, 2))
return {told_life(), unpack(names, 1, #ARGV - 1)}
