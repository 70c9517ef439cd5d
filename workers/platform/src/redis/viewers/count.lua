-- After prune.lua. Returns {viewers, {rung, viewers, ...}}.
return { redis.call('ZCOUNT', KEYS[1], ARGV[1], '+inf'), redis.call('HGETALL', KEYS[3]) }
