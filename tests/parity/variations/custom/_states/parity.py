# ruff: noqa: F821
import os


def noted(name):
    with open(name, "w") as file:
        file.write(__salt__["parity.hello"](__grains__["parity"]))
    return {"name": name, "result": True, "changes": {name: "noted"}, "comment": "noted"}


def counted(name, count):
    for number in range(count):
        open(f"/srv/count-{number}", "w").close()
    return {"name": name, "result": True, "changes": {"count": count} if os.path.exists("/srv") else {}, "comment": ""}
