-- Functions' parts for the catalogue: the facts of products, and the sales that their stock is counted by.

local SALES_STEP = 512 -- each time a product has so many more times of sales, those that are not needed are deleted

-- Sums up the units of a hash of sales (pairs of time and units) that were sold after a time.
local function units_after(sales, set_ms)
  local units = 0
  for index = 1, #sales, 2 do
    if tonumber(sales[index]) > set_ms then units = units + tonumber(sales[index + 1]) end
  end
  return units
end

-- Merges facts into the stored listing of a product: last write wins. Returns the listing, nil where there is none, and
-- whether the time of its stock is another.
local function merge_facts(stored, facts, latest_ms)
  local listing = stored and cmsgpack.unpack(stored) or {{}, 0}
  local stock = listing[1].stock
  local before_ms, is_empty = stock and stock[2], stored == false
  for index = 1, #facts, 3 do
    local name, value, at_ms = facts[index], facts[index + 1], facts[index + 2]
    local known = listing[1][name]
    if not known or replaces(value, at_ms, known[1], known[2], larger_text, latest_ms) then
      listing[1][name] = {value, at_ms}
    end
    is_empty = false
  end
  stock = listing[1].stock
  if is_empty then return nil, false end
  return listing, stock and stock[2] ~= before_ms
end

-- Adds the units of sales (pairs of time and units) to the stored ones, but for sales before `first_ms`. Returns the sums
-- to write, as pairs, or nothing where a stored one is not a whole number.
local function add_sales(key, sales, first_ms)
  local fields, sums = {}, {}
  for index = 1, #sales, 2 do fields[#fields + 1] = sales[index] end
  for begin = 1, #fields, UNPACKED_MAX do
    local to = math.min(begin + UNPACKED_MAX - 1, #fields)
    for offset, stored in ipairs(read_fields(key, fields, begin, to)) do
      local at = 2 * (begin + offset - 1)
      if stored and not is_whole(stored) then return end
      if tonumber(sales[at - 1]) >= first_ms then
        sums[#sums + 1] = sales[at - 1]
        sums[#sums + 1] = string.format('%.0f', (stored or 0) + sales[at])
      end
    end
  end
  return sums
end

-- Merges the changes of products; each is its product, the facts (name, value, time, flat) and the sales (time, units,
-- flat) that the merge adds. `keys` has the hash of sales of each from `first` on. Reads only. Returns what to write: the
-- listings, as pairs of product and listing, and for each change the sums of sales and the size of its hash; or nothing and the key with a value that is not a whole number.
local function merge_listings(hash, changes, keys, first, latest_ms, first_ms)
  local products, written, additions = {}, {}, {}
  for index, change in ipairs(changes) do products[index] = change[1] end
  for begin = 1, #products, UNPACKED_MAX do
    local to = math.min(begin + UNPACKED_MAX - 1, #products)
    for offset, stored in ipairs(read_fields(hash, products, begin, to)) do
      local index = begin + offset - 1
      local change, key = changes[index], keys[first + index - 1]
      local listing, is_set = merge_facts(stored, change[2], latest_ms)
      if is_set then
        local set_ms = listing[1].stock[2]
        local sales = redis.call('HGETALL', key)
        listing[2] = units_after(sales, set_ms) + units_after(change[3], set_ms)
      elseif listing and listing[1].stock then
        listing[2] = listing[2] + units_after(change[3], listing[1].stock[2])
      end
      if listing then
        written[#written + 1] = change[1]
        written[#written + 1] = cmsgpack.pack(listing)
      end
      local sums = add_sales(key, change[3], first_ms)
      if not sums then return nil, key end
      additions[index] = {sums, redis.call('HLEN', key)}
    end
  end
  return written, additions
end

-- Writes the sales of a product to its hash. Now and then it deletes those that no stock level can be older than.
local function write_sales(key, addition, first_ms)
  local sums, before = addition[1], addition[2]
  call_in_parts('HSET', key, sums, 1, #sums)
  local size = redis.call('HLEN', key)
  if math.floor(size / SALES_STEP) > math.floor(before / SALES_STEP) then
    local old = {}
    for _, at_ms in ipairs(redis.call('HKEYS', key)) do
      if tonumber(at_ms) < first_ms then old[#old + 1] = at_ms end
    end
    call_in_parts('HDEL', key, old, 1, #old)
  end
end
