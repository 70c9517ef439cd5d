-- Appends entries without bytes, and may replace the broadcast's description:
-- for the end of a broadcast and for restoring a window Redis has lost.
--
-- KEYS: 1 writer, 2 broadcast, 3.. playlists
-- ARGV: 1 broadcast, 2 run, 3 token, 4 life, 5 description (or ""),
--       6 "1" if the lease may pass to another broadcast from now on,
--       then triples: index of the playlist in KEYS, entry id, entry
-- An entry whose id is not after the last is left as it is.
-- Returns {"ok"}, {"lost"} or {"fenced", broadcast, run, token}.
local lease = redis.call('HMGET', KEYS[1], 'broadcast', 'run', 'token')
if not lease[1] then return {'lost'} end
if lease[1] ~= ARGV[1] or lease[2] ~= ARGV[2] or lease[3] ~= ARGV[3] then
  return {'fenced', lease[1], lease[2], lease[3]}
end
for i = 7, #ARGV, 3 do
  local key = KEYS[tonumber(ARGV[i])]
  local added = redis.pcall('XADD', key, ARGV[i + 1], 'e', ARGV[i + 2])
  if type(added) == 'table' and added.err
    and not string.find(added.err, 'ID specified in XADD', 1, true) then return added end
  redis.call('EXPIRE', key, ARGV[4])
end
if ARGV[5] ~= '' then redis.call('SET', KEYS[2], ARGV[5], 'EX', ARGV[4]) end
if ARGV[6] == '1' then redis.call('HSET', KEYS[1], 'ended', '1') end
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {'ok'}
