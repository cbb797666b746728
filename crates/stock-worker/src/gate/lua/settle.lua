-- Makes the records of K orders of one session what PostgreSQL says, from whatever they were.
--
-- ARGV: epoch, K, number of users, number of ticket types; then the K order numbers, the users and
-- the ticket types (each once, read ahead); then for each order: user (may be empty), hold, and its
-- lines as a record has them, sorted by ticket type.
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

-- The record's lines moved forward to what is said.
local function merged(was, lines)
  local result, place = {}, {}
  for i = 1, #was do
    local line = was[i]
    local state = line[3]
    if state == 'H' and lines.live == 0 then state = 'R' end
    result[i] = { line[1], line[2], state }
    place[line[1]] = i
  end
  for i = 1, #lines do
    local line = lines[i]
    local at = place[line[1]]
    if not at then
      result[#result + 1] = line
      place[line[1]] = #result
    elseif was[at] and was[at][3] == 'H' or result[at][3] == line[3] then
      result[at] = line
    end
  end
  return result
end

local function settle(order, user, hold, text)
  local was_hold, was_user, was_text = find(order)
  local lines, was = nil, nil
  if was_hold then
    if user == '' then user = was_user end
    local ahead = was_hold == hold and 0 or tonumber(was_hold) - tonumber(hold)
    if ahead > 0 then return '=' end
    if ahead == 0 then
      if user == was_user then
        if text == was_text then return '=' end
        -- Held becomes sold: no counter changes.
        if text == string.gsub(was_text, 'H', 'S') then
          put(order, hold, user, minute, text)
          return 'O'
        end
      end
      was = read_lines(was_text)
      if was.live == 0 then return '=' end
      lines = merged(was, read_lines(text))
      text = lines_text(lines)
      if user == was_user and text == was_text then return '=' end
    end
    move(was or read_lines(was_text), was_user, -1)
  end
  move(lines or read_lines(text), user, 1)
  put(order, hold, user, minute, text)
  return 'O'
end

local answers = {}
local at = 5 + k + user_count + ticket_count
for i = 1, k do
  answers[i] = settle(ARGV[4 + i], ARGV[at], ARGV[at + 1], ARGV[at + 2])
  at = at + 3
end
flush()
return table.concat(answers)
