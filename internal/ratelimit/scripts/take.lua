local microseconds = (function()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end)()

-- take takes one request from what is kept under key: the time, in microseconds
-- of the server's clock, at which all of it will be refilled. interval is how
-- long one request takes to be refilled, capacity how long all take.
-- Returns how much of the capacity is in use now; or, when there is not enough
-- left, minus how long to wait. Without key or capacity there is no limit, and
-- it returns 0. 'dropgate:limit:none' in KEYS stands for no key: a user of Redis with a
-- key pattern may not name an empty one.
local function take(key, interval, capacity)
  if key == '' or key == 'dropgate:limit:none' or capacity == 0 then return 0 end
  local now = microseconds
  local used = math.max((tonumber(redis.call('GET', key)) or 0) - now, 0) + interval
  if used > capacity then return capacity - used end
  redis.call('SET', key, string.format('%.0f', now + used), 'PX', string.format('%.0f', math.ceil(used / 1000)))
  return used
end
