-- keys: session, address that the rate limit counts or ''
-- args: now, how much longer the session may be idle, or 0 to leave it, and
--   interval and capacity of addresses and of users for take (ratelimit)
-- Returns what take said of the address and of the user, and, when there is a
-- session, its data and when it ends. Who is refused by the address's limit learns
-- nothing of a session; who is refused by either does not use it.
-- It only ever changes a session that is there.
local function one(keys, args)
  local now, extend = tonumber(args[1]), tonumber(args[2])
  local address = take(keys[2], tonumber(args[3]), tonumber(args[4]))
  if address < 0 then return { address, 0 } end
  local ends, deadline = expires(keys[1])
  if ends <= now then return { address, 0 } end
  local user = 0
  local limit = redis.call('HGET', keys[1], 'limit')
  if limit then user = take(limit, tonumber(args[5]), tonumber(args[6])) end
  if extend > 0 and user >= 0 then
    redis.call('HSET', keys[1], 'idle', millis(now + extend))
    ends = math.min(now + extend, deadline)
    redis.call('PEXPIRE', keys[1], millis(ends - now))
  end
  return { address, user, redis.call('HGET', keys[1], 'data'), millis(ends) }
end
