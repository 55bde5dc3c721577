-- keys: session
-- args: now, the new idle time or 0 to leave the session unchanged, the epoch's key,
--   the caller's epoch, an id for a new epoch, the address to charge or '', and
--   interval and capacity of addresses and of users for take (ratelimit)
-- Returns the results of take for the address and the user, and the epoch, or '' if
-- it is the caller's. If there is a session, its data follows, and one string with
-- its end, deadline, subject, sid, user and limit.
-- Above the address's limit nothing about a session is returned. Above either limit
-- the session is not extended. The script never creates a session.
local function one(keys, args)
  local now, extend = tonumber(args[1]), tonumber(args[2])
  local current = epoch(args[3], args[4], args[5], now)
  if current == args[4] then current = '' end
  local address = take(args[6], tonumber(args[7]), tonumber(args[8]))
  if address < 0 then return { address, 0, current } end
  local s, ends = load(keys[1], now)
  if not s then return { address, 0, current } end
  local user = 0
  if s[5] then user = take(s[5], tonumber(args[9]), tonumber(args[10])) end
  if extend > 0 and user >= 0 then
    redis.call('HSET', keys[1], 'idle', millis(now + extend))
    ends = math.min(now + extend, time(s[2]))
    redis.call('PEXPIRE', keys[1], millis(ends - now))
  end
  return { address, user, current, s[6], table.concat({ millis(ends), s[2], s[3], s[4], s[8] or '', s[5] or '' }, ' ') }
end
