-- KEYS: the session, or the epoch when no session is selected by its key
-- ARGV: now, the epoch's key, the caller's epoch, an id for a new epoch, what to end
--   ('none', 'key', 'subject', 'sid', 'both' or 'user'), call, ttl, counts, and lists of
--   these lengths: names of the single-use id, subject indexes, sid indexes, logouts to
--   remember, indexes of the user
-- Returns the epoch and an outcome: -1 when the single-use id was used before, or 0
-- followed by key, data, deadline, subject, sid, user and owner of each ended session.

local now, what = tonumber(ARGV[1]), ARGV[5]
local current = epoch(ARGV[2], ARGV[3], ARGV[4], now)
local names = cut(9, ARGV[8])
if not use(names[1], ARGV[6], ARGV[7]) then return { current, -1 } end
for _, logout in ipairs(names[4]) do redis.call('SET', logout, millis(now), 'PX', ARGV[7]) end

local found = {}
if what == 'key' then
  local s = load(KEYS[1], now)
  if s then found[1] = { key = KEYS[1], fields = s } end
elseif what == 'sid' then
  found = live(names[3], now)
elseif what == 'user' then
  found = live(names[5], now)
elseif what ~= 'none' then
  local sids = { [''] = true }
  for _, sid in ipairs(names[3]) do sids[sid] = true end
  for _, session in ipairs(live(names[2], now)) do
    if what == 'subject' or sids[session.fields[4]] then found[#found + 1] = session end
  end
end
local answer = { current, 0 }
for _, session in ipairs(found) do
  local s = session.fields
  finish(session.key)
  answer[#answer + 1] = { session.key, s[6], s[2], s[3], s[4], s[8] or '', s[7] or '' }
end
if what == 'key' then finish(KEYS[1]) end
if #found > 0 or #names[4] > 0 then answer[1] = ended(ARGV[2]) end
return answer
