-- KEYS: the session to list, or the epoch when the lists select sessions
-- ARGV: now, the epoch's key, the caller's epoch, an id for a new epoch, the most
--   sessions to return, counts, and a list of this length: indexes
-- Returns the epoch, the number of live sessions, and key, idle, deadline, subject, sid
-- and owner of each, newest first. A deadline tells the age. The script extends nothing.

local now, most = tonumber(ARGV[1]), tonumber(ARGV[5])
local current = epoch(ARGV[2], ARGV[3], ARGV[4], now)
local found
if KEYS[1] == ARGV[2] then
  found = live(cut(7, ARGV[6])[1], now)
else
  local s = load(KEYS[1], now)
  found = s and { { key = KEYS[1], fields = s } } or {}
end
local answer = { current, #found }
for i = #found, math.max(1, #found - most + 1), -1 do
  local s = found[i].fields
  answer[#answer + 1] = { found[i].key, s[1], s[2], s[3], s[4], s[7] or '' }
end
return answer
