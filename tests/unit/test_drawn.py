"""What packages draw by lot: not in an image, and made at the first boot by those who need it."""

from vmimage.image import drawn

SNAKEOIL = next(maker for maker in drawn.ALL if maker.name == "first-boot-snakeoil")


def test_only_what_was_removed_and_can_be_made_gets_a_unit(root, tree):
    tree(root, {"usr/sbin/make-ssl-cert": "program", "usr/sbin/nvme": "program"})
    removed = [SNAKEOIL.path, "/etc/munge/munge.key"]
    written, made = drawn.add_makers(root, removed)
    assert written == ["/etc/systemd/system/first-boot-snakeoil.service", SNAKEOIL.link()] and made == [SNAKEOIL.what]
    assert (root / SNAKEOIL.link()[1:]).readlink().as_posix() == written[0]
    assert drawn.add_makers(root, removed)[1] == made  # a second time does no harm


def test_links_to_the_removed_certificate_go_and_no_others(root, tree):
    links = {"etc/ssl/certs/0123abcd.0": "-> ssl-cert-snakeoil.pem", "etc/ssl/certs/89abcdef.0": "-> other.pem"}
    tree(root, {**links, "etc/ssl/certs/ssl-cert-snakeoil.pem": "certificate"})
    assert drawn.remove_links_to_nothing(root) == []
    (root / "etc/ssl/certs/ssl-cert-snakeoil.pem").unlink()
    assert drawn.remove_links_to_nothing(root) == ["/etc/ssl/certs/0123abcd.0"]
    assert (root / "etc/ssl/certs/89abcdef.0").is_symlink()


def test_the_id_of_popularity_contest_goes(root, tree):
    assert drawn.forget_host_id(root) == []
    tree(root, {"etc/popularity-contest.conf": 'PARTICIPATE="yes"\nMY_HOSTID="0123"\nDAY="3"\n'})
    assert drawn.forget_host_id(root) == ["/etc/popularity-contest.conf"] and drawn.forget_host_id(root) == []
    assert (root / "etc/popularity-contest.conf").read_text() == 'PARTICIPATE="yes"\nDAY="3"\n'


def test_private_keys_that_the_build_made_are_found(root, tree, tmp_path_factory):
    key = "-----BEGIN RSA PRIVATE KEY-----\n"
    made = {"etc/app/key.pem": key, "var/lib/app/a.key": f"text\n{key}", "etc/app/cert.pem": "-----BEGIN CERTIFICATE-----\n"}
    tree(root, {**made, "etc/old.key": key})
    changes = tree(tmp_path_factory.mktemp("changes"), {**made, "var/lib/app/gone.key": key})
    assert drawn.find_keys(root, changes) == ["/etc/app/key.pem", "/var/lib/app/a.key"]


PRIVATE = {
    "etc/webmail/config.inc.php": "$config['des_key'] = 'AbCdEf0123456789/+xyz9';\n",
    "var/lib/admin/secret.inc.php": "$cfg['blowfish_secret'] = '0123456789abcdefABCDEF0123456789';\n",
    "etc/backup/fd.conf": 'Director {\n  Password = "nNy-q3V0pT_dV9Rpq2h"\n}\n',
    "etc/app/default_passwords": "DIRPASSWD=x1y2z3x1y2z3x1y2z3\n",
}
NONE = {
    "etc/app/commented": "# password = 0123456789abcdef0123\n",
    "etc/app/empty": "password = \nother = 0123456789abcdef0123\n",
    "etc/app/path": "password-file = /etc/app/password\nsecret: /var/lib/app/some/long/path/1\n",
    "etc/shadow": "ada:$y$j9T$0123456789abcdef0123:1:::::\n",
    "etc/app/words": "secret = please-change-this-now\n",
}


def test_passwords_that_packages_have_drawn_are_found_where_not_everybody_may_read_them(root, tree, tmp_path_factory):
    tree(root, {**PRIVATE, **NONE})
    changes = tree(tmp_path_factory.mktemp("changes"), {**PRIVATE, **NONE})
    for name in (*PRIVATE, *NONE):
        (root / name).chmod(0o640)
    assert sorted(drawn.find_keys(root, changes)) == sorted(f"/{name}" for name in PRIVATE)
    for name in PRIVATE:
        (root / name).chmod(0o644)
    assert drawn.find_keys(root, changes) == []
