"""A whole HTML page that loads nothing: its policy forbids everything but the style sheet that is in it, whose digest it names.

Nothing in it is a script, so that what a log line or a state's comment says cannot become a script.
"""

import base64
import hashlib
from pathlib import Path

from vmimage.errors import NotReady
from vmimage.report.html import Content, Markup, element
from vmimage.report.style import STYLE
from vmimage.system.whole_files import write_whole


def make_document(title: str, *content: Content) -> str:
    """The page."""
    style = Markup(STYLE)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", style),
    ]
    body = element("main", *content)
    return f"<!doctype html>\n{element('html', element('head', head), element('body', body), lang='en')}\n"


def write_page(path: Path, text: str, *, is_private: bool = False) -> None:
    """Replace a file that a user has named.

    :param is_private: its owner alone can read it
    :raises NotReady: naming the path
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a directory")
        write_whole(path, text, lasts=False, is_private=is_private)
    except OSError as error:
        raise NotReady(
            f"{path} cannot be written: {error.strerror}", hint="give the path of a file, in a directory that is there"
        ) from error
