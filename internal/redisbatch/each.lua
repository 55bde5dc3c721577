
-- ARGV begins with how many keys and how many arguments each call has, and with
-- the number of the round trip, which comes back before the answers. A call that
-- fails has the text of its error in the place of its answer: an error in the midst
-- of a list is where go-redis ends to read, if it has a type for it, as for OOM.

local answers = { tonumber(ARGV[3]) }
local nkeys, nargs = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 0, #KEYS / nkeys - 1 do
  local keys, args = {}, {}
  for k = 1, nkeys do keys[k] = KEYS[i * nkeys + k] end
  for a = 1, nargs do args[a] = ARGV[3 + i * nargs + a] end
  local ok, answer = pcall(one, keys, args)
  local err = type(answer) == 'table' and answer.err
  if not ok then err = err or tostring(answer) end
  -- That is not the call's but the server's, which has become a replica of another
  -- and has written nothing. The client has to see it: it closes the connection,
  -- and the next one leads to the other server.
  if err and string.find(err, "READONLY You can't write", 1, true) then return redis.error_reply(err) end
  answers[i + 2] = err or answer or false -- the first nil would be the end of the list
end
return answers
