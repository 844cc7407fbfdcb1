"""Safeguards of the catalogue: facts, stock, and removed products."""

from tests.mutation.mutation import Mutation

CATALOGUE = "tests/test_catalogue.py"
MEMORY = "tests/infrastructure/memory/test_memory.py"
SQLITE = "tests/infrastructure/sqlite/test_sqlite.py"
REDIS = "tests/infrastructure/redis/test_contracts.py"

MUTATIONS = [
    Mutation(
        "sales before the stock was set count",
        "domain/views/sales.py",
        "for at_ms, units in sales.items() if at_ms > set_ms)",
        "for at_ms, units in sales.items() if at_ms > 0)",
        (CATALOGUE,),
    ),
    Mutation(
        "a stock that is set again counts the sales before",
        "domain/views/sales.py",
        "        listing.sold = _units_after(all_sales(), set_ms)\n",
        "        listing.sold += _units_after(sales, set_ms)\n",
        (MEMORY,),
    ),
    Mutation(
        "a purchase that is counted twice is sold twice",
        "domain/views/sales.py",
        "            table[key] = table.get(key, 0) - event.quantity\n",
        "            pass\n",
        (CATALOGUE,),
    ),
    Mutation(
        "sales are deleted before all partitions have come so far",
        "domain/views/sales.py",
        "    if not watermarks_ms or len(watermarks_ms) < partitions:\n",
        "    if not watermarks_ms:\n",
        ("tests/domain/views/test_sales.py",),
    ),
    Mutation(
        "a stock level may be of a time whose sales are deleted",
        "domain/streams/timeliness.py",
        "    if behind_ms > settings.stock_lateness_ms and STOCK in event.facts:\n",
        "    if False:\n",
        (CATALOGUE,),
    ),
    Mutation(
        "old sales stay, in SQLite",
        "infrastructure/sqlite/listings.py",
        '        connection.execute("DELETE FROM sales WHERE at_ms < ?", (first_ms,))\n',
        "        pass\n",
        (SQLITE,),
    ),
    Mutation(
        "old sales stay, in Redis",
        "infrastructure/redis/lua/listings.lua",
        "      if tonumber(at_ms) < first_ms then old[#old + 1] = at_ms end\n",
        "",
        (REDIS,),
    ),
    Mutation(
        "a stock that is set again counts no earlier merges, in Redis",
        "infrastructure/redis/lua/listings.lua",
        "        listing[2] = units_after(sales, set_ms) + units_after(change[3], set_ms)\n",
        "        listing[2] = units_after(change[3], set_ms)\n",
        (REDIS,),
    ),
    Mutation(
        "a removed product is recommended",
        "domain/recommendation/list_rules.py",
        "        if product.is_removed:\n",
        "        if False:\n",
        (CATALOGUE,),
    ),
    Mutation(
        "a removed product is pinned",
        "domain/recommendation/pins.py",
        "            if slot <= limit and not (product_id in products and products[product_id].is_removed)\n",
        "            if slot <= limit\n",
        (CATALOGUE,),
    ),
    Mutation(
        "a removed product is pinned in a list with exploration",
        "application/serving/exploration.py",
        "{*cold, *rules.pinned, *(",
        "{*cold, *(",
        (CATALOGUE,),
    ),
    Mutation(
        "the catalogue moves the shop's time",
        "domain/streams/fold.py",
        "        if event.facts is NO_FACTS:\n",
        "        if True:\n",
        (CATALOGUE,),
    ),
    Mutation(
        "an import counts levels that are too late as good",
        "application/ingestion/import_catalogue.py",
        "        if reason is not None:\n",
        "        if False:\n",
        (CATALOGUE,),
    ),
    Mutation(
        "candidates are not described without rules that need it",
        "application/serving/recommend_products.py",
        "if rules.needs_descriptions else self._cache.stored(product_ids)",
        "if rules.needs_descriptions else {}",
        (CATALOGUE,),
    ),
    Mutation(
        "an import removes products beside invalid rows",
        "application/ingestion/import_catalogue.py",
        "        if missing and invalid:\n",
        "        if False:\n",
        (CATALOGUE,),
    ),
    Mutation(
        "an import removes nearly all products",
        "application/ingestion/import_catalogue.py",
        "        if len(missing) > share_max * len(listed):\n",
        "        if False:\n",
        (CATALOGUE,),
    ),
    Mutation(
        "an entry with sales is read by releases that would lose them",
        "infrastructure/codecs/outbox.py",
        "    if entry.deltas.listings or entry.deltas.sales:\n        encode = _encode_with_catalogue\n",
        "",
        ("tests/laws/test_format_laws.py",),
    ),
]
