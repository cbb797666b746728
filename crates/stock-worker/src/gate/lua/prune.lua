-- Drops records that hold nothing any more and have not changed for a while.
-- ARGV: the least age in minutes, then order numbers. Returns how many records were dropped.
local before = math.floor(tonumber(redis.call('TIME')[1]) / 60) - tonumber(ARGV[1])
local values = redis.call('HMGET', KEYS[2], unpack(ARGV, 2))
local old, n = {}, 0
for i = 1, #values do
  local minute, lines = string.match(values[i] or '', '^%d+|%-?%d*|(%d+)|(.*)$')
  if minute and tonumber(minute) <= before and not string.find(lines, 'H', 1, true) then
    n = n + 1
    old[n] = ARGV[i + 1]
  end
end
if n == 0 then return 0 end
return redis.call('HDEL', KEYS[2], unpack(old))
