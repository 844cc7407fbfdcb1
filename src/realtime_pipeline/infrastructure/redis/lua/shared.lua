-- What all Functions share. `functions.py` joins the files of this folder to the text of one library.
--
-- Each Function is one step: no other client sees or changes anything before it ends. Redis does not roll back a
-- Function that fails half way. So a Function checks everything that may fail (epochs, types, numbers, rights) before
-- its first write. A write that may be repeated can come before a check.
--
-- Integers stay decimal strings, because Lua's numbers are exact to 2^53 only.
--
-- Every Function replies with a list: 'OK' and its results, or the name of a refusal: 'FENCED' (another owner has a
-- larger epoch, or the cell is at another position), 'NEWER' (a newer release has claimed it), 'POSITION_MISMATCH'.

local UNPACKED_MAX = 2000 -- arguments of one command; Lua's stack holds some 8,000
local EXACT_DIGITS_MAX = 15 -- Lua adds numbers of so many digits exactly

local function is_whole(text)
  return string.match(text, '^-?%d+$') ~= nil and #text <= 18
end

-- Compares bytes: Lua's own comparison depends on the server's locale.
local function larger_text(left, right)
  for at = 1, math.min(#left, #right) do
    local left_byte, right_byte = string.byte(left, at), string.byte(right, at)
    if left_byte ~= right_byte then return left_byte > right_byte end
  end
  return #left > #right
end

-- Compares two whole numbers; neither is negative.
local function larger_number(left, right)
  if #left ~= #right then return #left > #right end
  return larger_text(left, right)
end

local function is_hash(key)
  local kind = redis.call('TYPE', key).ok
  return kind == 'hash' or kind == 'none'
end

local function wrong_type(key)
  return redis.error_reply('WRONGTYPE ' .. key .. ' is of another type than this program gives it')
end

-- Returns an error where the user may not make some of the calls. A call is a command with its arguments; it is not
-- made here. Redis checks the keys of a Function when the Function is called, but a command only when it is made: by
-- then other commands have written.
local function check_rights(calls)
  for _, call in ipairs(calls) do
    if not redis.acl_check_cmd(unpack(call)) then
      local command = string.lower(call[1])
      return redis.error_reply("NOPERM this user has no permissions to run the '" .. command .. "' command")
    end
  end
end

-- args: calls, each a list in MessagePack. Replies with the numbers of the calls that the user may not make.
local function denied(_, args)
  local numbers = {}
  for number, call in ipairs(args) do
    if not redis.acl_check_cmd(unpack(cmsgpack.unpack(call))) then numbers[#numbers + 1] = number end
  end
  return numbers
end

-- Calls a command on a key with the arguments [first, first + count), at most UNPACKED_MAX at a time. That maximum is
-- even, so it never parts a pair of arguments.
local function call_in_parts(command, key, args, first, count)
  local last = first + count - 1
  while first <= last do
    local to = math.min(first + UNPACKED_MAX - 1, last)
    redis.call(command, key, unpack(args, first, to))
    first = to + 1
  end
end

-- Reads the values of the fields [first, last] of a hash.
local function read_fields(key, fields, first, last)
  local values = redis.pcall('HMGET', key, unpack(fields, first, last))
  if values.err then error(string.match(values.err, '^WRONGTYPE') and wrong_type(key) or values) end
  return values
end

-- Last write wins: whether a fact replaces the stored fact. The later fact wins; of two with the same time, the larger
-- value. A fact with a time after `latest_ms` loses against every other: it is from a clock that was ahead.
local function replaces(value, at_ms, stored_value, stored_ms, larger, latest_ms)
  local is_ahead, stored_is_ahead = at_ms > latest_ms, stored_ms > latest_ms
  if at_ms >= 0 and stored_ms >= 0 and is_ahead ~= stored_is_ahead then return stored_is_ahead end
  return at_ms > stored_ms or (at_ms == stored_ms and value ~= stored_value and larger(value, stored_value))
end

-- Whether a newer release than the caller's has claimed the cell or the view cells: it writes its layout there.
local function is_newer(layout, own)
  return layout and larger_number(layout, own)
end

redis.register_function{function_name = 'rp12_denied', callback = denied, flags = {'no-writes', 'allow-oom'}}
