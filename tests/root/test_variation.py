"""What a variation can count on: it is applied as on a running machine, and sees what it may and not what it may not."""

import json
import subprocess

import pytest
from looking import looked_into

SECRET = "hunter2-of-the-cloud"

DEMANDING = """
{% set ami = salt["config.get"]("ami") %}
/etc/facts.json:
  file.managed:
    - contents: '{{ {"id": grains["id"], "own": grains["own_grain"], "module": salt["own_module.hello"](), "pillar": pillar.get("colour"),
        "operator": pillar.get("site"), "release": ami["release"], "ami_in_pillar": pillar["ami"]["name"], "seen": pillar | string,
        "init": grains["init"], "path": salt["environ.get"]("PATH"), "host": grains["host"], "fqdn": grains["fqdn"],
        "name": salt["cmd.run"]("hostname --fqdn"), "fqdn_ip4": grains["fqdn_ip4"]} | tojson }}'

tools are installed:
  pkg.installed:
    - pkgs: [git, python3-venv, cron]
    - install_recommends: False

own state:
  own_state.noted:
    - name: /etc/noted

builder:
  user.present: []

as another user:
  cmd.run:
    - name: id -un > /home/builder/who
    - runas: builder
    - require: [{user: builder}]

a script with a template:
  cmd.script:
    - source: salt://script.sh
    - template: jinja

a repository of another user:
  cmd.run:
    - name: git init -q /home/builder/origin && cd /home/builder/origin && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first
    - runas: builder
    - creates: /home/builder/origin/.git
    - require: [{user: builder}, {pkg: tools are installed}]

a clone:
  git.latest:
    - name: file:///home/builder/origin
    - target: /home/builder/clone
    - user: builder
    - require: [{cmd: a repository of another user}]

a virtual environment:
  virtualenv.managed:
    - name: /srv/venv
    - venv_bin: /usr/bin/python3
    - require: [{pkg: tools are installed}]

salt-call from a state:
  cmd.run:
    - name: salt-call --local --out json grains.get own_grain > /etc/from-salt-call

systemctl without the path of the build, as sudo has it:
  cmd.run:
    - name: env -i sh -c 'command -v systemctl' > /etc/which

a service is enabled and restarted:
  service.running:
    - name: cron
    - enable: True
    - watch: [{file: /etc/facts.json}]

another is masked:
  service.masked:
    - name: systemd-timesyncd

vm.swappiness:
  sysctl.present:
    - value: 7

a cron job:
  cron.present:
    - name: /bin/true
    - user: root
    - minute: 7
"""
DEMANDING_FILES = {
    "variation": DEMANDING,
    "script.sh": "#!/bin/sh\necho {{ grains['os'] }} > /etc/from-script\n",
    "_modules/own_module.py": "def hello():\n    return 'hello from ' + __grains__['oscodename']\n",
    "_grains/own_grain.py": "def own():\n    return {'own_grain': 'grown here'}\n",
    "_states/own_state.py": "import atexit, threading\n\n\ndef noted(name):\n    open(name, 'w').write(__salt__['own_module.hello']())\n"
    "    atexit.register(lambda: open(name + '-at-exit', 'w').write('ended'))\n"
    "    threading.Timer(0.5, lambda: open(name + '-by-thread', 'w').write('ended')).start()\n"
    "    return {'name': name, 'result': True, 'changes': {name: 'noted'}, 'comment': ''}\n",
    "pillar/top.sls": "base:\n  '*':\n    - colours\n",
    "pillar/colours.sls": "colour: green\n",
}


