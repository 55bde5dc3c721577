-- keys: session
-- args: now, how much longer the session may be idle, or 0 to leave it, the name
--   of the epoch, the epoch that the caller knows, the id of a fresh one, the
--   address that the rate limit counts or '', and interval and capacity of
--   addresses and of users for take (ratelimit)
-- Returns what take said of the address and of the user, the epoch or '' when the
-- caller knows it, and, when there is a session: its sealed data, and in one
-- text when it ends, its deadline, subject, sid and limit. Who is refused by the address's limit learns
-- nothing of a session; who is refused by either does not use it.
-- It only ever changes a session that is there.
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
  return { address, user, current, s[6], table.concat({ millis(ends), s[2], s[3], s[4], s[5] or '' }, ' ') }
end
