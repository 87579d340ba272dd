import importlib
from pathlib import Path

import pytest
from vmimage.errors import VariationFailed
from vmimage.variation import in_root
from vmimage.variation.outcome import check_results


def state(number, result=True, comment="done", **more):
    state = {"__run_num__": number, "__id__": f"id {number}", "__sls__": "web", "name": "n", "changes": {}}
    return {**state, "result": result, "comment": comment, **more}


def key(identity, module="pkg", function="installed"):
    return f"{module}_|-{identity}_|-name_|-{function}"


def failure(result):
    with pytest.raises(VariationFailed) as caught:
        check_results(result, "the variation web")
    return str(caught.value)


def test_states_that_succeeded_are_listed_in_the_order_they_ran():
    listed = check_results(
        {key("b"): state(1, changes={"nginx": {}}, duration=12.6), key("a", "file", "managed"): state(0)}, "it"
    )
    assert [(entry["id"], entry["state"], entry["changed"], entry["duration_ms"]) for entry in listed] == [
        ("id 0", "file.managed", False, 0),
        ("id 1", "pkg.installed", True, 13),
    ]


def test_the_failed_state_is_named_with_its_comment_and_those_that_required_it_are_counted():
    message = failure({
        key("a"): state(0),
        key("b"): state(1, False, "E: Unable to locate package nignx"),
        key("c"): state(2, False, "One or more requisite failed: web.b"),
        key("d"): state(3, False, "One or more requisite failed: web.b"),
    })  # fmt: skip
    assert "the variation web failed: 3 of 4 states" in message
    assert "pkg.installed 'id 1' (web): E: Unable to locate package nignx" in message
    assert "and 2 more that required them" in message and "id 2" not in message


def test_what_a_failed_command_printed_is_shown():
    message = failure(
        {key("a", "cmd", "run"): state(0, False, 'Command "make" run', changes={"stdout": "", "stderr": "no rule", "retcode": 2})}
    )
    assert 'Command "make" run' in message and "no rule" in message


def test_where_all_that_failed_had_a_failed_requisite_they_are_named():
    assert "'id 0'" in failure({key("c"): state(0, False, "One or more requisite failed: other.b")})


def test_a_compile_error_is_shown_line_by_line():
    message = failure(["Rendering SLS 'base:web' failed: Jinja variable 'x' is undefined\n---\n{{ x }}", "and another"])
    assert "does not compile" in message and "\n    {{ x }}" in message and "\n    and another" in message


def test_of_a_pillar_that_does_not_compile_the_reason_is_shown_and_not_its_lines():
    reason = "Rendering SLS 'a' failed, render error:\nJinja variable 'x' is undefined; line 2\n\n---\npassword: hunter2\nb: {{ x }}\n---"
    message = failure(["Pillar failed to render with the following messages:", reason])
    assert "Jinja variable 'x' is undefined; line 2" in message and "hunter2" not in message
    reason = "Rendering SLS 'a' failed, render error:\nwhile parsing a flow mapping\n"
    reason += '  in "<unicode string>", line 3, column 4\ndid not find }\n  in "<unicode string>", line 4, column 1:\n    password: hunter2\n    ^'
    message = failure(["Pillar failed to render with the following messages:", reason])
    assert "while parsing a flow mapping; line 4" in message and "hunter2" not in message


@pytest.mark.parametrize("reason", ["GPG unavailable", "Could not decrypt cipher b'x', received: gpg: no key"])
def test_a_pillar_that_is_encrypted_says_where_it_is_decrypted(reason):
    message = failure(
        ["Pillar failed to render with the following messages:", f"Rendering SLS 'a' failed, render error:\n{reason}"]
    )
    assert "the pillar of the builder" in message
    assert "the pillar of the builder" not in failure([f"Rendering SLS 'base:web' failed: {reason}"])


def test_a_schedule_says_where_a_minion_keeps_it():
    assert "/etc/salt/minion.d" in failure({key("a", "schedule", "present"): state(0, False, "Failed to add job a to schedule.")})
    assert "/etc/salt/minion.d" not in failure({key("a"): state(0, False, "E: Unable to locate package nignx")})


def test_a_str_is_what_salt_says_instead_of_working():
    assert "Data passed to state.sls is not valid" in failure("Data passed to state.sls is not valid")


@pytest.mark.parametrize("nothing", [{}, None], ids=["no states", "none"])
def test_no_states_at_all_is_a_failure(nothing):
    assert "holds no states" in failure(nothing)


def test_a_highstate_that_matches_nothing_is_a_failure():
    pseudo = {"changes": {}, "result": False, "comment": "No states found for this minion", "name": "No States", "__run_num__": 0}
    assert "No states found for this minion" in failure({"no_|-states_|-states_|-None": pseudo})


def test_a_state_that_would_change_under_test_is_no_failure():
    assert check_results({key("a"): state(0, None, "would be installed")}, "it")[0]["result"] is None


def test_warnings_are_kept():
    assert check_results({key("a"): state(0, warnings=["'x' is deprecated"])}, "it")[0]["warnings"] == ["'x' is deprecated"]


