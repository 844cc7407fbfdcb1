"""Safeguards of files, of sinks and of processes."""

from tests.mutation.mutation import Mutation

FORKS = "tests/integration/test_forks.py"

MUTATIONS = [
    Mutation(
        "sessions listed by arrival, in memory",
        "infrastructure/memory/views.py",
        "                del listed[min(listed, key=lambda session: (listed[session], session))]\n",
        "                del listed[next(iter(listed))]\n",
        ("tests/infrastructure/memory/test_memory.py",),
    ),
    Mutation(
        "no fence, in memory",
        "infrastructure/memory/cells.py",
        "        if (commit.epoch, commit.from_position, commit.number) != ",
        "        if False and () != ",
        ("tests/infrastructure/memory/test_memory.py",),
    ),
    Mutation(
        "a backup takes the place of a file that came meanwhile",
        "infrastructure/atomic_file.py",
        "        os.link(part, file)\n",
        "        os.link(part, str(part) + '2')\n        os.replace(str(part) + '2', file)\n",
        ("tests/infrastructure/sqlite/test_backups.py::test_a_file_created_during_a_backup_is_not_overwritten",),
    ),
    Mutation(
        "a thread that fails is not noticed",
        "infrastructure/system/background_worker.py",
        "                self._failure = error\n",
        "                pass\n",
        ("tests/test_processing.py",),
    ),
    Mutation(
        "dead letters are replayed though their marks end before the log",
        "infrastructure/memory/dead_letters.py",
        "            if records and self._outlives:\n",
        "            if records and False:\n",
        ("tests/test_operations.py",),
    ),
    Mutation(
        "a batch is written into a folder that has it already",
        "infrastructure/files/sink.py",
        "            if position != delivery.from_position:\n",
        "            if False:\n",
        ("tests/infrastructure/files/test_sink.py",),
    ),
    Mutation(
        "half an export has the name of a whole one",
        "infrastructure/atomic_file.py",
        '    part = file.with_name(f"{file.name}.{uuid4().hex[:8]}{PART}")\n',
        "    part = file\n",
        ("tests/infrastructure/test_atomic_file.py",),
    ),
    Mutation(
        "a forked process uses what its parent has opened",
        "infrastructure/system/background_worker.py",
        "        self._process.check()\n",
        "",
        (f"{FORKS}::test_in_a_child_every_call_of_a_pipeline_used_before_the_fork_fails_at_once[sqlite]",),
    ),
]
