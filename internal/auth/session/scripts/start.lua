-- KEYS: session
-- ARGV: now, the name of the epoch, the epoch that the caller knows, the id of a
--   fresh one, the epoch that the session was sealed in, when the sign-in began,
--   session that it replaces or '', idle, deadline, data, owner, limit, sessions per
--   subject, call, remember, counts, and lists of so many names: used, subject
--   indexes, sid indexes, logouts
-- Of each list but the last the first name is the one to write.
-- Returns the epoch and what came of it: 0 and how many sessions it replaced, and
-- the keys of those that had to end; or why there is no session: -1 (the sign-in was
-- used before), -2 (a logout came after it began), -3 (sealed in another epoch).

local now, began = tonumber(ARGV[1]), tonumber(ARGV[6])
local current = epoch(ARGV[2], ARGV[3], ARGV[4], now)
local names = cut(17, ARGV[16])
if string.match(current, '^%d+%-%w+') ~= ARGV[5] then return { current, -3 } end
if began < tonumber(string.match(current, '%d+$')) then return { current, -2 } end
for _, logout in ipairs(names[4]) do
  if began < time(redis.call('GET', logout)) then return { current, -2 } end
end
if not use(names[1], ARGV[14], ARGV[15]) then return { current, -1 } end

finish(KEYS[1]) -- this very call may have been here, and its answer got lost
local gone, replaced = {}, 0
if ARGV[7] ~= '' then
  if load(ARGV[7], now) then
    replaced = 1
    gone[1] = ARGV[7]
  end
  finish(ARGV[7])
end
local others = live(names[2], now)
for i = 1, #others - tonumber(ARGV[13]) + 1 do
  finish(others[i].key)
  gone[#gone + 1] = others[i].key
end
local subject, sid = names[2][1], names[3][1] or ''
redis.call('HSET', KEYS[1], 'data', ARGV[10], 'owner', ARGV[11], 'idle', ARGV[8], 'deadline', ARGV[9], 'subject', subject, 'sid', sid, 'limit', ARGV[12])
redis.call('PEXPIRE', KEYS[1], millis(math.min(tonumber(ARGV[8]), tonumber(ARGV[9])) - now))
for _, index in ipairs({ subject, sid }) do
  if index ~= '' then
    redis.call('ZADD', index, ARGV[9], KEYS[1])
    -- The last to end need not be this one: lifetimes can be configured anew.
    local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')[2]
    redis.call('PEXPIRE', index, millis(tonumber(last) - now))
  end
end
if #gone > 0 then current = ended(ARGV[2]) end
return { current, 0, replaced, unpack(gone) }
