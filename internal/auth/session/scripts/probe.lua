-- KEYS: one of each kind of key that the other scripts use
-- Runs every command of the other scripts once, on keys of the same names, and
-- leaves nothing behind. SET comes first: a full Redis refuses the first command of
-- a script that needs memory, unless another command has written before.

redis.call('TIME')
for _, key in ipairs(KEYS) do
  redis.call('SET', key, 'probe', 'PX', 10000)
  redis.call('GET', key)
  redis.call('DEL', key)
  redis.call('HSET', key, 'idle', '0')
  redis.call('HMGET', key, 'idle', 'deadline')
  redis.call('PEXPIRE', key, 10000)
  redis.call('DEL', key)
  redis.call('ZADD', key, 0, 'probe')
  redis.call('ZSCORE', key, 'probe')
  redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  redis.call('ZREM', key, 'probe')
  redis.call('DEL', key)
end
return #KEYS
