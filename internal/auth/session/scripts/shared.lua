-- What the scripts of session/redis.go share. A session is a hash under
-- dropgate:session:<name> with
--   data      the sealed session, for Go alone
--   owner     whose it is, sealed as well, for a logout without the session's id
--   idle      when it ends if it is not used again    } milliseconds of
--   deadline  when it ends at the latest              } the callers' clocks
--   subject, sid   the names of the indexes that hold it; sid may be ''
--   limit     where the rate limit of its user is kept
-- An index is a sorted set of session keys by deadline, so the oldest is first.
-- The times decide whether a session is still good; Redis's own expiry only
-- tidies up behind them. Go checks all of this against the sealed data: whoever
-- writes to Redis can end sessions, and no more.

local function millis(t) return string.format('%d', t) end

-- time reads a time that Go wrote. Anything else is long ago.
local function time(text)
  if text and #text <= 15 and string.find(text, '^%d+$') then return tonumber(text) end
  return 0
end

-- read runs a command that reads, and returns false where another type is kept.
local function read(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, 'WRONGTYPE', 1, true) then return false end
    error(answer.err)
  end
  return answer
end

-- load returns a session when it is still good, and when it ends. One that a
-- logout by its subject or its sid would not find is gone: a server that is full
-- may have evicted the index.
local function load(key, now)
  local s = read('HMGET', key, 'idle', 'deadline', 'subject', 'sid', 'limit', 'data', 'owner')
  if not s or not s[6] or not s[3] or not s[4] then return nil end
  local ends = math.min(time(s[1]), time(s[2]))
  if ends <= now or not read('ZSCORE', s[3], key) then return nil end
  if s[4] ~= '' and not read('ZSCORE', s[4], key) then return nil end
  return s, ends
end

-- finish removes whatever is kept under the key of a session.
local function finish(key)
  local s = read('HMGET', key, 'subject', 'sid')
  redis.call('DEL', key)
  for i = 1, 2 do
    if s and s[i] and s[i] ~= '' then read('ZREM', s[i], key) end
  end
end

-- live returns the sessions of indexes that are still good, the oldest first, and
-- forgets the others.
local function live(indexes, now)
  local found = {}
  for _, index in ipairs(indexes) do
    local members = redis.call('ZRANGE', index, 0, -1, 'WITHSCORES')
    for i = 1, #members, 2 do
      local s = load(members[i], now)
      if s then
        found[#found + 1] = { key = members[i], age = tonumber(members[i + 1]), fields = s }
      else
        finish(members[i])
        redis.call('ZREM', index, members[i])
      end
    end
  end
  table.sort(found, function(a, b)
    if a.age ~= b.age then return a.age < b.age end
    return a.key < b.key
  end)
  return found
end

-- use reports whether only this very call has used any of the names before: a call
-- that is sent again, because its answer was lost, finds its own mark.
local function use(names, call, remember)
  for _, name in ipairs(names) do
    local by = redis.call('GET', name)
    if by then return by == call end
  end
  if names[1] then redis.call('SET', names[1], call, 'PX', remember) end
  return true
end

-- cut splits what begins at ARGV[from] into lists of the lengths in counts, which
-- is such as '2,2,0'.
local function cut(from, counts)
  local lists = {}
  for n in string.gmatch(counts, '%d+') do
    local list = {}
    for i = from, from + tonumber(n) - 1 do list[#list + 1] = ARGV[i] end
    from = from + tonumber(n)
    lists[#lists + 1] = list
  end
  return lists
end
