-- After prune.lua. Notes viewers who were seen, guessed or left.
--
-- ARGV: 2 life of the keys (s), then fourteen for each viewer: name, "seen",
--       "guess", "left" or "gone" (left, and never seen by who tells), the guess it makes unnecessary (or ""), joined (if
--       it is new), broadcast, rung (or "-"), stalls in all, stalls more,
--       dropped frames in all, last seen (unix s); and for a visit that is
--       forgotten here its rung (or "-"), changes, stalls and dropped frames
-- Returns for each {"covered"} (a guess that is unnecessary, a sign from before
-- it left, the leave of nobody) or {joined,
-- broadcast, rung, changes, stalls, dropped, rung before, stalls new, dropped new}.
redis.call('HSETNX', KEYS[6], 'since', ARGV[1])
local answers = {}
for i = 3, #ARGV, 14 do
  local viewer, sign, covers, seen = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 9]
  if covers ~= '' then
    redis.call('ZADD', KEYS[4], 'GT', seen, covers)
    forget(covers)
  end
  local leaves = sign == 'left' or sign == 'gone'
  local left = not leaves and redis.call('ZSCORE', KEYS[5], viewer)
  if leaves then redis.call('ZADD', KEYS[5], 'GT', seen, viewer) end
  if left and tonumber(seen) <= tonumber(left) or sign == 'gone' and not visit_of(viewer) then
    answers[#answers + 1] = { 'covered' }
  elseif sign == 'guess' and redis.call('ZSCORE', KEYS[4], viewer) then
    forget(viewer)
    answers[#answers + 1] = { 'covered' }
  else
    local visit = visit_of(viewer)
    -- Another broadcast is another visit; a replica that is behind opens none.
    if visit and ARGV[i + 4] > visit[2] then
      forget(viewer)
      visit = nil
    end
    if not visit then
      visit = { ARGV[i + 3], ARGV[i + 4], unpack(ARGV, i + 10, i + 13) }
      count(visit[3], 1)
      tally('joined')
    end
    local rung, before = ARGV[i + 5], visit[3]
    if rung == '-' then rung = before end
    if rung ~= before then
      count(before, -1)
      count(rung, 1)
      if before ~= '-' then
        visit[4] = string.format('%d', visit[4] + 1)
        -- A guess may stand for several, each on its own rung.
        if sign ~= 'guess' then tally(before .. '>' .. rung) end
      end
    end
    local stalls = math.max(tonumber(visit[5]), tonumber(ARGV[i + 6])) + tonumber(ARGV[i + 7])
    local dropped = math.max(tonumber(visit[6]), tonumber(ARGV[i + 8]))
    local new_stalls, new_dropped = stalls - visit[5], dropped - visit[6]
    visit[3], visit[5], visit[6] = rung, string.format('%d', stalls), string.format('%d', dropped)
    redis.call('HSET', KEYS[2], viewer, table.concat(visit, ' '))
    redis.call('ZADD', KEYS[1], 'GT', seen, viewer)
    if leaves then forget(viewer) end
    answers[#answers + 1] = {
      visit[1], visit[2], visit[3], visit[4], visit[5], visit[6], before,
      string.format('%d', new_stalls), string.format('%d', new_dropped)
    }
  end
end
for key = 1, 6 do redis.call('EXPIRE', KEYS[key], ARGV[2]) end
return answers
