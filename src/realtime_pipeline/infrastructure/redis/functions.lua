#!lua name=realtime_pipeline_4
-- Claims, commits and merges, each one step that no other client can come between; and sessions out of many hashes by
-- one command, as a client pays for each.
--
-- A Function is not rolled back when it fails half way. So everything that may fail comes before the first write:
-- fences, types, numbers. Integers stay decimal strings: Lua's numbers are exact to 2^53 only.
--
-- Every function answers with a list: 'OK' and what it has to say, or the name of a refusal.

local UNPACKED = 2000 -- values handed to one command; Lua's stack holds some 8,000

local function is_whole(text)
  return string.match(text, '^-?%d+$') ~= nil and #text <= 18
end

-- The order of bytes, which does not depend on the server's locale as Lua's own does.
local function larger_text(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then return a > b end
  end
  return #one > #other
end

-- Of two whole numbers, none negative.
local function larger_number(one, other)
  if #one ~= #other then return #one > #other end
  return larger_text(one, other)
end

local function is_hash(key)
  local kind = redis.call('TYPE', key).ok
  return kind == 'hash' or kind == 'none'
end

local function wrong_type(key)
  return redis.error_reply('WRONGTYPE ' .. key .. ' is of another type than this program gives it')
end

-- Calls a command on a key with the arguments [first, first + count), some at a time; they are pairs where step is 2.
local function in_parts(command, key, args, first, count)
  local last = first + count - 1
  while first <= last do
    local to = math.min(first + UNPACKED - 1, last)
    redis.call(command, key, unpack(args, first, to))
    first = to + 1
  end
end

-- keys: cell, outbox. args: epoch.
local function claim(keys, args)
  local found = redis.call('HMGET', keys[1], 'epoch', 'position', 'number', 'at_ms', 'newest_ms', 'appended_at_ms')
  redis.call('XLEN', keys[2])
  if found[1] and not larger_number(args[1], found[1]) then return {'FENCED'} end
  if not found[1] then
    found = {args[1], '0', '0', '-1', '-1', '-1'}
    redis.call('HSET', keys[1], 'position', '0', 'number', '0', 'at_ms', '-1', 'newest_ms', '-1',
      'appended_at_ms', '-1')
  end
  redis.call('HSET', keys[1], 'epoch', args[1])
  return {'OK', found[2], found[3], found[4], found[5], found[6]}
end

-- keys: cell, outbox, then those to unlink, those to set, and the hashes to change.
-- args: epoch, from, number before, to, number, three times of the watermark, entry; how many counts and the counts as
-- (class, records); how many keys to unlink; how many to set, and their values; how many hashes, and for each: how
-- many fields to delete and which, how many values to set and which (field, value), and when the hash expires (0: never).
local function commit(keys, args)
  local found = redis.call('HMGET', keys[1], 'epoch', 'position', 'number')
  if found[1] ~= args[1] or found[2] ~= args[2] or found[3] ~= args[3] then return {'FENCED'} end
  redis.call('XLEN', keys[2])

  local counts, at = tonumber(args[10]), 11
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

  redis.call('XADD', keys[2], args[4] .. '-0', 'entry', args[9]) -- refused without a trace if not the newest
  for index = 1, unlinked do redis.call('UNLINK', keys[2 + index]) end
  local pairs_to_set = {}
  for index = 1, set do
    pairs_to_set[#pairs_to_set + 1] = keys[2 + unlinked + index]
    pairs_to_set[#pairs_to_set + 1] = args[values_at + index - 1]
    if #pairs_to_set == UNPACKED or index == set then
      redis.call('MSET', unpack(pairs_to_set))
      pairs_to_set = {}
    end
  end
  at = hashes_at
  for index = 1, hashes do
    local key = keys[2 + unlinked + set + index]
    local deleted = tonumber(args[at])
    in_parts('HDEL', key, args, at + 1, deleted)
    at = at + 1 + deleted
    local written = tonumber(args[at])
    in_parts('HSET', key, args, at + 1, written)
    at = at + 1 + written
    if written > 0 and args[at] ~= '0' then redis.call('PEXPIRE', key, args[at]) end
    at = at + 1
  end
  at = 11
  for index = 1, counts do
    redis.call('HINCRBY', keys[1], args[at], args[at + 1])
    at = at + 2
  end
  redis.call('HSET', keys[1], 'position', args[4], 'number', args[5], 'at_ms', args[6], 'newest_ms', args[7],
    'appended_at_ms', args[8])
  return {'OK'}
end

-- keys: cell, outbox. args: epoch, the first position that is kept.
local function trim(keys, args)
  if redis.call('HGET', keys[1], 'epoch') ~= args[1] then return {'FENCED'} end
  redis.call('XTRIM', keys[2], 'MINID', args[2] .. '-0')
  return {'OK'}
end

-- What is said of a source partition: epoch, position, and the three times of its watermark.
local function source_of(key, partition)
  local said = redis.call('HGET', key, partition)
  if not said then return '0', '0', '-1 -1 -1' end
  return string.match(said, '^(%d+) (%d+) (.+)$')
end

-- keys: sources. args: partition, epoch.
local function claim_views(keys, args)
  local epoch, position, times = source_of(keys[1], args[1])
  if not larger_number(args[2], epoch) then return {'FENCED'} end
  redis.call('HSET', keys[1], args[1], args[2] .. ' ' .. position .. ' ' .. times)
  return {'OK', position}
end

-- Keeps the later of two facts about each of some products; of two at the same time, the larger. Says of which products
-- what was known has become another.
local function tell(key, args, first, count, larger)
  local products, written, moved = {}, {}, {}
  for index = 0, count - 1 do products[index + 1] = args[first + 2 * index] end
  for begin = 1, count, UNPACKED do
    local to = math.min(begin + UNPACKED - 1, count)
    local known = redis.call('HMGET', key, unpack(products, begin, to))
    for index = begin, to do
      local said = args[first + 2 * index - 1]
      local before = known[index - begin + 1]
      local is_later = not before
      if before and before ~= said then
        local at_ms, value = string.match(said, '^(%d+) (.*)$')
        local at_ms_before, value_before = string.match(before, '^(%d+) (.*)$')
        is_later = larger_number(at_ms, at_ms_before) or (at_ms == at_ms_before and larger(value, value_before))
        if is_later and value ~= value_before then moved[#moved + 1] = products[index] end
      end
      if is_later then
        written[#written + 1] = products[index]
        written[#written + 1] = said
      end
    end
  end
  in_parts('HSET', key, written, 1, #written)
  return moved
end

-- Says whether all numbers of a hash that are about to grow are whole, and stay within 64 bits.
local function can_grow(key, args, first, count)
  local fields = {}
  for index = 0, count - 1 do
    if not is_whole(args[first + 2 * index + 1]) then return false end
    fields[index + 1] = args[first + 2 * index]
  end
  for begin = 1, count, UNPACKED do
    local known = redis.call('HMGET', key, unpack(fields, begin, math.min(begin + UNPACKED - 1, count)))
    for _, number in ipairs(known) do
      if number and not is_whole(number) then return false end
    end
  end
  return true
end

-- Numbers the products whose category has become another, all of a merge alike, larger than any before.
local function note_moved(key, products)
  if #products == 0 then return end
  local number, pairs = (redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2] or 0) + 1, {}
  for index, product in ipairs(products) do
    pairs[2 * index - 1], pairs[2 * index] = number, product
  end
  in_parts('ZADD', key, pairs, 1, #pairs)
end

-- keys: sources, hours, names, categories, prices, moved, then hashes of numbers, then lists of sessions.
-- args: how many sources, and for each: partition, epoch, from, to, three times; how many sessions a list keeps; how
-- many hours go, and which; how many hours are touched, and which; three times: how many facts, and the facts as
-- (product, time and value); how many hashes of numbers, and for each: how many numbers, and the numbers as (field,
-- growth); how many lists, and for each: how many entries, and the entries as (time, session).
-- Of each hour that goes the hash that lists it and its own come last.
local function merge(keys, args)
  local sources, at = tonumber(args[1]), 2
  local positions, is_at = {}, true
  for index = 1, sources do
    local epoch, position = source_of(keys[1], args[at])
    if epoch ~= args[at + 1] then return {'FENCED'} end
    is_at = is_at and position == args[at + 2]
    positions[2 * index - 1], positions[2 * index] = args[at], position
    at = at + 7
  end
  if not is_at then return {'SUPERSEDED', unpack(positions)} end
  local listed = tonumber(args[at])
  local gone, gone_at = tonumber(args[at + 1]), at + 2
  at = gone_at + gone
  local touched, touched_at = tonumber(args[at]), at + 1
  local facts_at = touched_at + touched

  at = facts_at
  for index = 1, 3 do at = at + 1 + 2 * tonumber(args[at]) end
  local hashes, hashes_at = tonumber(args[at]), at + 1
  at = hashes_at
  for index = 2, 6 + hashes do
    if index ~= 6 and not is_hash(keys[index]) then return wrong_type(keys[index]) end
  end
  redis.call('ZCARD', keys[6]) -- fails on another type, before any write
  for index = 1, hashes do
    local count = tonumber(args[at])
    if not can_grow(keys[6 + index], args, at + 1, count) then
      return redis.error_reply('ERR a number of ' .. keys[6 + index] .. ' would leave 64 bits')
    end
    at = at + 1 + 2 * count
  end
  local lists, lists_at = tonumber(args[at]), at + 1
  local of_gone = 6 + hashes + lists
  for index = 1, lists do redis.call('ZCARD', keys[6 + hashes + index]) end
  for index = of_gone + 1, of_gone + 2 * gone, 2 do
    if not is_hash(keys[index]) then return wrong_type(keys[index]) end
  end

  at = 2
  for index = 1, sources do
    redis.call('HSET', keys[1], args[at], args[at + 1] .. ' ' .. args[at + 3] .. ' ' .. args[at + 4] .. ' '
      .. args[at + 5] .. ' ' .. args[at + 6])
    at = at + 7
  end
  for index = 1, gone do
    redis.call('HDEL', keys[of_gone + 2 * index - 1], args[gone_at + index - 1])
    redis.call('UNLINK', keys[of_gone + 2 * index])
  end
  for index = 1, touched do redis.call('HINCRBY', keys[2], args[touched_at + index - 1], '1') end
  at = facts_at
  for index = 1, 3 do
    local count = tonumber(args[at])
    local moved = tell(keys[2 + index], args, at + 1, count, index == 3 and larger_number or larger_text)
    if index == 2 then note_moved(keys[6], moved) end
    at = at + 1 + 2 * count
  end
  at = hashes_at
  for index = 1, hashes do
    local count = tonumber(args[at])
    for pair = at + 1, at + 2 * count, 2 do redis.call('HINCRBY', keys[6 + index], args[pair], args[pair + 1]) end
    at = at + 1 + 2 * count
  end
  at = lists_at
  for index = 1, lists do
    local key, count = keys[6 + hashes + index], tonumber(args[at])
    local first, last = at + 1, at + 2 * count
    while first <= last do
      local to = math.min(first + UNPACKED - 1, last)
      redis.call('ZADD', key, 'GT', unpack(args, first, to))
      first = to + 1
    end
    if redis.call('ZCARD', key) > 1.2 * listed then redis.call('ZREMRANGEBYRANK', key, 0, -listed - 1) end
    at = at + 1 + 2 * count
  end
  return {'OK'}
end

-- keys: hashes of sessions, then cells. args: how many hashes; for each how many fields, and the fields.
-- Says the value of each field, in order, then the newest time of each cell.
local function sessions(keys, args)
  local found, hashes, at = {'OK'}, tonumber(args[1]), 2
  for index = 1, hashes do
    local count = tonumber(args[at])
    for first = at + 1, at + count, UNPACKED do
      local last = math.min(first + UNPACKED - 1, at + count)
      for _, value in ipairs(redis.call('HMGET', keys[index], unpack(args, first, last))) do
        found[#found + 1] = value
      end
    end
    at = at + 1 + count
  end
  for index = hashes + 1, #keys do found[#found + 1] = redis.call('HGET', keys[index], 'newest_ms') end
  return found
end

-- Those that make room, or must work for it to be made, may run when memory is full.
redis.register_function{function_name = 'rp4_claim', callback = claim, flags = {'allow-oom'}}
redis.register_function('rp4_commit', commit)
redis.register_function{function_name = 'rp4_trim', callback = trim, flags = {'allow-oom'}}
redis.register_function{function_name = 'rp4_claim_views', callback = claim_views, flags = {'allow-oom'}}
redis.register_function('rp4_merge', merge)
redis.register_function{function_name = 'rp4_sessions', callback = sessions, flags = {'no-writes'}}
