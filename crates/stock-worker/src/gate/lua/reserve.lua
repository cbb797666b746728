-- Holds tickets for K orders of one session, as K calls in turn would.
--
-- ARGV: epoch, K, number of users, number of ticket types; then the K order numbers, the users and
-- the ticket types (each once, read ahead); then for each order: user (may be empty), limit (may be
-- empty), mode (W: the whole order, A: lines to add), hold, its lines as a record has them, their
-- number, and for each line ticket type and quantity.
-- Answers one letter per order: O (held now), H, S, R (as found: held, sold, released), M (found with
-- other lines), X (sold out), L (user limit); or N, E for all (see `closed`).

local k, user_count, ticket_count = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local why = closed(ARGV[1])
if why then return string.rep(why, k) end

local minute = minute_now()
prefetch(HOLD, records, 5, 4 + k)
prefetch(USER, users, 5 + k, 4 + k + user_count)
prefetch(STOCK, stock, 5 + k + user_count, 4 + k + user_count + ticket_count)

local function state_of(lines)
  local state = 'R'
  for i = 1, #lines do
    if lines[i][3] == 'H' then return 'H' end
    if lines[i][3] == 'S' then state = 'S' end
  end
  return state
end

local function line_of(lines, ticket)
  for i = 1, #lines do
    if lines[i][1] == ticket then return lines[i] end
  end
  return nil
end

-- What the whole order finds: its own live lines and no others, or a mismatch.
local function found_whole(lines, first, last)
  local n = 0
  for i = first, last, 2 do
    local line = line_of(lines, ARGV[i])
    if not line or line[3] == 'R' or line[2] ~= tonumber(ARGV[i + 1]) then return 'M' end
    n = n + 1
  end
  if n ~= lines.live then return 'M' end
  return state_of(lines)
end

-- What lines to add find, or nil when none of them is there yet.
local function found_added(lines, first, last)
  local present, absent, other, held = false, false, false, false
  for i = first, last, 2 do
    local line = line_of(lines, ARGV[i])
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

-- What an existing record answers, or nil when there is something to hold. `ahead` is how much its
-- hold is later than the one asked for.
local function found(lines, ahead, mode, first, last)
  if ahead > 0 then return state_of(lines) end
  if ahead < 0 then
    for i = 1, #lines do
      if lines[i][3] == 'S' then return 'S' end
    end
    return nil
  end
  if lines.live == 0 then return 'R' end
  if mode == 'W' then return found_whole(lines, first, last) end
  return found_added(lines, first, last)
end

-- Whether it can be held: nil, or why not. `back` are lines that an earlier hold of `back_user`
-- would give back.
local function refusal(user, limit, back, back_user, first, last)
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
    if back and back_user == user then
      for i = 1, #back do
        if back[i][3] ~= 'R' then held = held - back[i][2] end
      end
    end
    if held + wanted > tonumber(limit) then return 'L' end
  end
  return short and 'X' or nil
end

local function reserve(order, user, limit, mode, hold, text, first, last)
  local was_hold, was_user, was_text = find(order)
  local back = nil
  if was_hold then
    if was_hold == hold and was_text == text then return 'H' end
    local lines = read_lines(was_text)
    local ahead = tonumber(was_hold) - tonumber(hold)
    local answer = found(lines, ahead, mode, first, last)
    if answer then return answer end
    if ahead < 0 then
      back = lines
    else
      user, text = was_user, was_text .. ',' .. text
    end
  end
  local no = refusal(user, limit, back, was_user, first, last)
  if no then return no end

  if back then move(back, was_user, -1) end
  local sum = 0
  for i = first, last, 2 do
    local quantity = tonumber(ARGV[i + 1])
    take(ARGV[i], quantity)
    sum = sum + quantity
  end
  count(user, sum)
  put(order, hold, user, minute, text)
  return 'O'
end

local answers = {}
local at = 5 + k + user_count + ticket_count
for i = 1, k do
  local first = at + 6
  local last = first + 2 * tonumber(ARGV[at + 5]) - 1
  answers[i] = reserve(ARGV[4 + i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4],
    first, last)
  at = last + 1
end
flush()
return table.concat(answers)
