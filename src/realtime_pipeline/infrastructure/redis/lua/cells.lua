-- Functions of cells: claim, commit, trim, purge.

-- Fences earlier owners: writes a larger epoch, then replies with the cell's state.
-- keys: cell, outbox. args: epoch, layout.
local function claim(keys, args)
  local found = redis.call('HMGET', keys[1], 'epoch', 'position', 'number', 'at_ms', 'newest_ms', 'appended_at_ms',
    'largest_ms', 'layout')
  redis.call('XLEN', keys[2]) -- fails on another type
  if is_newer(found[8], args[2]) then return {'NEWER', found[8]} end
  if found[1] and not larger_number(args[1], found[1]) then return {'FENCED'} end
  if not found[1] then
    found = {args[1], '0', '0', '-1', '-1', '-1', '-1'}
    redis.call('HSET', keys[1], 'position', '0', 'number', '0', 'at_ms', '-1', 'newest_ms', '-1',
      'appended_at_ms', '-1', 'largest_ms', '-1')
  end
  redis.call('HSET', keys[1], 'epoch', args[1], 'layout', args[2])
  return {'OK', found[2], found[3], found[4], found[5], found[6], found[7]}
end

-- Lists the fields of a hash that are not among the arguments, which are pairs of field and value.
local function other_fields(key, args, first, count)
  local given, others = {}, {}
  for at = first, first + count - 1, 2 do given[args[at]] = true end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if not given[field] then others[#others + 1] = field end
  end
  return others
end

-- The commands that a commit may write with.
local function commit_calls(cell, outbox)
  return {
    {'XADD', outbox, '*', 'entry', ''}, {'MSET', cell, ''}, {'UNLINK', cell}, {'HSET', cell, '', ''},
    {'HDEL', cell, ''}, {'HKEYS', cell}, {'PEXPIRE', cell, '1'}, {'HINCRBY', cell, '', '1'},
  }
end

-- Changes a hash by the arguments from `at` on; returns where those of the next hash begin.
local function change_hash(key, args, at)
  local deleted, first_deleted = tonumber(args[at]), at + 1
  at = first_deleted + math.max(deleted, 0)
  local written, first_written = tonumber(args[at]), at + 1
  at = first_written + written
  local others = deleted < 0 and other_fields(key, args, first_written, written) or {}
  call_in_parts('HSET', key, args, first_written, written)
  if written > 0 and args[at] ~= '0' then redis.call('PEXPIRE', key, args[at]) end -- the TTL in ms
  call_in_parts('HDEL', key, args, first_deleted, math.max(deleted, 0))
  call_in_parts('HDEL', key, others, 1, #others)
  return at + 1
end

-- keys: cell, outbox, the keys to unlink, the keys to set, the hashes to change.
-- args: epoch, from, number of the commit before, to, number, four times of the watermark, outbox entry; the number of
-- counts, and each as (class, records); the number of keys to unlink; the number of keys to set, and their values; the
-- number of hashes, and for each: the number of fields to delete and the fields (-1: all that are not written), the
-- number of arguments to write and those as (field, value), and the TTL of the hash in ms (0: it never expires).
--
-- Keys are set before any key is unlinked or emptied. While a slot migrates, a node lets a Function use the keys that
-- it has; it fails the Function half way at a key that is gone.
local function commit(keys, args)
  local found = redis.call('HMGET', keys[1], 'epoch', 'position', 'number')
  if found[1] ~= args[1] or found[2] ~= args[2] or found[3] ~= args[3] then return {'FENCED'} end
  redis.call('XLEN', keys[2]) -- fails on another type

  local counts, at = tonumber(args[11]), 12
  for index = 1, counts do
    local count = redis.call('HGET', keys[1], args[at])
    if not is_whole(args[at + 1]) or (count and not is_whole(count)) then
      return redis.error_reply('ERR a count of ' .. keys[1] .. ' would leave 64 bits')
    end
    at = at + 2
  end
  local unlinked = tonumber(args[at])
  local set = tonumber(args[at + 1])
  local values_at = at + 2
  at = values_at + set
  local hashes, hashes_at = tonumber(args[at]), at + 1
  for index = 1, hashes do
    local key = keys[2 + unlinked + set + index]
    if not is_hash(key) then return wrong_type(key) end
  end

  local refusal = check_rights(commit_calls(keys[1], keys[2]))
  if refusal then return refusal end

  -- XADD writes nothing where the id is not larger than all before.
  redis.call('XADD', keys[2], args[4] .. '-0', 'entry', args[10])
  local pairs_to_set = {}
  for index = 1, set do
    pairs_to_set[#pairs_to_set + 1] = keys[2 + unlinked + index]
    pairs_to_set[#pairs_to_set + 1] = args[values_at + index - 1]
    if #pairs_to_set == UNPACKED_MAX or index == set then
      redis.call('MSET', unpack(pairs_to_set))
      pairs_to_set = {}
    end
  end
  at = hashes_at
  for index = 1, hashes do at = change_hash(keys[2 + unlinked + set + index], args, at) end
  for index = 1, unlinked do redis.call('UNLINK', keys[2 + index]) end
  at = 12
  for index = 1, counts do
    redis.call('HINCRBY', keys[1], args[at], args[at + 1])
    at = at + 2
  end
  redis.call('HSET', keys[1], 'position', args[4], 'number', args[5], 'at_ms', args[6], 'newest_ms', args[7],
    'appended_at_ms', args[8], 'largest_ms', args[9])
  return {'OK'}
end

-- Deletes the outbox entries before a position.
-- keys: cell, outbox. args: epoch, the first position to keep.
local function trim(keys, args)
  if redis.call('HGET', keys[1], 'epoch') ~= args[1] then return {'FENCED'} end
  redis.call('XTRIM', keys[2], 'MINID', args[2] .. '-0')
  return {'OK'}
end

-- Deletes panes of a definition, and notes up to when panes may be gone; the note first, so that it is never missing.
-- keys: cell, notes on windows, list of panes, the panes. args: epoch, field and value of the note, the panes' starts.
local function purge(keys, args)
  if redis.call('HGET', keys[1], 'epoch') ~= args[1] then return {'FENCED'} end
  for index = 2, 3 do
    if not is_hash(keys[index]) then return wrong_type(keys[index]) end
  end
  redis.call('HSET', keys[2], args[2], args[3])
  for index = 4, #keys do redis.call('UNLINK', keys[index]) end
  call_in_parts('HDEL', keys[3], args, 4, #args - 3)
  return {'OK'}
end

-- With `allow-oom` a Function runs while memory is full: a claim, a trim and a purge make room. A commit does not.
redis.register_function{function_name = 'rp12_claim', callback = claim, flags = {'allow-oom'}}
redis.register_function('rp12_commit', commit)
redis.register_function{function_name = 'rp12_trim', callback = trim, flags = {'allow-oom'}}
redis.register_function{function_name = 'rp12_purge', callback = purge, flags = {'allow-oom'}}
