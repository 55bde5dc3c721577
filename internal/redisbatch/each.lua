
-- ARGV begins with how many keys and how many arguments each call has. A call
-- that fails has its error in the place of its answer.

local answers = {}
local nkeys, nargs = tonumber(ARGV[1]), tonumber(ARGV[2])
for i = 0, #KEYS / nkeys - 1 do
  local keys, args = {}, {}
  for k = 1, nkeys do keys[k] = KEYS[i * nkeys + k] end
  for a = 1, nargs do args[a] = ARGV[2 + i * nargs + a] end
  local ok, answer = pcall(one, keys, args)
  if not ok and type(answer) ~= 'table' then answer = redis.error_reply(tostring(answer)) end
  answers[i + 1] = answer
end
return answers
