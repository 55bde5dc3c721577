-- Functions of all scripts. A session is a hash dropgate:session:<name> with
--   data      the session, encrypted
--   owner     its user, encrypted, for a logout without the session's id
--   idle      when it ends unless extended    } milliseconds of
--   deadline  when it ends at the latest      } the callers' clocks
--   subject, sid, user   the keys of the indexes with this session; sid may be '', and
--     user is missing in sessions of earlier versions
--   limit     the key of its user's rate limit
-- An index is a sorted set of session keys by deadline, oldest first. These times
-- decide whether a session is live; Redis's own expiry only frees memory. Go checks
-- the plain fields against the encrypted data.

local function millis(t) return string.format('%d', t) end

-- time parses a time. A malformed one is 0.
local function time(text)
  if text and #text <= 15 and string.find(text, '^%d+$') then return tonumber(text) end
  return 0
end

-- read runs a read command. It returns false for a key of another type.
local function read(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, 'WRONGTYPE', 1, true) then return false end
    error(answer.err)
  end
  return answer
end

-- load returns a live session and when it ends. A session missing from its indexes
-- is not live, because a logout would not find it: a full Redis may have evicted
-- the index.
local function load(key, now)
  local s = read('HMGET', key, 'idle', 'deadline', 'subject', 'sid', 'limit', 'data', 'owner', 'user')
  if not s or not s[6] or not s[3] or not s[4] then return nil end
  local ends = math.min(time(s[1]), time(s[2]))
  if ends <= now or not read('ZSCORE', s[3], key) then return nil end
  if s[4] ~= '' and not read('ZSCORE', s[4], key) then return nil end
  if s[8] and s[8] ~= '' and not read('ZSCORE', s[8], key) then return nil end
  return s, ends
end

-- finish removes a session and its index entries.
local function finish(key)
  local s = read('HMGET', key, 'subject', 'sid', 'user')
  redis.call('DEL', key)
  for i = 1, 3 do
    if s and s[i] and s[i] ~= '' then read('ZREM', s[i], key) end
  end
end

-- live returns the live sessions of indexes, each once, oldest first, and removes the
-- others.
local function live(indexes, now)
  local found, seen = {}, {}
  for _, index in ipairs(indexes) do
    local members = redis.call('ZRANGE', index, 0, -1, 'WITHSCORES')
    for i = 1, #members, 2 do
      local s = load(members[i], now)
      if not s then
        finish(members[i])
        redis.call('ZREM', index, members[i])
      elseif not seen[members[i]] then
        seen[members[i]] = true
        found[#found + 1] = { key = members[i], age = tonumber(members[i + 1]), fields = s }
      end
    end
  end
  table.sort(found, function(a, b)
    if a.age ~= b.age then return a.age < b.age end
    return a.key < b.key
  end)
  return found
end

-- use marks a single-use id and reports whether this call is the first. A retry after
-- a lost answer has the same call id, and finds its own mark.
local function use(names, call, ttl)
  for _, name in ipairs(names) do
    local by = redis.call('GET', name)
    if by then return by == call end
  end
  if names[1] then redis.call('SET', names[1], call, 'PX', ttl) end
  return true
end

-- cut splits the arguments from ARGV[from] into lists. Counts has their lengths, for
-- example '2,2,0'.
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
