-- Publishes one part or one segment: checks the lease, adds the entry, stores
-- the bytes, keeps what viewers begin with, lets what it replaces expire.
--
-- KEYS: 1 writer, 2 playlist, 3 bytes, 4 description, 5 init segment,
--       6.. keys to let expire
-- ARGV: 1 broadcast, 2 run, 3 token, 4 entry id, 5 entry, 6 bytes,
--       7 life of the bytes, 8 life of 1, 2, 4 and 5, 9 life of 6..,
--       10 first id to keep (or ""), 11 last id that was written before (or ""),
--       12 the very entry that must have that id (or "")
-- Returns {"ok"}, {"same"}, {"kept", entry there}, {"late", last id},
--         {"not tried"} (it is another one, or none),
--         {"lost"} (no lease, or what was written before is gone) or
--         {"fenced", broadcast, run, token}.
local lease = redis.call('HMGET', KEYS[1], 'broadcast', 'run', 'token')
if not lease[1] then return {'lost'} end
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] or lease[3] ~= ARGV[3] then
  return {'fenced', lease[1], lease[2], lease[3]}
end
if ARGV[12] ~= '' then
  local before = redis.call('XRANGE', KEYS[2], ARGV[11], ARGV[11])
  if not before[1] or before[1][2][2] ~= ARGV[12] then return {'not tried'} end
elseif ARGV[11] ~= '' then
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
  if not last[1] then return {'lost'} end
  local msn, sequence = string.match(last[1][1], '(%d+)-(%d+)')
  local before, part = string.match(ARGV[11], '(%d+)-(%d+)')
  msn, before = tonumber(msn), tonumber(before)
  if msn < before or (msn == before and tonumber(sequence) < tonumber(part)) then
    return {'lost'}
  end
end
local result = {'ok'}
local there = redis.call('XRANGE', KEYS[2], ARGV[4], ARGV[4])
if there[1] then
  if there[1][2][2] ~= ARGV[5] then return {'kept', there[1][2][2]} end
  result = {'same'}
else
  local added = redis.pcall('XADD', KEYS[2], ARGV[4], 'e', ARGV[5])
  if type(added) == 'table' and added.err then
    -- A server that is full, say: nothing is known to be late.
    if not string.find(added.err, 'ID specified in XADD', 1, true) then return added end
    local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
    if last[1] then return {'late', last[1][1]} end
    return added
  end
end
if result[1] == 'ok' or redis.call('EXISTS', KEYS[3]) == 0 then
  redis.call('SET', KEYS[3], ARGV[6], 'EX', ARGV[7])
end
for _, i in ipairs({1, 2, 4, 5}) do redis.call('EXPIRE', KEYS[i], ARGV[8]) end
for i = 6, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[9]) end
if ARGV[10] ~= '' then redis.call('XTRIM', KEYS[2], 'MINID', ARGV[10]) end
return result
