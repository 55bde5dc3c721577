
-- ARGV begins with the numbers of keys and of arguments per call, and the number
-- of the round trip. That number comes back before the answers. A failed call has
-- the text of its error in place of its answer: go-redis stops reading a list at an
-- error of a type it knows, such as OOM.

local answers = { tonumber(ARGV[3]) }
local nkeys, nargs = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 0, #KEYS / nkeys - 1 do
  local keys, args = {}, {}
  for k = 1, nkeys do keys[k] = KEYS[i * nkeys + k] end
  for a = 1, nargs do args[a] = ARGV[3 + i * nargs + a] end
  local ok, answer = pcall(one, keys, args)
  local err = type(answer) == 'table' and answer.err
  if not ok then err = err or tostring(answer) end
  -- This error is the server's: it has become a replica and has written nothing.
  -- Return it for the whole batch, so that go-redis closes the connection. The next
  -- one leads to the new master.
  if err and string.find(err, "READONLY You can't write", 1, true) then return redis.error_reply(err) end
  answers[i + 2] = err or answer or false -- a nil would end the list
end
return answers
