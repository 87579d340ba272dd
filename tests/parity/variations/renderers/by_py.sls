#!py
def run():
    def write():
        with open("/srv/by-a-call", "w") as file:
            file.write(__grains__["os"])
        return {"result": True, "changes": {"written": True}, "comment": ""}

    return {"call": {"cmd.call": [{"func": write}, {"require": [{"file": "by py"}]}]}, "by py": {"file.managed": [{"name": "/srv/by-py"}, {"contents": __grains__["os"] + __salt__["test.echo"]("!")}, {"makedirs": True}]}}
