-- Takes the lease of a stream.
--
-- KEYS: 1 writer, 2 broadcast
-- ARGV: 1 broadcast, 2 run, 3 token, 4 life
-- Within a broadcast a higher run takes over, an equal one only with its own
-- token. Another broadcast takes over from an ended one, or if it is later (ids
-- are UUIDv7: later ones sort later). Where the lease is lost, a later broadcast
-- that is described, and not ended, stands for it.
-- Returns {"ok"} or {"fenced", broadcast, run, token or ""}.
local lease = redis.call('HMGET', KEYS[1], 'broadcast', 'run', 'token', 'ended')
if lease[1] then
  local mine
  if lease[1] == ARGV[1] then
    local there, run = tonumber(lease[2]), tonumber(ARGV[2])
    mine = run > there or (run == there and lease[3] == ARGV[3])
  else
    mine = lease[4] == '1' or ARGV[1] > lease[1]
  end
  if not mine then return {'fenced', lease[1], lease[2], lease[3]} end
else
  local text = redis.call('GET', KEYS[2])
  local read, there = pcall(cjson.decode, text or '')
  if read and type(there) == 'table' and type(there.broadcast) == 'string'
    and not there.ended and there.broadcast > ARGV[1] then
    return {'fenced', there.broadcast, '0', ''}
  end
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'broadcast', ARGV[1], 'run', ARGV[2], 'token', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {'ok'}
