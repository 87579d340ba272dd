"""What the bound Salt runs in the root: one call, told by a file and answered by a file.

This file is copied into the root's ``/run`` and run there by itself; it imports nothing of this project.
"""

import json
import logging
import sys


def main(home):
    with open(f"{home}/task.json", encoding="utf-8") as file:
        task = json.load(file)
    import salt.client
    import salt.config

    logging.getLogger().handlers[:] = []
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="[%(levelname)s] %(message)s")
    caller = salt.client.Caller(mopts=salt.config.minion_config(f"{home}/etc/minion"))
    answer = caller.cmd(task["function"], *task["arguments"], **task["keywords"])
    with open(f"{home}/answer.json", "w", encoding="utf-8") as file:
        json.dump(answer, file, default=str)


if __name__ == "__main__":
    main(sys.argv[1])
