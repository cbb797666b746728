-- Makes the records of K orders of one session what PostgreSQL says, from whatever they were.
--
-- ARGV: epoch, K, number of users, number of ticket types; then the K order numbers, the users and
-- the ticket types (each once, read ahead); then for each order: user (may be empty), hold, number of
-- lines, and for each line ticket type, quantity and state.
-- Answers one letter per order: O (changed), = (was so, or was further); or N, E for all.
--
-- It only moves forward. A line goes none -> H -> S or R and stays there. A line that is not named
-- stays as it is, unless PostgreSQL says that the whole order is released (no line held or sold):
-- then every held line is. A released order stays released. A higher hold starts again, a lower one
-- is late. Stock and users follow the difference, whatever is free: PostgreSQL granted it, so a
-- counter may fall below 0 (and nothing is reserved until it is above again).

local k, user_count, ticket_count = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local why = closed(ARGV[1])
if why then return string.rep(why, k) end

local minute = minute_now()
prefetch(HOLD, records, 5, 4 + k)
prefetch(USER, users, 5 + k, 4 + k + user_count)
prefetch(STOCK, stock, 5 + k + user_count, 4 + k + user_count + ticket_count)

local function said(first, last)
  local lines, n, live = {}, 0, false
  for i = first, last, 3 do
    n = n + 1
    lines[n] = { ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2] }
    if ARGV[i + 2] ~= 'R' then live = true end
  end
  return lines, live
end

-- The record's lines moved forward to what is said.
local function merged(record, lines, live)
  local result, place = {}, {}
  for i = 1, #record do
    local line = record[i]
    local state = line[3]
    if state == 'H' and not live then state = 'R' end
    result[i] = { line[1], line[2], state }
    place[line[1]] = i
  end
  for i = 1, #lines do
    local line = lines[i]
    local at = place[line[1]]
    if not at then
      result[#result + 1] = line
      place[line[1]] = #result
    elseif record[at] and record[at][3] == 'H' or result[at][3] == line[3] then
      result[at] = line
    end
  end
  return result
end

local function settle(order, user, hold, first, last)
  local record = find(order)
  local lines, live = said(first, last)
  if record and user == '' then user = record.user end
  local number = tonumber(hold)
  if record and record.hold > number then return '=' end
  if record and record.hold == number then
    if record.live == 0 then return '=' end
    lines = merged(record, lines, live)
    if user == record.user and lines_text(lines) == lines_text(record) then return '=' end
  end
  if record then move(record, record.user, -1) end
  move(lines, user, 1)
  put(order, hold, user, minute, lines_text(lines))
  return 'O'
end

local answers = {}
local at = 5 + k + user_count + ticket_count
for i = 1, k do
  local first = at + 3
  local last = first + 3 * tonumber(ARGV[at + 2]) - 1
  answers[i] = settle(ARGV[4 + i], ARGV[at], ARGV[at + 1], first, last)
  at = last + 1
end
flush()
return table.concat(answers)
