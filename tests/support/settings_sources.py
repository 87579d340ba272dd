"""Places where settings stand, as the Salt face hands them to the machinery, and what is said of settings that are refused."""

import pytest
from vmimage.errors import SettingsWrong, VmImageError
from vmimage.settings.gather import gather_settings


def source(where, mapping):
    """A place to look settings up in, as Salt's config.get does: nested by colons, or a key that is written flat."""

    def get(key):
        value = mapping
        for part in key.split(":"):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    return where, mapping, get


def gathered(mapping=None, **arguments):
    """The settings of a pillar and of the arguments of a call."""
    return gather_settings([source("pillar", mapping or {})], arguments)


def refusal(call, *arguments, kind=SettingsWrong, **options):
    """What is said where a call is refused; the secret of all these tests is not in it."""
    with pytest.raises(VmImageError) as caught:
        call(*arguments, **options)
    assert type(caught.value) is kind and caught.value.hint and "hunter2" not in str(caught.value)
    return str(caught.value)
