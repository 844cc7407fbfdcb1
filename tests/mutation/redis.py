"""Safeguards of the store in Redis."""

from tests.mutation.mutation import Mutation

REDIS = (
    "tests/infrastructure/redis/test_contracts.py",
    "tests/infrastructure/redis/test_checks_before_writes.py",
    "tests/infrastructure/redis/test_servers.py",
)
RIGHTS = ("tests/infrastructure/redis/test_rights.py",)
RESHARDING = "tests/infrastructure/redis/test_resharding.py"
CELL_FUNCTIONS = "infrastructure/redis/lua/cells.lua"
VIEW_FUNCTIONS = "infrastructure/redis/lua/views.lua"
SHARED_FUNCTIONS = "infrastructure/redis/lua/shared.lua"
REDIS_VERSIONS = ("tests/infrastructure/redis/test_versions.py",)

MUTATIONS = [
    Mutation(
        "no fence, in Redis",
        CELL_FUNCTIONS,
        "  if found[1] ~= args[1] or found[2] ~= args[2] or found[3] ~= args[3] then return {'FENCED'} end\n",
        "",
        REDIS,
    ),
    Mutation(
        "any epoch claims a cell in Redis",
        CELL_FUNCTIONS,
        "  if found[1] and not larger_number(args[1], found[1]) then return {'FENCED'} end\n",
        "",
        REDIS,
    ),
    Mutation(
        "any epoch claims the views in Redis",
        VIEW_FUNCTIONS,
        "  if not larger_number(args[2], epoch) then return {'FENCED'} end\n",
        "",
        REDIS,
    ),
    Mutation(
        "an earlier owner may merge, in Redis",
        VIEW_FUNCTIONS,
        "      if epoch ~= source[2] then return {'FENCED'} end\n",
        "",
        REDIS,
    ),
    Mutation(
        "a merge may be repeated, in Redis",
        VIEW_FUNCTIONS,
        "  if not is_at then return mismatch end\n",
        "",
        REDIS,
    ),
    Mutation(
        "an older worker claims a newer release's cell",
        CELL_FUNCTIONS,
        "  if is_newer(found[8], args[2]) then return {'NEWER', found[8]} end\n",
        "",
        REDIS_VERSIONS,
    ),
    Mutation(
        "an older worker claims a newer release's views",
        VIEW_FUNCTIONS,
        "  if is_newer(layout, args[3]) then return {'NEWER', layout} end\n",
        "",
        REDIS_VERSIONS,
    ),
    Mutation(
        "an older worker merges into a newer release's views",
        VIEW_FUNCTIONS,
        "  if is_newer(layout, request.layout) then return {'NEWER', layout} end\n",
        "",
        REDIS_VERSIONS,
    ),
    Mutation(
        "what a newer release added to a product is written away",
        VIEW_FUNCTIONS,
        "        for at = #row + 1, #stored do row[at] = stored[at] end\n",
        "",
        REDIS_VERSIONS,
    ),
    Mutation(
        "an earlier owner may trim",
        CELL_FUNCTIONS,
        "  if redis.call('HGET', keys[1], 'epoch') ~= args[1] then return {'FENCED'} end\n  redis.call('XTRIM'",
        "  redis.call('XTRIM'",
        REDIS,
    ),
    Mutation(
        "a commit writes before it has checked",
        CELL_FUNCTIONS,
        "    if not is_hash(key) then return wrong_type(key) end\n",
        "",
        REDIS,
    ),
    Mutation(
        "a merge writes before it has checked",
        VIEW_FUNCTIONS,
        "  if wrong then return wrong_type(wrong) end\n",
        "",
        REDIS,
    ),
    Mutation(
        "numbers may leave 64 bits",
        VIEW_FUNCTIONS,
        "      if stored and not is_whole(stored) then return end\n",
        "",
        REDIS,
    ),
    Mutation(
        "numbers go through floats",
        SHARED_FUNCTIONS,
        "local EXACT_DIGITS_MAX = 15",
        "local EXACT_DIGITS_MAX = 99",
        REDIS,
    ),
    Mutation(
        "facts are merged by arrival",
        VIEW_FUNCTIONS.replace("views", "shared"),
        "  return at_ms > stored_ms or",
        "  return true or",
        REDIS,
    ),
    Mutation(
        "the entry for the readers is not kept",
        CELL_FUNCTIONS,
        "  redis.call('XADD', keys[2], args[4] .. '-0', 'entry', args[10])",
        "",
        REDIS,
    ),
    Mutation(
        "a commit writes what it may, and fails at what it may not",
        CELL_FUNCTIONS,
        "  local refusal = check_rights(commit_calls(keys[1], keys[2]))\n",
        "  local refusal = nil\n",
        RIGHTS,
    ),
    Mutation(
        "a merge writes what it may, and fails at what it may not",
        VIEW_FUNCTIONS,
        "  refusal = check_rights(merge_calls(keys[1], keys[3]))\n",
        "  refusal = nil\n",
        RIGHTS,
    ),
    Mutation(
        "a worker starts without the rights it needs",
        "infrastructure/redis/client.py",
        "                check_rights(node, self._settings)\n",
        "",
        RIGHTS,
    ),
    Mutation(
        "reviews from before a forgetting stay with who came back",
        CELL_FUNCTIONS,
        "  local others = deleted < 0 and other_fields(key, args, first_written, written) or {}\n",
        "  local others = {}\n",
        REDIS,
    ),
    Mutation(
        "who came back in the commit that forgets them is erased",
        "infrastructure/redis/commit_request.py",
        " + forgotten if key not in kept]\n",
        " + forgotten]\n",
        REDIS,
    ),
    Mutation(
        "keys are unlinked while their slot is moved, then set",
        CELL_FUNCTIONS,
        "  redis.call('XADD', keys[2], args[4] .. '-0', 'entry', args[10])",
        "  for index = 3, 2 + unlinked + set do redis.call('UNLINK', keys[index]) end\n"
        "  redis.call('XADD', keys[2], args[4] .. '-0', 'entry', args[10])",
        (f"{RESHARDING}::test_a_commit_is_atomic_while_its_slot_migrates",),
    ),
    Mutation(
        "a view cell that lost its position is served again",
        "infrastructure/redis/views.py",
        "        self._check_positions(partition)\n",
        "",
        ("tests/infrastructure/redis/test_errors.py",),
    ),
    Mutation(
        "a request does not follow its key to another node",
        "infrastructure/redis/client.py",
        "        return self._settings.cluster and isinstance(reply, redis.exceptions.AskError)",
        "        return False",
        (f"{RESHARDING}::test_slots_migrate_under_six_readers_and_a_worker",),
    ),
    Mutation(
        "any eviction policy will do",
        "infrastructure/redis/client.py",
        "                if policy.startswith(_EVICTING):\n",
        "                if False:\n",
        REDIS,
    ),
]
