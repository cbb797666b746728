-- Opens a session that has been loaded.
-- ARGV: the load's mark, epoch. Returns 0 when another load has begun since.
if redis.call('GET', KEYS[4]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[4], ARGV[2])
return 1
