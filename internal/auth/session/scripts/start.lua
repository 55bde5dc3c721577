-- KEYS: session, subject index, sid index or '', used, session that it replaces
-- ARGV: now, idle, deadline, data, sessions per subject, call, remember, limit
-- Returns how many sessions it replaced and how many it displaced, or nothing
-- when the sign-in was used before.

local now = tonumber(ARGV[1])
if not use(KEYS[4], ARGV[6], ARGV[7]) then return {} end
finish(KEYS[1]) -- this very call may have been here, and its answer got lost
local replaced = 0
if expires(KEYS[5]) > now then replaced = 1 end
finish(KEYS[5])
local displaced = 0
local others = live(KEYS[2], now)
for i = 1, #others - tonumber(ARGV[5]) + 1 do
  finish(others[i])
  displaced = displaced + 1
end
redis.call('HSET', KEYS[1], 'data', ARGV[4], 'idle', ARGV[2], 'deadline', ARGV[3], 'subject', KEYS[2], 'sid', KEYS[3], 'limit', ARGV[8])
redis.call('PEXPIRE', KEYS[1], millis(math.min(tonumber(ARGV[2]), tonumber(ARGV[3])) - now))
for i = 2, 3 do
  if KEYS[i] ~= '' then
    redis.call('ZADD', KEYS[i], ARGV[3], KEYS[1])
    -- The last to end need not be this one: lifetimes can be configured anew.
    local last = redis.call('ZRANGE', KEYS[i], -1, -1, 'WITHSCORES')[2]
    redis.call('PEXPIRE', KEYS[i], millis(tonumber(last) - now))
  end
end
return { replaced, displaced }