def test_a_demanding_variation_is_applied_as_on_a_running_machine(salt, bootstrapped):
    salt.configure(**{"keystone.password": SECRET})
    salt.pillar(f"site: {{name: here}}\nkeystone: {{password: {SECRET}}}\nkeystone.user: {SECRET}\n")
    where = salt.variation("demanding", **DEMANDING_FILES)
    salt.good("vm_create.create_variation", name="demanding", variation=where, publish=False)
    with looked_into(salt.output / "demanding.img") as root:
        facts = json.loads((root / "etc/facts.json").read_text(encoding="utf-8"))
        assert facts["id"] == facts["host"] == facts["fqdn"] == facts["ami_in_pillar"] == "demanding"
        assert facts["name"] == "localhost" and facts["fqdn_ip4"] == ["127.0.0.1"]  # as a boot of this root would find it
        assert facts["own"] == "grown here" and facts["module"] == "hello from bookworm"
        assert facts["pillar"] == "green" and facts["operator"] == {"name": "here"}
        assert facts["release"] == "bookworm" and facts["init"] == "systemd"
        assert "/usr/sbin" in facts["path"]
        assert SECRET not in facts["seen"]
        assert (root / "etc/noted").read_text(encoding="utf-8") == "hello from bookworm"
        for name in ("at-exit", "by-thread"):  # Salt ends as any Python does
            assert (root / f"etc/noted-{name}").read_text(encoding="utf-8") == "ended"
        assert (root / "home/builder/who").read_text(encoding="utf-8") == "builder\n"
        assert (root / "etc/from-script").read_text(encoding="utf-8") == "Debian\n"
        assert (root / "home/builder/clone/.git").is_dir()
        assert (root / "srv/venv/bin/pip").exists()
        assert (root / "etc/which").read_text(encoding="utf-8") == "/usr/local/bin/systemctl\n"
        assert not (root / "usr/local/bin/systemctl").exists()
        assert json.loads((root / "etc/from-salt-call").read_text(encoding="utf-8")) == {"local": "grown here"}
        assert (root / "etc/systemd/system/multi-user.target.wants/cron.service").is_symlink()
        assert "vm.swappiness = 7" in (root / "etc/sysctl.d/99-salt.conf").read_text(encoding="utf-8")
        assert (root / "etc/systemd/system/systemd-timesyncd.service").readlink().as_posix() == "/dev/null"
        assert "7 * * * * /bin/true" in (root / "var/spool/cron/crontabs/root").read_text(encoding="utf-8")
        assert not (root / "etc/salt").exists() and not (root / "var/cache/salt").exists()
    written = "".join(path.read_text(encoding="utf-8") for path in salt.output.glob("*.json"))
    assert SECRET not in written


@pytest.mark.light
def test_states_of_the_minion_are_applied_under_the_id_that_top_and_pillar_see(salt, bootstrapped):
    (salt.states / "users").mkdir()
    (salt.states / "users/init.sls").write_text(
        "mark:\n  file.managed:\n    - name: /etc/mark\n    - contents: {{ pillar['who'] }}, {{ pillar['release'] }}\n",
        encoding="utf-8",
    )
    (salt.directory / "pillar/top.sls").write_text(
        "base:\n  'web1':\n    - web\n  'G@osfinger:Debian-12 and G@nodename:web1':\n    - release\n", encoding="utf-8"
    )
    (salt.directory / "pillar/web.sls").write_text("who: web1 is me\n", encoding="utf-8")
    (salt.directory / "pillar/release.sls").write_text("release: by grain\n", encoding="utf-8")
    salt.configure(**{"ami.variation": {"states": ["users"], "id": "web1"}})
    salt.good("vm_create.create_variation", update=False)
    assert salt.manifest()["variation"]["id"] == "web1"
    with looked_into(salt.output / "variation.img") as root:
        assert (root / "etc/mark").read_text(encoding="utf-8") == "web1 is me, by grain\n"


@pytest.mark.light
def test_a_highstate_of_the_minions_file_roots_is_applied_under_an_id(salt, bootstrapped):
    (salt.states / "top.sls").write_text("base:\n  'web1':\n    - page\n", encoding="utf-8")
    (salt.states / "page.sls").write_text("/etc/mark:\n  file.managed:\n    - contents: by top\n", encoding="utf-8")
    salt.good("vm_create.create_variation", variation={"id": "web1"}, update=False)
    assert [state["sls"] for state in salt.manifest()["states"]] == ["page"]


