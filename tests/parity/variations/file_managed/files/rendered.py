# ruff: noqa: F821
def run():
    return "by python on " + __grains__["oscodename"] + "\n"
