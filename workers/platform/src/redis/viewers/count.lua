-- After prune.lua. Returns {viewers, {rung, viewers, ...}, {turnover's fields, ...}}.
return {
  redis.call('ZCOUNT', KEYS[1], ARGV[1], '+inf'), redis.call('HGETALL', KEYS[3]),
  redis.call('HGETALL', KEYS[6])
}
