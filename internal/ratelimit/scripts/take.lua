local microseconds = (function()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end)()

-- take charges one request to key. The value of key is the time, in microseconds of
-- the server's clock, when the allowance will be full again. interval is the refill
-- time of one request, capacity that of the whole allowance.
-- Returns the used part of the capacity, or minus the time to wait. Without key or
-- capacity there is no limit, and it returns 0. 'dropgate:limit:none' in KEYS, with a
-- hash tag before none, stands for no key, because an ACL with key patterns forbids an
-- empty one.
local function take(key, interval, capacity)
  if key == '' or capacity == 0 or string.find(key, '^dropgate:limit:[^:]*none$') then return 0 end
  local now = microseconds
  local used = math.max((tonumber(redis.call('GET', key)) or 0) - now, 0) + interval
  if used > capacity then return capacity - used end
  redis.call('SET', key, string.format('%.0f', now + used), 'PX', string.format('%.0f', math.ceil(used / 1000)))
  return used
end
