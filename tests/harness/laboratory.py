"""One case of the laboratory: how often, by which dice, and the judge's verdict as a row."""

import time

from harness.judge import Verdict
from harness.waiting import TimedOut


class Laboratory:
    """Given to each test of tests/laboratory; its rows become the table of docs/reliability.md."""

    def __init__(self, case, new_stack, dice, campaign, share=100, group_commit=None):
        self.case = case
        self.dice = dice
        self.rows = []
        self._new_stack = new_stack
        self._campaign = campaign
        self._group_commit = group_commit  # none: by the dice
        self._share = share  # of the rounds of a campaign, in percent
        self._started = time.monotonic()
        self.so_far = Verdict()  # of settle() and conclude()
        self.stored_twice = 0

    def rounds(self, bounded, campaign):
        """How often the fault is made: `bounded` in scripts/test, in scripts/torture that share of
        `campaign` which was asked for, but never less."""
        return max(bounded, campaign * self._share // 100) if self._campaign else bounded

    def size(self, bounded, campaign):
        """Anything else that is larger in scripts/torture: a length, a choice, a name."""
        return campaign if self._campaign else bounded

    def stack(self, **settings):
        """A stack whose bucket keeps each version of an object, so that second uploads show; with
        either form of acknowledging."""
        settings.setdefault(
            "MQTT_GROUP_COMMIT", self._group_commit or self.dice.choice(["True", "False"])
        )
        stack = self._new_stack(**settings)
        if stack.store.running:
            stack.bucket.keep_versions()
        return stack

    def conclude(self, fault, stack, runs, within=60):
        """Waits until all is delivered, judges it, and adds the row whatever the verdict."""
        try:
            self._judge(stack, within)
        finally:
            self.add_row(fault, runs, self.so_far, stored_twice=self.stored_twice)
        assert self.so_far.expected > 0, "nothing was acknowledged: this case would prove nothing"

    def settle(self, stack, within=60):
        """In the middle of a long case: as conclude(), without the row, and empties the bucket."""
        self._judge(stack, within)
        stack.bucket.empty()
        stack.judge.turn_page()

    def _judge(self, stack, within):
        overdue = None
        try:
            stack.bridge.wait_until_subscribed(within)
            _wait_until_all_stored(stack, within)
            stack.bridge.wait_until_spool_is_empty(within)
        except AssertionError as late:
            overdue = late
        verdict = stack.judge.verdict_with_letters(stack.bridge.read_dead_letters())
        self.so_far += verdict
        self.stored_twice += stack.bucket.surplus_versions()
        assert overdue is None, f"{overdue}; {verdict}"
        assert verdict.is_good, str(verdict)
        assert_accounts_add_up(stack.bridge)

    def add_row(self, fault, runs, verdict, stored_twice=0, told=0):
        """Of the missing, `told` are in the dead letters or counted as set aside."""
        self.rows.append(
            {
                "case": self.case,
                "fault": fault,
                "runs": runs,
                "expected": verdict.expected,
                "missing": max(0, len(verdict.missing) - told) + len(verdict.missing_letters),
                "told": told + verdict.letters,
                "differing": len(verdict.differing),
                "wrong_metadata": len(verdict.wrong_metadata) + len(verdict.wrong_content_type),
                "unexpected": len(verdict.unexpected) + len(verdict.unexpected_letters),
                "stored_twice": stored_twice,
                "seconds": round(time.monotonic() - self._started, 1),
            }
        )


def _wait_until_all_stored(stack, within):
    """The time counts anew as long as objects come: a campaign may leave a long backlog."""
    stored = len(stack.bucket.etags())
    while True:
        try:
            return stack.judge.wait_until_all_stored(within)
        except TimedOut:
            before, stored = stored, len(stack.bucket.etags())
            if stored <= before:
                raise


def accounts_of(bridge):
    """The accounts of the spool, by name, from one scrape; `waiting` included."""
    metrics = bridge.metrics()
    accounts = metrics.by_label("mqtt_to_blob_spool_account_messages", "account")
    assert accounts["waiting"] == metrics.value("mqtt_to_blob_spool_messages"), accounts
    return accounts


def assert_accounts_add_up(bridge):
    """received = stored + dead-lettered + set aside + dropped + waiting, no dead letter counts twice,
    and the tool that looks into the spool says the same."""
    accounts = accounts_of(bridge)
    told = bridge.stat()["accounts"]
    assert accounts.items() <= told.items(), (accounts, told)
    kept = bridge.metric("dead_letters")
    assert accounts["dead_lettered"] == kept, (accounts, kept)
    received = accounts.pop("received")
    assert received == sum(accounts.values()), (received, accounts)
