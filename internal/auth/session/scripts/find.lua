-- KEYS: session, address that the rate limit counts or ''
-- ARGV: now, how much longer the session may be idle, or 0 to leave it, and
--   interval and capacity of addresses and of users for take (ratelimit)
-- Returns what take said of the address and of the user, and, when there is a
-- session, its data and when it ends. Who is refused by the address's limit learns
-- nothing of a session; who is refused by either does not use it.
-- It only ever changes a session that is there.

local address = take(KEYS[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
if address < 0 then return { address, 0 } end
local ends, deadline = expires(KEYS[1])
if ends <= now then return { address, 0 } end
local user = 0
local limit = redis.call('HGET', KEYS[1], 'limit')
if limit then user = take(limit, tonumber(ARGV[5]), tonumber(ARGV[6])) end
local extend = tonumber(ARGV[2])
if extend > 0 and user >= 0 then
  redis.call('HSET', KEYS[1], 'idle', millis(now + extend))
  ends = math.min(now + extend, deadline)
  redis.call('PEXPIRE', KEYS[1], millis(ends - now))
end
return { address, user, redis.call('HGET', KEYS[1], 'data'), millis(ends) }