@pytest.mark.light
@pytest.mark.parametrize("where", ["directory", "salt://"])
def test_a_top_file_is_applied_as_highstate(salt, bootstrapped, where):
    files = {"top.sls": "base:\n  'web':\n    - page\n", "page.sls": "/etc/mark:\n  file.managed:\n    - contents: by top\n"}
    if where == "salt://":
        for path, text in files.items():
            (salt.states / "web").mkdir(exist_ok=True)
            (salt.states / "web" / path).write_text(text, encoding="utf-8")
    variation = "salt://web" if where == "salt://" else salt.variation("web", **files)
    salt.good("vm_create.create_variation", name="web", variation=variation, update=False)
    with looked_into(salt.output / "web.img") as root:
        assert (root / "etc/mark").read_text(encoding="utf-8") == "by top\n"


def test_a_variation_cannot_touch_the_machine(salt, bootstrapped):
    attempts = """
the machine is out of reach:
  cmd.run:
    - name: |
        ! mknod /etc/disk b 254 0 2>/dev/null || exit 1
        ! ip link add vmtest type dummy 2>/dev/null || exit 2
        ! sysctl -w kernel.panic=7 2>/dev/null || exit 3
        ! date -s 2001-01-01 2>/dev/null || exit 4
        test "$(ls /dev | grep -v '^vm_create-' | sort | tr '\\n' ' ')" = "disk fd full log null ptmx pts random shm stderr stdin stdout tty urandom zero " || exit 5
        ! grep -E '^/dev/(vd|sd|nvme)' /proc/self/mounts | grep -v ' /run/vm_create/[a-z0-9./]* ext4 ro,' || exit 6
        for other in /proc/[0-9]*/root; do test "$other" = /proc/1/root || test "$other" -ef / || exit 7; done
        ! mount -t tmpfs none /mnt 2>/dev/null || exit 8
        ! mount -o remount,rw /proc/sys 2>/dev/null || exit 9
        ! touch /run/vm_create/states/0/below/written 2>/dev/null || exit 10
        test "$(ls /dev/vm_create-* | wc -l)" = 1 || exit 11
        ! dd if=/dev/zero of="$(ls /dev/vm_create-*)" count=1 conv=notrunc 2>/dev/null || exit 12
"""
    variation = salt.variation("reach", **{"variation": attempts, "below/README": "a mount of its own"})
    subprocess.run(["mount", "-t", "tmpfs", "none", f"{variation}/below"], check=True)
    try:
        salt.good("vm_create.create_variation", name="reach", variation=variation, update=False)
    finally:
        subprocess.run(["umount", f"{variation}/below"], check=True)


UNFIT = """
/usr/local/sbin/nginx:
  file.managed:
    - mode: '0755'
    - contents: |
        #!/bin/sh
        echo "unknown directive $(cat /etc/own.conf)" >&2; exit 1

{% for name in ["started", "disabled"] %}
/etc/systemd/system/{{ name }}.service:
  file.managed:
    - contents: |
        [Service]
        ExecStartPre=/usr/local/sbin/nginx -t
        ExecStart=/bin/true
        [Install]
        WantedBy=multi-user.target
{% endfor %}

started:
  service.enabled: []

written last:
  file.managed:
    - name: /etc/own.conf
    - contents: lisen
"""


@pytest.mark.light
def test_a_service_that_no_boot_would_start_is_said_although_no_state_starts_it(salt, bootstrapped):
    code, _, said = salt.call("vm_create.create_variation", variation=salt.variation("unfit", variation=UNFIT), update=False)
    assert code == 0, said
    assert said.count("started.service is enabled, and would not start: /usr/local/sbin/nginx -t ended with 1") == 1, said
    assert "unknown directive lisen" in said and "disabled.service" not in said
