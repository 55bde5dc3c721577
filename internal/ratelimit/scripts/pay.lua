-- keys: address, user; dropgate:limit:none stands for no key
-- args: interval and capacity of addresses, interval and capacity of users
-- Returns the results of take for both keys. If the address is refused, the user
-- is not charged.
local function one(keys, args)
  local address = take(keys[1], tonumber(args[1]), tonumber(args[2]))
  if address < 0 then return { address, 0 } end
  return { address, take(keys[2], tonumber(args[3]), tonumber(args[4])) }
end
