"""A real Nova on the loopback, beside the Keystone and the Glance of :mod:`cloud`: servers that are booted by Nova's fake driver.

Nova's API, conductor, scheduler and compute, and Placement, on a PostgreSQL and a RabbitMQ of their own.  Neutron is a stub
(:mod:`neutron_stub`), and there is no Cinder.  All is started once in a run, on free ports, and the kernel ends it with us, however we
end: the two servers that are not OpenStack's run in namespaces of processes that end as a whole, and keep their files in memory there.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import requests
from cloud import DIES_WITH_US, INTERFACES
from servers import START_SECONDS, own_port, processes_of, until, write_config
from vmimage.system.shell import run

HERE = Path(__file__).resolve().parent
ALONE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
#: as root: a place in memory, made by initdb as the user postgres, who then serves it
POSTGRES = """
mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir /mnt/data && chown postgres /mnt/data
as_postgres() { setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; }
cd / && as_postgres "$1/initdb" -D /mnt/data -A trust -E UTF8 --no-sync >&2
exec setpriv --reuid=postgres --regid=postgres --clear-groups "$1/postgres" -D /mnt/data -p "$2" -h 127.0.0.1 -k '' -c fsync=off \\
    -c synchronous_commit=off -c full_page_writes=off -c max_connections=200
