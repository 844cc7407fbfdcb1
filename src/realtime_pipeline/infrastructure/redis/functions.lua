#!lua name=realtime_pipeline_9
-- Claims, commits and merges, each one step that no other client can come between.
--
-- A Function is not rolled back when it fails half way. So everything that may fail comes before the first write that
-- must not be repeated: fences, types, numbers, rights. Integers stay decimal strings: Lua's numbers are exact to 2^53 only.
--
-- Every function answers with a list: 'OK' and what it has to say, or the name of a refusal.

local UNPACKED = 2000 -- values handed to one command; Lua's stack holds some 8,000
local EXACT = 15 -- digits of numbers that Lua adds exactly
local FIXED = 5 -- keys that every merge has

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

-- Refuses where the user may not make some of the calls, which are given whole and not made. Which keys are used is
-- seen when the function is called; a command that is denied would be seen only when others have been made already.
local function check_rights(calls)
  for _, call in ipairs(calls) do
    if not redis.acl_check_cmd(unpack(call)) then
      return redis.error_reply("NOPERM this user has no permissions to run the '" .. string.lower(call[1]) .. "' command")
    end
  end
end

-- args: calls, each a list, MessagePack. Answers with the numbers of those that the user may not make.
local function denied(_, args)
  local numbers = {}
  for number, call in ipairs(args) do
    if not redis.acl_check_cmd(unpack(cmsgpack.unpack(call))) then numbers[#numbers + 1] = number end
  end
  return numbers
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

-- Whether the layout that some release has given a cell, or view cells, is newer than that of who asks.
local function is_newer(layout, own)
  return layout and larger_number(layout, own)
end

-- keys: cell, outbox. args: epoch, layout.
local function claim(keys, args)
  local found = redis.call('HMGET', keys[1], 'epoch', 'position', 'number', 'at_ms', 'newest_ms', 'appended_at_ms',
    'largest_ms', 'layout')
  redis.call('XLEN', keys[2])
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

-- The fields of a hash but for those that are given as (field, value).
local function other_fields(key, args, first, count)
  local given, others = {}, {}
  for at = first, first + count - 1, 2 do given[args[at]] = true end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if not given[field] then others[#others + 1] = field end
  end
  return others
end

-- What a commit may write.
local function commit_calls(cell, outbox)
  return {
    {'XADD', outbox, '*', 'entry', ''}, {'MSET', cell, ''}, {'UNLINK', cell}, {'HSET', cell, '', ''}, {'HDEL', cell, ''},
    {'HKEYS', cell}, {'PEXPIRE', cell, '1'}, {'HINCRBY', cell, '', '1'},
  }
end

-- Changes a hash by what the arguments say from `at` on; answers where the next begins.
local function change_hash(key, args, at)
  local deleted, first_deleted = tonumber(args[at]), at + 1
  at = first_deleted + math.max(deleted, 0)
  local written, first_written = tonumber(args[at]), at + 1
  at = first_written + written
  local others = deleted < 0 and other_fields(key, args, first_written, written) or {}
  in_parts('HSET', key, args, first_written, written)
  if written > 0 and args[at] ~= '0' then redis.call('PEXPIRE', key, args[at]) end
  in_parts('HDEL', key, args, first_deleted, math.max(deleted, 0))
  in_parts('HDEL', key, others, 1, #others)
  return at + 1
end

-- keys: cell, outbox, then those to unlink, those to set, and the hashes to change.
-- args: epoch, from, number before, to, number, four times of the watermark, entry; how many counts and the counts as
-- (class, records); how many keys to unlink; how many to set, and their values; how many hashes, and for each: how
-- many fields to delete and which (-1: all that are not set), how many values to set and which (field, value), and when
-- the hash expires (0: never).
--
-- Keys are set before any is unlinked or emptied: while a slot moves, a node lets a function use the keys that it has, and
-- fails it half way where one of them has gone.
local function commit(keys, args)
  local found = redis.call('HMGET', keys[1], 'epoch', 'position', 'number')
  if found[1] ~= args[1] or found[2] ~= args[2] or found[3] ~= args[3] then return {'FENCED'} end
  redis.call('XLEN', keys[2])

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

  redis.call('XADD', keys[2], args[4] .. '-0', 'entry', args[10]) -- refused without a trace if not the newest
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

-- keys: cell, outbox. args: epoch, the first position that is kept.
local function trim(keys, args)
  if redis.call('HGET', keys[1], 'epoch') ~= args[1] then return {'FENCED'} end
  redis.call('XTRIM', keys[2], 'MINID', args[2] .. '-0')
  return {'OK'}
end

-- What is said of a source partition: epoch, position, and the four times of its watermark.
local function source_in(said)
  if not said then return '0', '0', '-1 -1 -1 -1' end
  return string.match(said, '^(%d+) (%d+) (.+)$')
end

-- keys: sources, totals. args: partition, epoch, layout.
local function claim_views(keys, args)
  local layout = redis.call('HGET', keys[2], 'layout')
  if is_newer(layout, args[3]) then return {'NEWER', layout} end
  local epoch, position, times = source_in(redis.call('HGET', keys[1], args[1]))
  if not larger_number(args[2], epoch) then return {'FENCED'} end
  redis.call('HSET', keys[2], 'layout', args[3])
  redis.call('HSET', keys[1], args[1], args[2] .. ' ' .. position .. ' ' .. times)
  return {'OK', position}
end

-- The values of the fields [first, last] of a hash.
local function values_of(key, fields, first, last)
  local values = redis.pcall('HMGET', key, unpack(fields, first, last))
  if values.err then error(string.match(values.err, '^WRONGTYPE') and wrong_type(key) or values) end
  return values
end

-- The larger of what is known of a product and what is said: the later of two facts; of two at the same time, the larger.
-- What is of after `latest` gives way to anything else.
local function is_later(value, at_ms, known_value, known_ms, larger, latest)
  if at_ms >= 0 and known_ms >= 0 and (at_ms > latest) ~= (known_ms > latest) then return known_ms > latest end
  return at_ms > known_ms or (at_ms == known_ms and value ~= known_value and larger(value, known_value))
end

-- Adds the rows of a merge to those that products have: a row each, as `values.py` has them. What a newer release has
-- added behind stays. Answers with products
-- and rows to write, one after the other, and with the products whose category becomes another.
local function told(key, said, latest)
  local products, rows = {}, {}
  for product, row in pairs(said) do
    products[#products + 1], rows[#rows + 1] = product, row
  end
  local written, moved = {}, {}
  for begin = 1, #products, UNPACKED do
    local to = math.min(begin + UNPACKED - 1, #products)
    for index, known in ipairs(values_of(key, products, begin, to)) do
      local product, row = products[begin + index - 1], rows[begin + index - 1]
      if known then
        known = cmsgpack.unpack(known)
        for at = #row + 1, #known do row[at] = known[at] end
        row[1] = row[1] + known[1]
        if not is_later(row[2], row[3], known[2], known[3], larger_text, latest) then row[2], row[3] = known[2], known[3] end
        if not is_later(row[4], row[5], known[4], known[5], larger_text, latest) then
          row[4], row[5] = known[4], known[5]
        elseif known[5] >= 0 and row[4] ~= known[4] then
          moved[#moved + 1] = product
        end
        if not is_later(row[6], row[7], known[6], known[7], larger_number, latest) then row[6], row[7] = known[6], known[7] end
      end
      written[#written + 1] = product
      written[#written + 1] = cmsgpack.pack(row)
    end
  end
  return written, moved
end

-- Adds to the numbers of a hash, which are given as (field, growth). Answers with fields and numbers to write, and with
-- those that Lua cannot add exactly, to be left to the server; with nothing where some number would leave 64 bits.
local function grown(key, growth)
  local fields, written, left = {}, {}, {}
  for index = 1, #growth, 2 do fields[#fields + 1] = growth[index] end
  for begin = 1, #fields, UNPACKED do
    local to = math.min(begin + UNPACKED - 1, #fields)
    for index, known in ipairs(values_of(key, fields, begin, to)) do
      local at = 2 * (begin + index - 1)
      if known and not is_whole(known) then return end
      local into = (known and #known > EXACT) and left or written
      into[#into + 1] = growth[at - 1]
      into[#into + 1] = into == left and growth[at] or (known or 0) + growth[at]
    end
  end
  return written, left
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

-- The first of some keys, of those from `first` to `last`, that is no sorted set; they are looked at by one command,
-- which has nothing to count, as one of its keys, `absent`, is never there. It lets plain sets pass.
local function not_sorted(keys, absent, first, last)
  for begin = first, last, UNPACKED do
    local to = math.min(begin + UNPACKED - 1, last)
    local answer = redis.pcall('ZINTERCARD', to - begin + 2, absent, unpack(keys, begin, to))
    if type(answer) == 'table' then
      for index = begin, to do
        local kind = redis.call('TYPE', keys[index]).ok
        if kind ~= 'zset' and kind ~= 'none' then return keys[index] end
      end
    end
  end
end

-- Advances sources, each given as partition, epoch, from, to, four times. Answers with a refusal, or with nothing and
-- with partitions and what to write of them.
local function advanced(key, sources)
  local partitions, superseded, written, is_at = {}, {'SUPERSEDED'}, {}, true
  for index, source in ipairs(sources) do partitions[index] = source[1] end
  for begin = 1, #partitions, UNPACKED do
    local to = math.min(begin + UNPACKED - 1, #partitions)
    for index, known in ipairs(values_of(key, partitions, begin, to)) do
      local source = sources[begin + index - 1]
      local epoch, position = source_in(known)
      if epoch ~= source[2] then return {'FENCED'} end
      is_at = is_at and position == source[3]
      superseded[#superseded + 1] = source[1]
      superseded[#superseded + 1] = position
      written[#written + 1] = source[1]
      written[#written + 1] = table.concat({source[2], unpack(source, 4)}, ' ')
    end
  end
  if not is_at then return superseded end
  return nil, written
end

-- Adds sessions, as (time, session), to a list that keeps the newest of them, and some more for a while.
local function list_sessions(key, entries, listed)
  for begin = 1, #entries, UNPACKED do
    redis.call('ZADD', key, 'GT', unpack(entries, begin, math.min(begin + UNPACKED - 1, #entries)))
  end
  if redis.call('ZCARD', key) > 1.2 * listed then redis.call('ZREMRANGEBYRANK', key, 0, -listed - 1) end
end

-- What a merge may do from its first write on.
local function merge_calls(hash, sorted)
  return {
    {'ZADD', sorted, '0', ''}, {'ZCARD', sorted}, {'ZREMRANGEBYRANK', sorted, '0', '0'}, {'ZRANGE', sorted, '0', '0'},
    {'HSET', hash, '', ''}, {'HDEL', hash, ''}, {'UNLINK', hash}, {'HINCRBY', hash, '', '1'},
  }
end

-- keys: sources, products, moved, one that is never there, totals, then hashes of numbers, then lists of sessions, then of each
-- hour that goes the hash that lists it, and its own.
-- args: one map, MessagePack: `sources`; `products`, rows by product; `numbers`, of each hash what grows, as (field,
-- growth); `lists`, of each list what it gains; `listed`, how many sessions a list keeps; `latest`, after which time nobody can
-- have said anything yet; `gone`, the hours that go; `layout`, that of the release whose worker merges.
local function merge(keys, args)
  local said = cmsgpack.unpack(args[1])
  local layout = redis.call('HGET', keys[5], 'layout')
  if is_newer(layout, said.layout) then return {'NEWER', layout} end
  local refusal, sources = advanced(keys[1], said.sources)
  if refusal then return refusal end

  local hashes, lists, gone = #said.numbers, #said.lists, #said.gone
  local of_lists, of_gone = FIXED + hashes, FIXED + hashes + lists
  for index = of_gone + 1, of_gone + 2 * gone, 2 do
    if not is_hash(keys[index]) then return wrong_type(keys[index]) end
  end
  redis.call('ZCARD', keys[3]) -- fails on another type
  local wrong = not_sorted(keys, keys[4], of_lists + 1, of_gone)
  if wrong then return wrong_type(wrong) end
  local numbers, left = {}, {}
  for index, growth in ipairs(said.numbers) do
    numbers[index], left[index] = grown(keys[FIXED + index], growth)
    if not numbers[index] then
      return redis.error_reply('ERR a number of ' .. keys[FIXED + index] .. ' would leave 64 bits')
    end
  end
  local products, moved = told(keys[2], said.products, said.latest)

  refusal = check_rights(merge_calls(keys[1], keys[3]))
  if refusal then return refusal end

  -- Lists come first: a plain set among them refuses here, and what is listed may be listed again.
  for index, entries in ipairs(said.lists) do list_sessions(keys[of_lists + index], entries, said.listed) end
  in_parts('HSET', keys[1], sources, 1, #sources)
  for index, hour in ipairs(said.gone) do
    redis.call('HDEL', keys[of_gone + 2 * index - 1], hour)
    redis.call('UNLINK', keys[of_gone + 2 * index])
  end
  in_parts('HSET', keys[2], products, 1, #products)
  note_moved(keys[3], moved)
  for index = 1, hashes do
    in_parts('HSET', keys[FIXED + index], numbers[index], 1, #numbers[index])
    for at = 1, #left[index], 2 do redis.call('HINCRBY', keys[FIXED + index], left[index][at], left[index][at + 1]) end
  end
  return {'OK'}
end

redis.register_function{function_name = 'rp9_denied', callback = denied, flags = {'no-writes', 'allow-oom'}}
-- Those that make room, or must work for it to be made, may run when memory is full.
redis.register_function{function_name = 'rp9_claim', callback = claim, flags = {'allow-oom'}}
redis.register_function('rp9_commit', commit)
redis.register_function{function_name = 'rp9_trim', callback = trim, flags = {'allow-oom'}}
redis.register_function{function_name = 'rp9_claim_views', callback = claim_views, flags = {'allow-oom'}}
redis.register_function{function_name = 'rp9_merge', callback = merge, flags = {'allow-oom'}}
