"""What the machine's apt-get prints of the indexes that it has read, for tests that start no program."""

from types import SimpleNamespace


class AptGet:
    """Takes the place of ``vmimage.apt.sources.run``.

    :ivar list answer: ``(address, suite, component, origin)`` of each index
    :ivar int asked: how often it was
    """

    def __init__(self, answer=()):
        self.answer, self.asked = answer, 0

    def __call__(self, argv):
        assert argv[:2] == ["apt-get", "indextargets"]
        self.asked += 1
        return SimpleNamespace(output="".join(" ".join(index) + "\n" for index in self.answer))
