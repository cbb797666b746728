-- Holds tickets for K orders of one session, as K calls in turn would.
--
-- ARGV: epoch, K, number of users, number of ticket types; then the K order numbers, the users and
-- the ticket types (each once, read ahead); then for each order: user (may be empty), limit (may be
-- empty), mode (W: the whole order, A: lines to add), hold, number of lines, and for each line
-- ticket type and quantity.
-- Answers one letter per order: O (held now), H, S, R (as found: held, sold, released), M (found with
-- other lines), X (sold out), L (user limit); or N, E for all (see `closed`).

local k, user_count, ticket_count = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local why = closed(ARGV[1])
if why then return string.rep(why, k) end

local minute = minute_now()
prefetch(HOLD, records, 5, 4 + k)
prefetch(USER, users, 5 + k, 4 + k + user_count)
prefetch(STOCK, stock, 5 + k + user_count, 4 + k + user_count + ticket_count)

local function state_of(record)
  local state = 'R'
  for i = 1, #record do
    if record[i][3] == 'H' then return 'H' end
    if record[i][3] == 'S' then state = 'S' end
  end
  return state
end

local function line_of(record, ticket)
  for i = 1, #record do
    if record[i][1] == ticket then return record[i] end
  end
  return nil
end

-- What the whole order finds: its own live lines and no others, or a mismatch.
local function found_whole(record, first, last)
  local n = 0
  for i = first, last, 2 do
    local line = line_of(record, ARGV[i])
    if not line or line[3] == 'R' or line[2] ~= tonumber(ARGV[i + 1]) then return 'M' end
    n = n + 1
  end
  if n ~= record.live then return 'M' end
  return state_of(record)
end

-- What lines to add find, or nil when none of them is there yet.
local function found_added(record, first, last)
  local present, absent, other, held = false, false, false, false
  for i = first, last, 2 do
    local line = line_of(record, ARGV[i])
    if not line then
      absent = true
    else
      if line[3] == 'R' then return 'R' end
      present = true
      if line[2] ~= tonumber(ARGV[i + 1]) then other = true end
      if line[3] == 'H' then held = true end
    end
  end
  if not present then return nil end
  if absent or other then return 'M' end
  return held and 'H' or 'S'
end

-- What an existing record answers, or nil when there is something to hold.
local function found(record, hold, mode, first, last)
  if record.hold > hold then return state_of(record) end
  if record.hold < hold then
    for i = 1, #record do
      if record[i][3] == 'S' then return 'S' end
    end
    return nil
  end
  if record.live == 0 then return 'R' end
  if mode == 'W' then return found_whole(record, first, last) end
  return found_added(record, first, last)
end

-- Whether it can be held: nil, or why not. `back` is what an earlier hold would give back.
local function refusal(user, limit, back, first, last)
  local wanted, short = 0, false
  for i = first, last, 2 do
    local quantity = tonumber(ARGV[i + 1])
    wanted = wanted + quantity
    local free = available(ARGV[i])
    if not free then
      short = true
    else
      local line = back and line_of(back, ARGV[i])
      if line and line[3] ~= 'R' then free = free + line[2] end
      if free < quantity then short = true end
    end
  end
  if user ~= '' and limit ~= '' then
    local held = held_by(user)
    if back and back.user == user then
      for i = 1, #back do
        if back[i][3] ~= 'R' then held = held - back[i][2] end
      end
    end
    if held + wanted > tonumber(limit) then return 'L' end
  end
  return short and 'X' or nil
end

local function reserve(order, user, limit, mode, hold, first, last)
  local record = find(order)
  local kept, back = nil, nil
  if record then
    local answer = found(record, tonumber(hold), mode, first, last)
    if answer then return answer end
    if record.hold < tonumber(hold) then
      back = record
    else
      kept, user = record, record.user
    end
  end
  local no = refusal(user, limit, back, first, last)
  if no then return no end

  if back then move(back, back.user, -1) end
  local lines = kept and lines_text(kept) or ''
  local sum = 0
  for i = first, last, 2 do
    local quantity = tonumber(ARGV[i + 1])
    take(ARGV[i], quantity)
    sum = sum + quantity
    if lines ~= '' then lines = lines .. ',' end
    lines = lines .. ARGV[i] .. 'x' .. ARGV[i + 1] .. 'H'
  end
  count(user, sum)
  put(order, hold, user, minute, lines)
  return 'O'
end

local answers = {}
local at = 5 + k + user_count + ticket_count
for i = 1, k do
  local first = at + 5
  local last = first + 2 * tonumber(ARGV[at + 4]) - 1
  answers[i] = reserve(ARGV[4 + i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], first, last)
  at = last + 1
end
flush()
return table.concat(answers)
