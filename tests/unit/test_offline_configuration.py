"""The tests of a configuration that units run before they start: which commands they are, and their words."""

import pytest
from vmimage.variation.in_root.offline_configuration import as_test, environment_of, is_of_the_files, read_unit, words_of


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("/usr/sbin/nginx -t -q -g 'daemon on; master_process on;'", True),
        ("/usr/sbin/nginx -g 'daemon on; master_process on;' -s reload", False),
        ("/usr/sbin/haproxy -Ws -f $CONFIG -c -q $EXTRAOPTS", True),
        ("/usr/sbin/sshd -t", True),
        ("/usr/sbin/sshd -D", False),
        ("/usr/share/dnsmasq/systemd-helper checkconfig", True),
        ("/usr/share/dnsmasq/systemd-helper exec", False),
        ("/usr/sbin/nft flush ruleset", False),
        ("/bin/kill -HUP $MAINPID", False),
        ("/bin/mkdir -m 740 -p /var/log/mosquitto", False),
        ("-/usr/sbin/nginx -t", False),
    ],
)
def test_only_commands_that_read_a_configuration_are_tests(command, known):
    words = words_of(command, {"CONFIG": "/etc/haproxy/haproxy.cfg"}, "any.service")
    assert as_test(words) == (words if known else [])


def test_rules_of_a_firewall_are_only_looked_at():
    assert as_test(["/usr/sbin/nft", "-f", "/etc/nftables.conf"]) == ["/usr/sbin/nft", "-c", "-f", "/etc/nftables.conf"]


def test_variables_and_the_instance_stand_in_the_words():
    environment = {"CONFIG": "/etc/a b.cfg", "MORE": "-x -y"}
    assert words_of("+/bin/tool $MORE -f ${CONFIG} $NONE %i 100%%", environment, "tool@one.service") == (
        ["/bin/tool", "-x", "-y", "-f", "/etc/a b.cfg", "one", "100%"]
    )


def test_quotes_that_are_no_shells_are_no_test_and_no_error(tmp_path):
    assert words_of("/bin/echo it's", {}, "any.service") == []
    environment = environment_of({"Environment": ["A=it's", "B=1"], "EnvironmentFile": [str(tmp_path)]})
    assert "A" not in environment and environment["B"] == "1"


def test_a_drop_in_adds_to_a_unit_and_takes_back(tmp_path):
    (tmp_path / "unit").write_text(
        "[Service]\nExecStartPre=/bin/a \\\n  -t\nEnvironment=A=1 'B=two words'\nEnvironmentFile=-%s\n# C=3\n"
    )
    (tmp_path / "more").write_text("[Service]\nExecStartPre=\nExecStartPre=/bin/b\n")
    values = read_unit(str(tmp_path / "unit"), [str(tmp_path / "more"), str(tmp_path / "none")])
    assert values["ExecStartPre"] == ["/bin/b"] and "# C" not in values
    (tmp_path / "defaults").write_text('# D=4\nCONFIG="/etc/own.cfg"\n')
    environment = environment_of({**values, "EnvironmentFile": [f"-{tmp_path}/defaults", "-/nowhere"]})
    assert (environment["A"], environment["B"], environment["CONFIG"]) == ("1", "two words", "/etc/own.cfg")


@pytest.mark.parametrize(
    "said",
    [
        'nginx: [emerg] host not found in upstream "backend.internal" in /etc/nginx/conf.d/own.conf:1',
        "nginx: [emerg] bind() to 192.0.2.7:80 failed (99: Cannot assign requested address)",
        "sshd: no hostkeys available -- exiting.",
        "/etc/nftables.conf:2:1-14: Error: Could not process rule: Operation not permitted",
    ],
)
def test_what_an_instance_may_have_otherwise_is_no_fault(said):
    assert not is_of_the_files(said)
    assert is_of_the_files('nginx: [emerg] unknown directive "lisen" in /etc/nginx/conf.d/own.conf:1')


def test_a_mistake_in_rules_is_one_although_the_kernel_is_not_to_be_asked():
    mistake, kernel = (
        "Error: syntax error, unexpected hok",
        "netlink: Error: cache initialization failed: Operation not permitted",
    )
    assert is_of_the_files(f"/etc/nftables.conf:2:29-31: {mistake}\n{kernel}")
