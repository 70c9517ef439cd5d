-- Remembers a verdict: KEYS[1], ARGV value and seconds. That a key was revoked
-- is not overwritten: whoever asks for it read Postgres before.
local there = redis.call('GET', KEYS[1])
if there and string.find(there, '"revoked":true', 1, true) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