def test_a_state_without_the_private_keys_takes_its_id_from_its_key():
    listed = check_results({key("nginx is there"): {"result": True, "changes": {}, "comment": ""}}, "it")
    assert (listed[0]["id"], listed[0]["name"], listed[0]["state"]) == ("nginx is there", "name", "pkg.installed")


def test_of_a_long_comment_the_end_is_shown():
    message = failure({key("a"): state(0, False, "\n".join(f"line {number}." for number in range(100)))})
    assert "line 99." in message and "line 70." in message and "line 69." not in message


@pytest.mark.parametrize(
    "failed",
    [
        {key("a", "postgres_user", "present"): state(0, False, "Failed to create user app")},
        {key("a", "cmd", "run"): state(0, False, "run", changes={"stderr": "curl: (7) Connection refused"})},
    ],
)
def test_a_state_that_talks_to_a_service_says_that_none_runs_and_by_which_setting_they_do(failed):
    (line,) = [line for line in failure(failed).splitlines() if "no service runs while an image is made" in line]
    assert "ami.live: true" in line
    with pytest.raises(VariationFailed) as caught:
        check_results(failed, "it", live=True)
    assert "no service runs" not in str(caught.value)


def test_another_failure_says_nothing_of_services():
    assert "no service runs" not in failure({key("a"): state(0, False, "E: Unable to locate package nignx")})


def test_a_state_that_failed_for_another_reason_has_no_remedy_of_services():
    message = failure({
        key("a"): state(0, False, "E: Package 'mysql-server' has no installation candidate"),
        key("b", "mysql_user", "present"): state(1, False, "One or more requisite failed: db.a"),
        key("c", "postgres_user", "present"): state(
            2, False, "State 'postgres_user.present' was not found in SLS 'db'\nReason: 'postgres_user' __virtual__ returned False: no"
        ),
    })  # fmt: skip
    assert "no service runs" not in message and "postgres_user lacks" in message and "reload_modules: True" in message


def test_a_state_that_this_salt_lacks_says_what_brings_it():
    missing = "State 'npm.installed' was not found in SLS 'web'\nReason: 'npm.installed' is not available."
    assert "this Salt has no npm" in failure({key("a", "npm", "installed"): state(0, False, missing)})


@pytest.mark.parametrize(
    ("module", "function", "said", "remedy"),
    [
        ("iptables", "append", "Failed to set iptables rule", "/etc/nftables.conf"),
        ("cmd", "run", "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id", "/etc/nftables.conf"),
        ("cmd", "run", "Error: Could not process rule: Operation not permitted\nadd table inet x", "/etc/nftables.conf"),
        (
            "file",
            "managed",
            "check_cmd execution failed\n/tmp/x: Error: Could not process rule: Operation not permitted",
            "leave out a check_cmd",
        ),
        ("ufw", "allow", "WARN: initcaps", "/etc/ufw/ufw.conf"),
        ("cmd", "wait", 'Command "firewall-cmd --reload" run', "firewall-offline-cmd"),
        ("lvm", "pv_present", "Failed to create /dev/vdb", "first boot"),
        ("cmd", "run", "modprobe: FATAL: Module dummy not found", "/etc/modules-load.d"),
        ("cmd", "run", "/bin/sh: 1: cannot create /proc/sys/net/ipv4/ip_forward: Read-only file system", "sysctl.present"),
        ("cmd", "run", "cannot create /sys/kernel/mm/transparent_hugepage/enabled: Read-only file system", "/etc/tmpfiles.d"),
        ("mount", "mounted", "mount: /mnt/x: permission denied.", "mount.fstab_present"),
        ("mount", "swap", "Swap /swapfile failed to activate. Added new entry to the fstab.", "mount.fstab_present"),
        ("cmd", "run", "swapon: /swapfile: swapon failed: Operation not permitted", "mount.fstab_present"),
        ("cmd", "run", "RTNETLINK answers: Operation not permitted", "/etc/systemd/network"),
    ],
)
def test_what_would_change_the_running_kernel_says_which_files_of_the_image_do_it(module, function, said, remedy):
    message = failure({key("a", module, function): state(0, False, said)})
    assert "the kernel that runs is the builder's" in message and remedy in message


def test_a_file_that_cannot_be_written_is_no_matter_of_the_kernel():
    assert "the kernel" not in failure({key("a", "file", "managed"): state(0, False, "/srv/x: Read-only file system")})


def test_a_function_is_near_where_its_module_has_nearly_the_same_name(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(in_root.__file__).parent))
    driver = importlib.import_module("driver")
    known = ["file.managed", "pkg.installed", "pkg.latest", "user.present", "grains.present"]

    def near(*names):
        return driver.find_near({name: {"comment": f"State '{name}' was not found in SLS 'web'"} for name in names}, known)

    assert near("file.managd", "pgk.installed") == ["file.managed", "pkg.installed"]
    comment = "State 'file.manged' was not found in SLS 'web'\nReason: 'file' __virtual__ returned False: no file"
    assert driver.find_near({"a": {"comment": comment}}, known) == []
    assert near("npm.installed", "hg.latest", "mysql_user.present", "raid.present") == []
