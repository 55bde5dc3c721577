-- What the scripts of session/redis.go share. A session is a hash under
-- dropgate:session:<key> with
--   data      the session, for Go alone
--   idle      when it ends if it is not used again    } milliseconds of
--   deadline  when it ends at the latest              } the callers' clocks
--   subject, sid   the names of the indexes that hold it; sid may be ''
--   limit     where the rate limit of its user is kept
-- An index is a sorted set of session keys by deadline, so the oldest is first.
-- The times decide whether a session is still good; Redis's own expiry only
-- tidies up behind them.

local function millis(t) return string.format('%d', t) end

-- expires is when the session of a key ends, or 0 when there is none, and its
-- deadline. One that a logout by its subject or its sid would not find is none: a
-- server that is full may have evicted the index.
local function expires(key)
  local s = redis.call('HMGET', key, 'idle', 'deadline', 'subject', 'sid')
  if not s[1] or not redis.call('ZSCORE', s[3], key) then return 0 end
  if s[4] ~= '' and not redis.call('ZSCORE', s[4], key) then return 0 end
  local deadline = tonumber(s[2])
  return math.min(tonumber(s[1]), deadline), deadline
end

-- finish ends the session of a key and returns its data.
local function finish(key)
  local s = redis.call('HMGET', key, 'data', 'subject', 'sid')
  redis.call('DEL', key)
  if s[2] then redis.call('ZREM', s[2], key) end
  if s[3] and s[3] ~= '' then redis.call('ZREM', s[3], key) end
  return s[1]
end

-- live returns the keys of an index whose sessions are still good, the oldest
-- first, and forgets the others.
local function live(index, now)
  local keys = {}
  for _, key in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    if expires(key) > now then
      keys[#keys + 1] = key
    else
      finish(key)
      redis.call('ZREM', index, key)
    end
  end
  return keys
end

-- use reports whether nobody but this very call has used a name before: a call
-- that is sent again, because its answer was lost, finds its own mark.
local function use(name, call, remember)
  local by = redis.call('GET', name)
  if by then return by == call end
  redis.call('SET', name, call, 'PX', remember)
  return true
end
