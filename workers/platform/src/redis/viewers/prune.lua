-- In front of the other scripts: forgets who was not seen for too long.
--
-- KEYS: 1 viewers (by last seen), 2 visits, 3 viewers by rung, 4 covered guesses,
--       5 who left (by when), 6 turnover
-- ARGV: 1 who was last seen before this is gone (unix s)
-- Turnover counts since it was made, at `since`: joined, left, and changes of
-- rungs, each under "<from>><to>".
-- A visit is "joined broadcast rung changes stalls dropped"; rung "-" is none.
local function visit_of(viewer)
  local text = redis.call('HGET', KEYS[2], viewer)
  if not text then return nil end
  local fields = {}
  for field in string.gmatch(text, '%S+') do fields[#fields + 1] = field end
  return fields
end
local function count(rung, by)
  if rung == '-' then return end
  if redis.call('HINCRBY', KEYS[3], rung, by) <= 0 then redis.call('HDEL', KEYS[3], rung) end
end
-- Not where there is none: it would stay for ever.
local function tally(what)
  if redis.call('HEXISTS', KEYS[6], 'since') == 1 then redis.call('HINCRBY', KEYS[6], what, 1) end
end
local function forget(viewer)
  local visit = visit_of(viewer)
  if visit then
    count(visit[3], -1)
    tally('left')
  end
  redis.call('HDEL', KEYS[2], viewer)
  redis.call('ZREM', KEYS[1], viewer)
end
-- So many at most that the server is not busy long: about 50 ms.
for _, viewer in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1], 'LIMIT', 0, 5000)) do
  forget(viewer)
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', '(' .. ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', '(' .. ARGV[1])
