"""What the pages take from the code: the settings and the errors, and links to what a page names in code style.

``vmimage-settings``, a directive, shows every field of :mod:`vmimage.settings.schema` with its type, default and meaning;
``vmimage-errors`` shows the classes of :mod:`vmimage.errors`.  ``ami.KEY`` and ``vm_create.FUNCTION`` in code style become links; a name
that does not exist is a warning.
"""

import importlib
import inspect
import re

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

log = logging.getLogger(__name__)

#: the order of the page; a setting that is in no group is a warning, which fails the build of the pages
GROUPS = {
    "The variation": (
        "What is built, and where its states and pillar come from.",
        """name variation pillar hg_address_variation hg_rev_variation git_address_variation git_rev_variation revision
        repository_credentials repository_subrepositories repository_stale""",
    ),
    "The base": (
        "Without `ami.base` the base is bootstrapped. See {doc}`/guide/bases`.",
        "type release architecture mirror packages base base_format base_hash base_keyring base_unverified",
    ),
    "The root": (
        "How the base is opened, updated and changed by the states.",
        "update network live room_mib memory pre post root keep_on_failure force incremental skip_unchanged",
    ),
    "The output": (
        "What is made, where the files are, and how large the root image is. See {doc}`/guide/outputs`.",
        "outputs disk_format compression kernel_command_line output output_mode workspace cache headroom_mib",
    ),
    "Several variations": ("See {doc}`/guide/many-builds`.", "variations jobs"),
    "Publishing": (
        "See {doc}`/guide/publish` and {doc}`/guide/ec2`. Credentials are keys of `keystone`, not of `ami`.",
        "publish cloud kernel_id ramdisk_id initrd_id properties carry_over visibility members keep gate ec2 trial tries promote number order",
    ),
    "A builder": (
        "For an instance that reads its userdata. See {doc}`/guide/builder`.",
        "when_done hg_address hg_rev git_address git_rev",
    ),
}
TYPES = {"str": "text", "bool": "true or false", "int": "number", "dict": "mapping", "list": "list of texts"}
#: what a field's metadata may say besides its doc
MARKS = {
    ("repository_may_set", True): "A repository may set it in its `ami.yaml`.",
    ("shapes_image", False): "It does not change what is in the image.",
}


def plain_type(annotation):
    """A field's type in words."""
    names = re.findall(r"\w+", annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation)))
    return ", or ".join(dict.fromkeys(TYPES.get(name, name) for name in names))


def plain_default(field, settings):
    """``(default, meaning)``: what holds where nothing is set, for a default that is empty as the end of the doc says."""
    value, doc = getattr(settings, field.name), field.metadata["doc"]
    meaning, found, default = doc.rpartition("; default: ")
    if found:
        return escape(default), meaning
    if value in ("", (), {}, [], None):
        return "none", doc
    return f"``{str(value).lower() if isinstance(value, bool) else value}``", doc


def settings_as_markdown():
    """The page's text: a section for each group, a ``confval`` for each setting."""
    from vmimage.settings.schema import KEYS, Settings

    settings, left = Settings(), dict(KEYS)
    for title, (intro, names) in GROUPS.items():
        yield from (f"## {title}", "", intro, "")
        for name in names.split():
            field = left.pop(name, None)
            if field is None:
                log.warning("the page of settings groups ami.%s, which is no setting (docs/_ext)", name)
                continue
            default, meaning = plain_default(field, settings)
            marks = [words for (key, value), words in MARKS.items() if field.metadata.get(key) is value]
            kind = "path" if field.metadata.get("is_path") else plain_type(field.type)
            facts = f"{kind} · default: {default}"
            yield from ("````{confval} " + f"ami.{name}", "", facts, "", escape(sentence(meaning)), "")
            yield from (*([f"*{' '.join(marks)}*", ""] if marks else []), "````", "")
    for name in left:
        log.warning("the setting ami.%s is in no group of the page of settings (docs/_ext)", name)


def errors_as_markdown():
    """A row for each class of errors, what it is a kind of among them."""
    import vmimage.errors as module

    kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, module.VmImageError)]
    yield from ("| error | what it means |", "|-|-|")
    for kind in sorted(kinds, key=lambda kind: inspect.getsourcelines(kind)[1]):
        parent = "" if kind.__base__ in (Exception, module.VmImageError) else f" A kind of `{kind.__base__.__name__}`."
        yield f"| `{kind.__name__}` | {escape(inspect.getdoc(kind).splitlines()[0])}{parent} |"


def sentence(text):
    """The doc of a setting, a phrase, as a sentence."""
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def escape(text):
    """Text that is no markup: braces, stars and angle brackets of the settings' docs are meant as they stand."""
    return re.sub(r"([*_<>{}\[\]|])", r"\\\1", text)


class _FromCode(SphinxDirective):
    """A directive whose content is Markdown that the code gives."""

    has_content = False
    make = None
    module = ""

    def run(self):
        for source in (importlib.import_module(self.module).__file__, __file__):
            self.env.note_dependency(source)  # the page is old where one of these is newer
        lines = StringList(list(type(self).make()), source=self.env.doc2path(self.env.docname))
        inner = nodes.Element()
        inner.document = self.state.document
        self.state.nested_parse(lines, self.content_offset, inner, match_titles=1)
        return inner.children


class SettingsDirective(_FromCode):
    make, module = settings_as_markdown, "vmimage.settings.schema"


class ErrorsDirective(_FromCode):
    make, module = errors_as_markdown, "vmimage.errors"


class LinkNames(SphinxTransform):
    """Link ``ami.KEY`` and ``vm_create.FUNCTION`` in code style to their descriptions."""

    default_priority = 400
    KINDS = (
        (re.compile(r"ami\.[a-z]\w*(?=:|$)"), "std", "confval"),
        (re.compile(r"(?:vm_create|vm_image|vm_fleet)\.[a-z]\w*$"), "py", "obj"),
    )
    FILES = {"ami.yaml", "vm_create.service"}  # names of files, not of settings or functions
    ALIASES = {"vm_create.try": "vm_create.try_"}  # what Salt calls a function whose name is a keyword of Python

    def apply(self, **_keywords):
        for literal in list(self.document.findall(nodes.literal)):
            if (
                isinstance(literal.parent, (nodes.title, nodes.reference, addnodes.pending_xref))
                or literal.astext() in self.FILES
            ):
                continue
            for pattern, domain, kind in self.KINDS:
                if found := pattern.match(literal.astext()):
                    link = addnodes.pending_xref(
                        "",
                        refdomain=domain,
                        reftype=kind,
                        reftarget=self.ALIASES.get(found[0], found[0]),
                        refdoc=self.env.docname,
                        refwarn=True,
                        refexplicit=True,
                    )
                    link.source, link.line = literal.source or self.document["source"], literal.line
                    literal.replace_self(link)
                    link += literal


def name_our_modules(_app, _what, _name, _object, _options, lines):
    """Salt's name of a module, as docstrings have it, is the module's own name here."""
    lines[:] = [line.replace("<salt.modules.vm_create>", "<vm_create>") for line in lines]


def setup(app):
    app.add_directive("vmimage-settings", SettingsDirective)
    app.add_directive("vmimage-errors", ErrorsDirective)
    app.add_transform(LinkNames)
    app.connect("autodoc-process-docstring", name_our_modules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
