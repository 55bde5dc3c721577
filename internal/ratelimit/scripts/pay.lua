-- KEYS: address or '', user or ''
-- ARGV: interval and capacity of addresses, interval and capacity of users
-- Returns for each key what take says. Who is refused by the address takes
-- nothing from the user.

local address = take(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))
if address < 0 then return { address, 0 } end
return { address, take(KEYS[2], tonumber(ARGV[3]), tonumber(ARGV[4])) }
