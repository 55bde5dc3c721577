-- keys: address, user; dropgate:limit:none where there is none
-- args: interval and capacity of addresses, interval and capacity of users
-- Returns for each key what take says. Who is refused by the address takes
-- nothing from the user.
local function one(keys, args)
  local address = take(keys[1], tonumber(args[1]), tonumber(args[2]))
  if address < 0 then return { address, 0 } end
  return { address, take(keys[2], tonumber(args[3]), tonumber(args[4])) }
end
