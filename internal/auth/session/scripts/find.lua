-- KEYS: session
-- ARGV: now, how much longer the session may be idle, or 0 to leave it
-- Returns the data and when the session ends, or false when there is none.
-- It only ever changes a session that is there.

local ends, deadline = expires(KEYS[1])
if ends <= now then return false end
local extend = tonumber(ARGV[2])
if extend > 0 then
  redis.call('HSET', KEYS[1], 'idle', millis(now + extend))
  ends = math.min(now + extend, deadline)
  redis.call('PEXPIRE', KEYS[1], millis(ends - now))
end
return { redis.call('HGET', KEYS[1], 'data'), millis(ends) }
