"""A fleet's status and history as ``vm_fleet`` returns them, with a bit of everything."""

NOW = 1_800_000_000.0


def result(number, ending="published", name="web-amd64", **more):
    """A result as plain data."""
    facts = {"number": number, "name": name, "digest": "d1", "revision": "0123456789abcdef" * 2 + "01234567", "builder": "b1"}
    return {**facts, "ending": ending, "reason": "", "seconds": 31.0, "at": NOW - 3600 * number, "facts": {}, **more}


def running(number=17, name="web-amd64", **more):
    """A build under way as plain data."""
    facts = {"number": number, "name": name, "builder": "b1", "phase": "sent", "seconds": 42.0, "step": "", "percent": None}
    return {**facts, **more}


def image(state="fine", reason="", **more):
    """What is known of an image."""
    return {"state": state, "reason": reason, "revision": "0123456789abcdef", "repository": "web", "published_at": 0.0, **more}


def status(**more):
    """A status with an image in most states."""
    plan = {
        "cache-amd64": image(published_at=NOW - 7200.0),
        "db-amd64": image("waiting", "no builder is free"),
        "mail-amd64": image("parked", "failed 3 times: the package exim9 does not exist"),
        "web-amd64": image("building", "the revision is another"),
    }
    whole = {
        "plan": plan,
        "running": [running(step="variation", percent=45)],
        "last": {
            "cache-amd64": result(3, name="cache-amd64"),
            "mail-amd64": result(9, "failed", "mail-amd64", reason="no exim9"),
        },
        "paused": [],
        "problems": {},
    }
    return {**whole, **more}
