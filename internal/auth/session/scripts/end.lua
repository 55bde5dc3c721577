-- KEYS: session or '', subject index or '', sid index or '', used or ''
-- ARGV: now, call, remember
-- Returns the data of the sessions that were ended, or -1 when the notice was
-- used before.

local now = tonumber(ARGV[1])
if KEYS[4] ~= '' and not use(KEYS[4], ARGV[2], ARGV[3]) then return -1 end
local keys = {}
if KEYS[2] ~= '' then
  for _, key in ipairs(live(KEYS[2], now)) do
    local sid = redis.call('HGET', key, 'sid')
    if KEYS[3] == '' or sid == '' or sid == KEYS[3] then keys[#keys + 1] = key end
  end
elseif KEYS[3] ~= '' then
  keys = live(KEYS[3], now)
elseif expires(KEYS[1]) > now then
  keys = { KEYS[1] }
end
local ended = {}
for _, key in ipairs(keys) do
  ended[#ended + 1] = finish(key) or nil
end
return ended
