-- KEYS: session
-- ARGV: now, the epoch's key, the caller's epoch, an id for a new epoch, the epoch in
--   the encrypted data, the start of the sign-in, the session to replace or '', idle,
--   deadline, data, owner, limit, sessions per subject, call, ttl, counts, and lists
--   of these lengths: names of the single-use id, subject indexes, sid indexes,
--   logouts, user indexes
-- Each list has one name per service key. The first is the one to write, except for
-- logouts.
-- Returns the epoch and an outcome: 0 followed by the number of replaced sessions and
-- the keys of all ended ones, or -1 (the sign-in was used before), -2 (a logout came
-- after its start), -3 (the data is for another epoch).

local now, began = tonumber(ARGV[1]), tonumber(ARGV[6])
local current = epoch(ARGV[2], ARGV[3], ARGV[4], now)
local names = cut(17, ARGV[16])
if string.match(current, '^%d+%-%w+') ~= ARGV[5] then return { current, -3 } end
if began < tonumber(string.match(current, '%d+$')) then return { current, -2 } end
for _, logout in ipairs(names[4]) do
  if began < time(redis.call('GET', logout)) then return { current, -2 } end
end
if not use(names[1], ARGV[14], ARGV[15]) then return { current, -1 } end

finish(KEYS[1]) -- a retry after a lost answer finds its own session
local removed, replaced = {}, 0
if ARGV[7] ~= '' then
  if load(ARGV[7], now) then
    replaced = 1
    removed[1] = ARGV[7]
  end
  finish(ARGV[7])
end
local others = live(names[2], now)
for i = 1, #others - tonumber(ARGV[13]) + 1 do
  finish(others[i].key)
  removed[#removed + 1] = others[i].key
end
local subject, sid, user = names[2][1], names[3][1] or '', names[5][1]
redis.call('HSET', KEYS[1], 'data', ARGV[10], 'owner', ARGV[11], 'idle', ARGV[8], 'deadline', ARGV[9], 'subject', subject, 'sid', sid, 'limit', ARGV[12], 'user', user)
redis.call('PEXPIRE', KEYS[1], millis(math.min(tonumber(ARGV[8]), tonumber(ARGV[9])) - now))
for _, index in ipairs({ subject, sid, user }) do
  if index ~= '' then
    redis.call('ZADD', index, ARGV[9], KEYS[1])
    -- Another session may end later than this one, after a change of SESSION_LIFETIME.
    local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')[2]
    redis.call('PEXPIRE', index, millis(tonumber(last) - now))
  end
end
if #removed > 0 then current = ended(ARGV[2]) end
return { current, 0, replaced, unpack(removed) }
