"""After a restore: what was traded since the backup is at the broker, and nowhere here.

The first reconciliations of a restored journal take it up as ours, under the keys it was submitted with; only then are
submits taken. A bot that repeats a key is answered with the order that it became.

Rule 1: nothing is asked of clocks. Whatever the broker shows that this journal does not know is taken up, until a
reconciliation that began a settle time after the start is through: by then nothing that was on its way is unseen.
Rule 2: a kill at any moment begins it again. What was taken up is known by then.
Rule 3: an order that somebody placed elsewhere meanwhile looks the same, and is taken up too. That is the safe mistake:
it is counted, followed, and cancelled with the others.
"""

from datetime import datetime

import msgspec

from orderd.engine.account import Account

RESTORED = "restored"
"""The mark that `orderd restore` leaves."""


class _Mark(msgspec.Struct, frozen=True):
    since: datetime
    """Everything in the backup was recorded by then, by our clock."""


def _taken_up(account: Account) -> str:
    return f"taken_up:{account.account_id}"


async def load(account: Account) -> None:
    """See whether this account has orders to take up."""
    restored = await account.journal.mark(RESTORED)
    if restored is not None and await account.journal.mark(_taken_up(account)) != account.journal.journal_id:
        account.lost_since = msgspec.json.decode(restored, type=_Mark).since


async def done(account: Account) -> None:
    """All of it is taken up. A journal that is restored again has another id, and begins again."""
    await account.journal.set_mark(_taken_up(account), account.journal.journal_id)
    account.lost_since = None
