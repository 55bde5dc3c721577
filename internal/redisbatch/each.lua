
-- ARGV begins with how many keys and how many arguments each call has, and with
-- the number of the round trip, which comes back before the answers. A call that
-- fails has its error in the place of its answer.

local answers = { tonumber(ARGV[3]) }
local nkeys, nargs = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 0, #KEYS / nkeys - 1 do
  local keys, args = {}, {}
  for k = 1, nkeys do keys[k] = KEYS[i * nkeys + k] end
  for a = 1, nargs do args[a] = ARGV[3 + i * nargs + a] end
  local ok, answer = pcall(one, keys, args)
  if not ok then
    if type(answer) ~= 'table' or not answer.err then answer = redis.error_reply(tostring(answer)) end
    -- That is not the call's but the server's, which has become a replica of
    -- another and has written nothing. The client has to see it: it closes the
    -- connection, and the next one leads to the other server.
    if string.find(answer.err, "READONLY You can't write", 1, true) then return answer end
  end
  answers[i + 2] = answer or false -- the first nil would be the end of the list
end
return answers
