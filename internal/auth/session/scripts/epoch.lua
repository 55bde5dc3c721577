-- The epoch of a scope is '<number>-<id>-<ends>-<since>'. Number and id identify it.
-- Ends counts the ended sessions. Since is its beginning in milliseconds, or 0 for
-- the first epoch. A session is valid only in its own epoch.
--
-- A caller sends the latest epoch that it knows. If Redis has an older one, or fewer
-- ends, it has lost ended sessions: it was restored from a snapshot, or a stale
-- replica took over. Then a new epoch begins.

local known -- the value in Redis, read once per script
local function parse(text)
  local number, id, ends = string.match(text or '', '^(%d+)%-(%w+)%-(%d+)%-%d+$')
  if not number or #number > 15 or #ends > 15 then return 0, '', 0 end
  return tonumber(number), id, tonumber(ends)
end

-- epoch returns the epoch of a scope, and begins a new one if necessary.
local function epoch(name, claim, fresh, now)
  if not known then known = redis.call('GET', name) or '' end
  if known == claim and claim ~= '' then return known end
  local number, id, ends = parse(known)
  local claimed, claimed_id, claimed_ends = parse(claim)
  local first = known == '' and claim == ''
  local older = number < claimed or number == claimed and (id ~= claimed_id or ends < claimed_ends)
  if number == 0 or older then
    local since = first and '0' or string.format('%d', now)
    known = string.format('%d-%s-0-%s', math.max(number, claimed) + 1, fresh, since)
    redis.call('SET', name, known)
  end
  return known
end

-- ended increments ends and returns the epoch.
local function ended(name)
  local head, ends, since = string.match(known, '^(%d+%-%w+)%-(%d+)%-(%d+)$')
  known = string.format('%s-%d-%s', head, tonumber(ends) + 1, since)
  redis.call('SET', name, known)
  return known
end
