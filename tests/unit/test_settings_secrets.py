"""Passwords in addresses: used, never shown."""

import pytest
from vmimage.errors import SettingsWrong
from vmimage.settings.gather import gather_settings


def test_a_password_in_an_address_is_used_and_never_shown():
    settings = gather_settings(
        [], {"base": "https://me:hunter2@images.example.org/a.img", "base_hash": "http://me:hunter2@x/SUMS"}
    )
    assert "hunter2" in settings.base
    assert "hunter2" not in str(settings.as_dict()) and "images.example.org/a.img" in settings.as_dict()["base"]


@pytest.mark.parametrize(
    "mirror", ["http://me:hunter2@m/debian", ["deb http://me:hunter2@m/debian sid main"]], ids=["address", "line"]
)
def test_a_password_of_a_mirror_is_refused_for_it_would_stay_in_the_image(mirror):
    with pytest.raises(SettingsWrong) as caught:
        gather_settings([], {"mirror": mirror})
    assert "hunter2" not in str(caught.value)
