-- Functions of the results of windows.

local PROGRESS = {'emitted_ms', 'settled_ms', 'marked_ms', 'marked_at_ms'}
local AT_FIRST = {'-1', '-1', '-1', '0'}

-- Notes how far results are written, if they are all here and nobody else has noted more: what was written to a node
-- that has failed since is perhaps not.
-- keys: progress, the windows. args: the four times expected, the four times to write, how many results each window has.
local function emitted(keys, args)
  if not is_hash(keys[1]) then return wrong_type(keys[1]) end
  local found = redis.call('HMGET', keys[1], unpack(PROGRESS))
  for index = 1, 4 do
    if (found[index] or AT_FIRST[index]) ~= args[index] then return {'FENCED'} end
  end
  for index = 2, #keys do
    if redis.call('HLEN', keys[index]) ~= tonumber(args[7 + index]) + 1 then return {'FENCED'} end
  end
  for index = 1, 4 do redis.call('HSET', keys[1], PROGRESS[index], args[4 + index]) end
  return {'OK'}
end

redis.register_function('rp12_emitted', emitted)
