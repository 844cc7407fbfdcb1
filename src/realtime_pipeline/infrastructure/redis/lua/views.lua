-- Functions of view cells: claim_views, merge.

local FIXED_KEYS = 6 -- the first keys of every merge

-- Parses a source partition's entry: epoch, position, and the four times of its watermark as one text.
local function parse_source(raw)
  if not raw then return '0', '0', '-1 -1 -1 -1' end
  return string.match(raw, '^(%d+) (%d+) (.+)$')
end

-- Fences earlier owners of a source partition: writes a larger epoch, then replies with the view cell's position.
-- keys: sources, totals. args: partition, epoch, layout.
local function claim_views(keys, args)
  local layout = redis.call('HGET', keys[2], 'layout')
  if is_newer(layout, args[3]) then return {'NEWER', layout} end
  local epoch, position, times = parse_source(redis.call('HGET', keys[1], args[1]))
  if not larger_number(args[2], epoch) then return {'FENCED'} end
  redis.call('HSET', keys[2], 'layout', args[3])
  redis.call('HSET', keys[1], args[1], args[2] .. ' ' .. position .. ' ' .. times)
  return {'OK', position}
end

-- Merges rows of products into the stored rows; `rows.py` describes a row. Elements that a newer release has appended
-- stay. Returns what to write, as pairs of product and row, and the products that moved to another category.
local function merge_products(key, new_rows, latest_ms)
  local products, rows = {}, {}
  for product, row in pairs(new_rows) do
    products[#products + 1], rows[#rows + 1] = product, row
  end
  local written, moved = {}, {}
  for begin = 1, #products, UNPACKED_MAX do
    local to = math.min(begin + UNPACKED_MAX - 1, #products)
    for index, raw in ipairs(read_fields(key, products, begin, to)) do
      local product, row = products[begin + index - 1], rows[begin + index - 1]
      if raw then
        local stored = cmsgpack.unpack(raw)
        for at = #row + 1, #stored do row[at] = stored[at] end
        row[1] = row[1] + stored[1]
        if not replaces(row[2], row[3], stored[2], stored[3], larger_text, latest_ms) then
          row[2], row[3] = stored[2], stored[3]
        end
        if not replaces(row[4], row[5], stored[4], stored[5], larger_text, latest_ms) then
          row[4], row[5] = stored[4], stored[5]
        elseif stored[5] >= 0 and row[4] ~= stored[4] then
          moved[#moved + 1] = product
        end
        if not replaces(row[6], row[7], stored[6], stored[7], larger_number, latest_ms) then
          row[6], row[7] = stored[6], stored[7]
        end
      end
      written[#written + 1] = product
      written[#written + 1] = cmsgpack.pack(row)
    end
  end
  return written, moved
end

-- Adds increments, given as pairs of field and increment, to the counts of a hash. Returns the sums to write, as pairs,
-- and the increments that Lua cannot add exactly: HINCRBY adds those. Returns nothing where a count is not a whole
-- number or would leave 64 bits.
local function add_counts(key, increments)
  local fields, sums, for_server = {}, {}, {}
  for index = 1, #increments, 2 do fields[#fields + 1] = increments[index] end
  for begin = 1, #fields, UNPACKED_MAX do
    local to = math.min(begin + UNPACKED_MAX - 1, #fields)
    for index, stored in ipairs(read_fields(key, fields, begin, to)) do
      local at = 2 * (begin + index - 1)
      if stored and not is_whole(stored) then return end
      local target = (stored and #stored > EXACT_DIGITS_MAX) and for_server or sums
      target[#target + 1] = increments[at - 1]
      target[#target + 1] = target == for_server and increments[at] or (stored or 0) + increments[at]
    end
  end
  return sums, for_server
end

-- Gives all products of a merge that moved to another category one number, larger than any number before.
local function record_moved(key, products)
  if #products == 0 then return end
  local number, scored = (redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2] or 0) + 1, {}
  for index, product in ipairs(products) do
    scored[2 * index - 1], scored[2 * index] = number, product
  end
  call_in_parts('ZADD', key, scored, 1, #scored)
end

-- Finds the first of the keys [first, last] that is not a sorted set. One command checks the types of many keys: it
-- intersects them with `absent`, a key that does not exist, so it counts nothing. It accepts plain sets.
local function find_unsorted(keys, absent, first, last)
  for begin = first, last, UNPACKED_MAX do
    local to = math.min(begin + UNPACKED_MAX - 1, last)
    local reply = redis.pcall('ZINTERCARD', to - begin + 2, absent, unpack(keys, begin, to))
    if type(reply) == 'table' then
      for index = begin, to do
        local kind = redis.call('TYPE', keys[index]).ok
        if kind ~= 'zset' and kind ~= 'none' then return keys[index] end
      end
    end
  end
end

-- Advances the positions of source partitions, each given as partition, epoch, from, to, four times. Returns a refusal,
-- or nothing and what to write, as pairs of partition and entry.
local function advance_positions(key, sources)
  local partitions, mismatch, written, is_at = {}, {'POSITION_MISMATCH'}, {}, true
  for index, source in ipairs(sources) do partitions[index] = source[1] end
  for begin = 1, #partitions, UNPACKED_MAX do
    local to = math.min(begin + UNPACKED_MAX - 1, #partitions)
    for index, raw in ipairs(read_fields(key, partitions, begin, to)) do
      local source = sources[begin + index - 1]
      local epoch, position = parse_source(raw)
      if epoch ~= source[2] then return {'FENCED'} end
      is_at = is_at and position == source[3]
      mismatch[#mismatch + 1] = source[1]
      mismatch[#mismatch + 1] = position
      written[#written + 1] = source[1]
      written[#written + 1] = table.concat({source[2], unpack(source, 4)}, ' ')
    end
  end
  if not is_at then return mismatch end
  return nil, written
end

-- Adds sessions, given as pairs of time and session, to a product's list. The list evicts its oldest sessions when it
-- has a fifth more than `size_max`.
local function list_sessions(key, entries, size_max)
  for begin = 1, #entries, UNPACKED_MAX do
    redis.call('ZADD', key, 'GT', unpack(entries, begin, math.min(begin + UNPACKED_MAX - 1, #entries)))
  end
  if redis.call('ZCARD', key) > 1.2 * size_max then redis.call('ZREMRANGEBYRANK', key, 0, -size_max - 1) end
end

-- The commands that a merge may use from its first write on.
local function merge_calls(hash, sorted)
  return {
    {'ZADD', sorted, '0', ''}, {'ZCARD', sorted}, {'ZREMRANGEBYRANK', sorted, '0', '0'}, {'ZRANGE', sorted, '0', '0'},
    {'HSET', hash, '', ''}, {'HDEL', hash, ''}, {'UNLINK', hash}, {'HINCRBY', hash, '', '1'}, {'HLEN', hash}, {'HKEYS', hash},
  }
end

-- keys: sources, products, moved, absent, totals, listings; the hashes of counts; the lists of sessions; the hashes of
-- sales; for each expired hour, the hash that lists the hour and the hash of its activity.
-- args: one map in MessagePack: `sources`; `products`, rows by product; `counts`, for each hash its increments as
-- (field, increment); `lists`, for each list its new entries as (time, session); `list_size_max`; `latest_ms`, the
-- latest time that a fact can have now; `catalogue`, for each hash of sales its product with facts and sales;
-- `first_sale_ms`, before which sales decide nothing; `expired`, the hours to delete; `layout`, that of the worker's release.
local function merge(keys, args)
  local request = cmsgpack.unpack(args[1])
  local layout = redis.call('HGET', keys[5], 'layout')
  if is_newer(layout, request.layout) then return {'NEWER', layout} end
  local refusal, sources = advance_positions(keys[1], request.sources)
  if refusal then return refusal end

  local hashes, lists, expired = #request.counts, #request.lists, #request.expired
  local before_lists, before_sales = FIXED_KEYS + hashes, FIXED_KEYS + hashes + lists
  local before_expired = before_sales + #request.catalogue
  for index = before_sales + 1, before_expired do
    if not is_hash(keys[index]) then return wrong_type(keys[index]) end
  end
  for index = before_expired + 1, before_expired + 2 * expired, 2 do
    if not is_hash(keys[index]) then return wrong_type(keys[index]) end
  end
  redis.call('ZCARD', keys[3]) -- fails on another type
  local wrong = find_unsorted(keys, keys[4], before_lists + 1, before_sales)
  if wrong then return wrong_type(wrong) end
  local sums, for_server = {}, {}
  for index, increments in ipairs(request.counts) do
    sums[index], for_server[index] = add_counts(keys[FIXED_KEYS + index], increments)
    if not sums[index] then
      return redis.error_reply('ERR a number of ' .. keys[FIXED_KEYS + index] .. ' would leave 64 bits')
    end
  end
  local products, moved = merge_products(keys[2], request.products, request.latest_ms)
  local listings, sales = merge_listings(keys[6], request.catalogue, keys, before_sales + 1, request.latest_ms,
    request.first_sale_ms)
  if not listings then return redis.error_reply('ERR a number of ' .. sales .. ' is not whole') end

  refusal = check_rights(merge_calls(keys[1], keys[3]))
  if refusal then return refusal end

  -- Lists come first: ZADD refuses a plain set among them, and a list may get the same entries again.
  for index, entries in ipairs(request.lists) do
    list_sessions(keys[before_lists + index], entries, request.list_size_max)
  end
  call_in_parts('HSET', keys[1], sources, 1, #sources)
  for index, hour in ipairs(request.expired) do
    redis.call('HDEL', keys[before_expired + 2 * index - 1], hour)
    redis.call('UNLINK', keys[before_expired + 2 * index])
  end
  call_in_parts('HSET', keys[2], products, 1, #products)
  record_moved(keys[3], moved)
  call_in_parts('HSET', keys[6], listings, 1, #listings)
  for index, addition in ipairs(sales) do
    write_sales(keys[before_sales + index], addition, request.first_sale_ms)
  end
  for index = 1, hashes do
    local key, increments = keys[FIXED_KEYS + index], for_server[index]
    call_in_parts('HSET', key, sums[index], 1, #sums[index])
    for at = 1, #increments, 2 do redis.call('HINCRBY', key, increments[at], increments[at + 1]) end
  end
  return {'OK'}
end

-- With `allow-oom` both run while memory is full: an outbox can be trimmed only when the views have its entries.
redis.register_function{function_name = 'rp12_claim_views', callback = claim_views, flags = {'allow-oom'}}
redis.register_function{function_name = 'rp12_merge', callback = merge, flags = {'allow-oom'}}
