-- KEYS: one key of each kind in the other scripts
-- Runs every command of the other scripts once and leaves nothing behind. SET comes
-- first: a full Redis refuses a command that needs memory only if the script has not
-- written before.

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
