-- Empties a session and marks it as being loaded: until `load_end` it answers NOT_LOADED.
-- ARGV: epoch. Returns the mark, which belongs to this load alone.
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
local now = redis.call('TIME')
local mark = 'L' .. ARGV[1] .. ':' .. now[1] .. '.' .. now[2]
redis.call('SET', KEYS[4], mark)
return mark
