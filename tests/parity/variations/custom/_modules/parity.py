import parity_words


def hello(name):
    return "hello, " + name


def command(path):
    return "cp " + path + " /srv/copied-by-a-slot"


def by_utils():
    return parity_words.word()
