-- What reserve and settle start with: one session's keys, read once into local tables and written
-- once at the end. Until `flush` nothing is written, so a script that fails has changed nothing.
--
-- A record is `hold|user|minute|lines`: the number of the hold, the user (may be empty), the minute
-- since 1970 of the last change, and the lines as `ticket x quantity state`, separated by commas:
-- `1|42|29500000|101x2H,102x1S`. A state is H (held), S (sold) or R (released). A record without a
-- line that is held or sold is RELEASED; one without any line is a tombstone.

local STOCK, HOLD, USER, EPOCH = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local HMGET_MAX_FIELDS = 1000

local stock, changed_stock = {}, {}
local users, changed_users = {}, {}
local records, changed_records = {}, {}

-- Why no call can be answered: N (not loaded, or being loaded), E (another epoch), or nil.
local function closed(epoch)
  local loaded = redis.call('GET', EPOCH)
  if not loaded or string.byte(loaded) == 76 then return 'N' end
  if loaded ~= epoch then return 'E' end
  return nil
end

local function minute_now()
  return string.format('%d', math.floor(tonumber(redis.call('TIME')[1]) / 60))
end

-- Reads fields of a hash into a table; `false` marks an absent one.
local function prefetch(key, into, first, last)
  while first <= last do
    local stop = math.min(last, first + HMGET_MAX_FIELDS - 1)
    local values = redis.call('HMGET', key, unpack(ARGV, first, stop))
    for i = 1, #values do into[ARGV[first + i - 1]] = values[i] end
    first = stop + 1
  end
end

local function cached(key, from, field)
  local value = from[field]
  if value == nil then
    value = redis.call('HGET', key, field)
    from[field] = value
  end
  return value
end

-- How many tickets of a type are free; `false` when the session has no such type.
local function available(ticket)
  local value = cached(STOCK, stock, ticket)
  return value and tonumber(value)
end

local function held_by(user)
  return tonumber(cached(USER, users, user) or 0)
end

-- Takes tickets, or gives them back when negative. A type that was not loaded has no counter.
local function take(ticket, quantity)
  local free = available(ticket)
  if not free then return end
  stock[ticket] = free - quantity
  changed_stock[ticket] = true
end

local function count(user, quantity)
  if user == '' or quantity == 0 then return end
  users[user] = held_by(user) + quantity
  changed_users[user] = true
end

-- The record of an order, in three texts (hold, user, lines), or nil.
local function find(order)
  local text = cached(HOLD, records, order)
  if not text then return nil end
  local hold, user, lines = string.match(text, '^(%d+)|(%-?%d*)|%d+|([%-%dxHSR,]*)$')
  if not hold then error('unreadable record of order ' .. order .. ': ' .. text) end
  return hold, user, lines
end

-- Lines as a table: each is { ticket type, quantity, state }; `live` counts those not released.
local function read_lines(text)
  local lines, n, live = {}, 0, 0
  for ticket, quantity, state in string.gmatch(text, '(%-?%d+)x(%d+)([HSR])') do
    n = n + 1
    lines[n] = { ticket, tonumber(quantity), state }
    if state ~= 'R' then live = live + 1 end
  end
  lines.live = live
  return lines
end

local function put(order, hold, user, minute, lines)
  records[order] = hold .. '|' .. user .. '|' .. minute .. '|' .. lines
  changed_records[order] = true
end

local function lines_text(lines)
  local texts = {}
  for i = 1, #lines do
    local line = lines[i]
    texts[i] = line[1] .. 'x' .. line[2] .. line[3]
  end
  return table.concat(texts, ',')
end

-- Takes (+1) or gives back (-1) what a record's live lines stand for.
local function move(lines, user, sign)
  local sum = 0
  for i = 1, #lines do
    local line = lines[i]
    if line[3] ~= 'R' then
      take(line[1], sign * line[2])
      sum = sum + line[2]
    end
  end
  count(user, sign * sum)
end

local function integer(number)
  return string.format('%.0f', number)
end

-- Writes what changed. The records come first: they are what Redis may refuse when it is out of
-- memory, and a script is refused only before its first write.
local function flush()
  local fields, n = {}, 0
  for order in pairs(changed_records) do
    fields[n + 1], fields[n + 2] = order, records[order]
    n = n + 2
  end
  if n == 0 then return end
  redis.call('HSET', HOLD, unpack(fields))

  fields, n = {}, 0
  for ticket in pairs(changed_stock) do
    fields[n + 1], fields[n + 2] = ticket, integer(stock[ticket])
    n = n + 2
  end
  if n > 0 then redis.call('HSET', STOCK, unpack(fields)) end

  local gone, g = {}, 0
  fields, n = {}, 0
  for user in pairs(changed_users) do
    if users[user] == 0 then
      g = g + 1
      gone[g] = user
    else
      fields[n + 1], fields[n + 2] = user, integer(users[user])
      n = n + 2
    end
  end
  if n > 0 then redis.call('HSET', USER, unpack(fields)) end
  if g > 0 then redis.call('HDEL', USER, unpack(gone)) end
end
