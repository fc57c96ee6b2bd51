"""The memory: append, read, fence. Stores opaque records; imports nothing of ours.

One writer per journal, one journal per owner or executor, all journals of an engine in one directory. What a record
means is the caller's business; that it is still there, unchanged and in order, is ours.
"""

from journal.errors import (
    Fenced,
    JournalDamaged,
    JournalError,
    JournalFailed,
    JournalLocked,
    JournalMissing,
    JournalVersion,
)
from journal.forgetful import ForgetfulJournal, stores
from journal.port import Entry, Journal, Level, Record
from journal.reading import Verdict, list_journals, read_journal, verify
from journal.sqlite import SqliteJournal, open_journal

__all__ = [
    "Entry",
    "Fenced",
    "ForgetfulJournal",
    "Journal",
    "JournalDamaged",
    "JournalError",
    "JournalFailed",
    "JournalLocked",
    "JournalMissing",
    "JournalVersion",
    "Level",
    "Record",
    "SqliteJournal",
    "Verdict",
    "list_journals",
    "open_journal",
    "read_journal",
    "stores",
    "verify",
]
