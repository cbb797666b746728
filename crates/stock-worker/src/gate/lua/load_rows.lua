-- Writes rows of a session that is being loaded.
-- ARGV: the load's mark, the number of the key, then fields and values in turn.
-- Returns 0 when another load has begun since.
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[tonumber(ARGV[2])], unpack(ARGV, 3))
return 1