"""
RABBITMQ = """
mount -t tmpfs -o mode=700 tmpfs /mnt && export HOME=/mnt && echo '[].' > /mnt/plugins
echo "listeners.tcp.1 = 127.0.0.1:$2" > /mnt/rabbit.conf
exec "$1/rabbitmq-server"
"""


def lacking_for_nova(venv):
    """What must be installed before, or an empty string."""
    if os.geteuid():
        return "not root: PostgreSQL and RabbitMQ get namespaces of their own"
    if not _directory_of("postgresql/*/bin/postgres"):
        return "no PostgreSQL: apt-get install postgresql"
    if not _directory_of("rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"):
        return "no RabbitMQ: apt-get install rabbitmq-server"
    return "" if (venv / "bin/nova-compute").exists() else "no Nova: ./run-tests fleet installs it"


def _directory_of(pattern):
    return next((path.parent for path in sorted(Path("/usr/lib").glob(pattern), reverse=True)), None)


class NovaCloud:
    """Nova for the users of a :class:`cloud.Cloud`.

    :param cloud: its Keystone runs, and has a Glance in the region
    :ivar Path consoles: a directory in which a test writes what a server prints, by the server's id
    :ivar float seconds: that the start took
    """

    def __init__(self, cloud, directory, region="RegionOne"):
        self.cloud, self.directory, self.region, self.venv = cloud, Path(directory), region, cloud.venv
        self.consoles = self.directory / "consoles"
        self.consoles.mkdir(parents=True)
        for name in ("instances", "state", "lock"):
            (self.directory / name).mkdir()
        self.ports = {name: own_port() for name in ("pg", "rabbit", "epmd", "dist", "nova", "placement", "neutron")}
        self.urls = {name: f"http://127.0.0.1:{self.ports[name]}" for name in ("nova", "placement", "neutron")}
        self._children, self._starter = {}, ThreadPoolExecutor(1)  # the kernel ends a child with the thread that started it
        self.seconds, self._connections = 0.0, {}

    def __enter__(self):
        begun = time.monotonic()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        self.seconds = time.monotonic() - begun
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """End all, the last that was started first."""
        for child in reversed(self._children.values()):
            while processes_of(child.pid):
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.poll()
                time.sleep(0.01)
            child.wait()
        self._starter.shutdown()
        shutil.rmtree(self.directory / "state", ignore_errors=True)

    def processes(self):
        """Living processes of what was started."""
        return {process for child in self._children.values() for process in processes_of(child.pid)}

    # starting

    def _start(self):
        sql = _directory_of("postgresql/*/bin/postgres")
        self._run("postgres", [*ALONE, "sh", "-ec", POSTGRES, "sh", sql, self.ports["pg"]])
        self._start_rabbit()
        with ThreadPoolExecutor(2) as beside:
            accounts = beside.submit(self._make_accounts)
            self._await("postgres", lambda: self._has_database_server(sql))
            for name in ("nova_api", "nova_cell0", "nova", "placement"):
                run([sql / "createdb", "-h", "127.0.0.1", "-p", self.ports["pg"], "-U", "postgres", name])
            self._configure()
            placement = beside.submit(self._manage, "placement-manage", "placement.conf", "db", "sync")
            self._make_schemas()
            accounts.result()
            placement.result()
        self._run(
            "neutron", [sys.executable, HERE / "neutron_stub.py", self.ports["neutron"], self.cloud.users["alice"].project_id]
        )
        self._serve("placement", "placement.wsgi.api")
        self._await("rabbit", lambda: "Server startup complete" in self._said("rabbit"))
        self._run("conductor", self._nova("nova-conductor"))
        self._run("scheduler", self._nova("nova-scheduler"))
        self._serve("nova", "nova.wsgi.osapi_compute")
        self._await("placement", lambda: self._answers("placement"))
        self._await("nova", lambda: self._answers("nova"))
        compute = [self.venv / "bin/python", "-P", HERE / "nova_compute.py", "--config-file", self.directory / "compute.conf"]
        self._run("compute", compute, CONSOLES=str(self.consoles))  # before the conductor it would wait ten seconds
        self._await("compute", self._has_host)
        self._make_flavors()

    def _start_rabbit(self):
        names = {"PORT": self.ports["rabbit"], "IP_ADDRESS": "127.0.0.1"}
        environment = {f"RABBITMQ_NODE_{key}": str(value) for key, value in names.items()}
        environment |= {
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"n{self.ports['rabbit']}@localhost",
            "RABBITMQ_DIST_PORT": str(self.ports["dist"]),
            "RABBITMQ_MNESIA_BASE": "/mnt/m",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": "/mnt/rabbit",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "/mnt/plugins",
            "RABBITMQ_PID_FILE": "/mnt/pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        where = _directory_of("rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
        self._run("rabbit", [*ALONE, "sh", "-ec", RABBITMQ, "sh", where, self.ports["rabbit"]], **environment)

    def _run(self, name, argv, **environment):
        """A program as the leader of a session of its own; what it prints goes to a log."""
        whole = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore", "TMPDIR": str(self.directory)}
        whole |= {f"OS_{service}_CONFIG_DIR": str(self.directory) for service in ("NOVA", "PLACEMENT")}
        whole |= {"OS_NOVA_DISABLE_EVENTLET_PATCHING": "true", "no_proxy": "127.0.0.1,localhost", **environment}
        argv = [os.fspath(word) if isinstance(word, Path) else str(word) for word in (*DIES_WITH_US, *argv)]
        with open(self.directory / f"{name}.log", "ab") as output:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            starting = self._starter.submit(subprocess.Popen, argv, env=whole, start_new_session=True, **streams)
            self._children[name] = starting.result()

    def _serve(self, name, module):
        """A gunicorn with one application; its settings are in the environment, for oslo.config reads the words of argv."""
        config = self.directory / f"gunicorn-{name}.py"
        config.write_text(
            f'bind = "127.0.0.1:{self.ports[name]}"\nwsgi_app = "{module}:application"\nthreads = 4\nkeepalive = 0\ntimeout = 120\n'
            f'worker_tmp_dir = "{self.directory}"\ncontrol_socket_disable = True\n'
            "def post_fork(server, worker):\n    import ctypes\n    ctypes.CDLL(None).prctl(1, 9)\n",
            encoding="utf-8",
        )
        self._run(name, [self.venv / "bin/gunicorn"], GUNICORN_CMD_ARGS=f"--config {config}")

    def _nova(self, program):
        return [self.venv / "bin" / program, "--config-file", self.directory / "nova.conf"]

    def _await(self, name, is_so):
        if not until(lambda: self._children.get(name) and self._children[name].poll() is not None or is_so(), START_SECONDS):
            raise AssertionError(f"{name} does not start:\n{self._said(name)[-3000:]}")
        assert self._children[name].poll() is None, f"{name} has ended:\n{self._said(name)[-3000:]}"

    def _said(self, name):
        return (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def _has_database_server(self, sql):
        return run([sql / "pg_isready", "-h", "127.0.0.1", "-p", self.ports["pg"], "-U", "postgres"], ok=(0, 1, 2)).code == 0

    def _answers(self, name):
        with suppress(requests.RequestException):
            return requests.get(self.urls[name], timeout=START_SECONDS).status_code < 500
        return False

    # what is in it

    def _configure(self):
        shutil.copy(self.venv / "etc/nova/api-paste.ini", self.directory)
        (self.directory / "api-paste.ini").chmod(0o600)
        pool, rabbit = {"max_pool_size": 5, "max_overflow": 10}, f"rabbit://guest:guest@127.0.0.1:{self.ports['rabbit']}//"
        common = {
            "DEFAULT": {
                "transport_url": rabbit,
                "state_path": self.directory / "state",
                "instances_path": self.directory / "instances",
                "my_ip": "127.0.0.1",
                "host": "fakehost",
                "compute_driver": "fake.MediumFakeDriver",
                "rpc_response_timeout": 60,
                "vif_plugging_is_fatal": False,
                "vif_plugging_timeout": 0,
                "allow_resize_to_same_host": True,
                "sync_power_state_interval": -1,
            },
            "service_user": {"send_service_user_token": True, **self._service("nova")},
            "placement": self._service("nova"),
            "glance": {"endpoint_override": self.cloud.glances[self.region].url},
            "neutron": {"endpoint_override": self.urls["neutron"], **self._service("nova")},
            "oslo_concurrency": {"lock_path": self.directory / "lock"},
            "oslo_messaging_rabbit": {"heartbeat_timeout_threshold": 0},
            "conductor": {"workers": 1},
            "scheduler": {"workers": 1},
            "wsgi": {"api_paste_config": self.directory / "api-paste.ini"},
            "keystone_authtoken": self._checking("nova"),
        }
        databases = {
            "api_database": {"connection": self._sql("nova_api"), **pool},
            "database": {"connection": self._sql("nova"), **pool},
        }
        write_config(self.directory / "compute.conf", **common)  # nova-compute must not see any database
        write_config(self.directory / "nova.conf", **common, **databases)
        placement = {"connection": self._sql("placement"), **pool}
        write_config(
            self.directory / "placement.conf", placement_database=placement, keystone_authtoken=self._checking("placement")
        )

    def _sql(self, name):
        return f"postgresql+psycopg2://postgres@127.0.0.1:{self.ports['pg']}/{name}"

    def _service(self, name):
        user = {"auth_type": "password", "project_name": "service", "username": name, "password": self._password(name)}
        domains = {"user_domain_id": "default", "project_domain_id": "default", "region_name": self.region}
        return {"auth_url": self.cloud.auth_url, **user, **domains}

    def _checking(self, name):
        return {"www_authenticate_uri": self.cloud.auth_url, "service_token_roles_required": True, **self._service(name)}

    def _password(self, name):
        return f"{name} of this run, {self.ports['pg']}"

    def _manage(self, program, config, *words):
        environment = {**os.environ, "PYTHONWARNINGS": "ignore", "OS_NOVA_DISABLE_EVENTLET_PATCHING": "true"}
        run([*DIES_WITH_US, self.venv / "bin" / program, "--config-file", self.directory / config, *words], env=environment)

    def _make_schemas(self):
        manage = ("nova-manage", "nova.conf")
        self._manage(*manage, "api_db", "sync")
        self._manage(*manage, "cell_v2", "map_cell0", "--database_connection", self._sql("nova_cell0"))
        self._manage(*manage, "db", "sync")
        cell = ["--name", "cell1", "--database_connection", self._sql("nova")]
        cell += ["--transport-url", f"rabbit://guest:guest@127.0.0.1:{self.ports['rabbit']}//"]
        self._manage(*manage, "cell_v2", "create_cell", *cell)

    def _make_accounts(self):
        admin = self.cloud._admin
        project = next(found for found in admin.projects.list() if found.name == "service")
        roles = {role.name: role for role in admin.roles.list()}
        kinds = {"nova": "compute", "placement": "placement", "neutron": "network"}
        for name, kind in kinds.items():
            user = admin.users.create(name, domain="default", password=self._password(name))
            for role in ("admin", "service"):
                admin.roles.grant(roles[role], user=user, project=project)
            service = admin.services.create(name, type=kind)
            url = f"{self.urls[name]}/v2.1" if name == "nova" else self.urls[name]
            for interface in INTERFACES:
                admin.endpoints.create(service, url, interface, self.region)

    def _has_host(self):
        """Whether the compute host is up, has what the scheduler asks for, and belongs to the cell: in this order, each needs the one before."""
        with suppress(Exception):
            admin = self.connection("admin")
            up = any(service.state == "up" for service in admin.compute.services(binary="nova-compute"))
            providers = list(admin.placement.resource_providers()) if up else []
            if any(list(admin.placement.resource_provider_inventories(provider)) for provider in providers):
                self._manage("nova-manage", "nova.conf", "cell_v2", "discover_hosts")
                return True
        return False

    def _make_flavors(self):
        self.connection("admin").compute.create_flavor(name="small", ram=64, vcpus=1, disk=1)

    def connection(self, name):
        """openstacksdk's own connection of a user: what a test looks at is not read by the code that it tests."""
        from openstack.config.cloud_region import from_session
        from openstack.connection import Connection

        if name not in self._connections:
            config = from_session(self.cloud.session(name), region_name=self.region)
            self._connections[name] = Connection(config=config)
        return self._connections[name]
