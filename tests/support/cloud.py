"""A real Keystone and real Glances on the loopback, for the time of the tests.

Each is a gunicorn with one application, sqlite and a file store.  All are children of the tests, and the kernel ends them with us,
however we end.  Secrets are random in each run, so that a test can look for them in messages, logs and files.
"""

import base64
import os
import secrets
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import glanceclient
from keystoneauth1 import session
from keystoneauth1.identity import v3
from keystoneclient.v3 import client as keystone_client
from servers import Server, processes_of, write_config
from vmimage.system.shell import run
from vmimage.system.whole_files import write_json

DIES_WITH_US = ["setpriv", "--pdeathsig", "KILL"]
INTERFACES = ["public", "internal", "admin"]
DEFAULT_DOMAIN = {"user_domain_id": "default", "project_domain_id": "default"}


@dataclass(frozen=True)
class User:
    """Somebody with a role in a project, and the secrets of this run."""

    name: str
    password: str
    project_name: str
    project_id: str
    user_id: str
    app_cred_id: str = ""
    app_cred_secret: str = ""


@dataclass(frozen=True)
class Template:
    """The databases of a Keystone and a Glance that nobody has used yet, to be copied: they take long to make.

    :ivar str password: of the administrator
    """

    directory: Path
    password: str


def make_template(directory, venv):
    """A :class:`Template` in a new directory."""
    directory.mkdir(exist_ok=True)
    make_keys(directory)
    keystone, glance, password = directory / "keystone.conf", directory / "glance.conf", secrets.token_hex(16)
    write_keystone_config(keystone, directory)
    write_config(glance, database={"connection": f"sqlite:///{directory}/glance.db", "sqlite_synchronous": False})

    def manage(program, config, *words):
        run([*DIES_WITH_US, venv / "bin" / program, "--config-file", config, *words], env=environment_in(directory))

    with ThreadPoolExecutor(1) as beside:
        other = beside.submit(manage, "glance-manage", glance, "db_sync")
        manage("keystone-manage", keystone, "db_sync")
        words = [word for interface in INTERFACES for word in (f"--bootstrap-{interface}-url", "http://127.0.0.1/v3")]
        words += ["--bootstrap-password", password, "--bootstrap-region-id", "RegionOne"]
        manage("keystone-manage", keystone, "bootstrap", *words)
        other.result()
    return Template(directory, password)


def make_keys(directory):
    """Keys of a Keystone's own: a token of another is good for nothing in it."""
    for repository in ("fernet", "credential"):
        (directory / repository).mkdir(mode=0o700)
        for number in "01":  # the next key and the key in use
            (directory / repository / number).write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))


def write_keystone_config(path, directory, cached=False, token_seconds=3600):
    """The configuration of a Keystone whose database and keys lie in a directory."""
    write_config(
        path,
        database={"connection": f"sqlite:///{directory}/keystone.db", "sqlite_synchronous": False},
        token={"expiration": token_seconds},
        fernet_tokens={"key_repository": directory / "fernet"},
        fernet_receipts={"key_repository": directory / "fernet"},
        credential={"key_repository": directory / "credential"},
        identity={"password_hash_rounds": 4},
        cache={"enabled": cached, "backend": "dogpile.cache.memory"},
    )


def environment_in(directory):
    """The environment of a server, or of a program that makes its database."""
    ours = {"TMPDIR": str(directory), "XDG_CACHE_HOME": str(directory / "cache")}
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore", **ours}


class Glance(Server):
    """The image service of one region; as a context manager it ends, and leaves the catalog, with the block.

    :ivar str region: its name in the catalog
    :ivar Path store_directory: where the bytes of images lie
    """

    def __init__(self, cloud, region, store_directory, tls, **sections):
        super().__init__(cloud, f"glance-{region}", "glance.wsgi.api:application", tls)
        self.region, self.store_directory = region, Path(store_directory or self.directory / "images")
        self.store_directory.mkdir(exist_ok=True)
        defaults = {
            "enabled_backends": "fast:file",
            "enabled_import_methods": "[]",
            "node_staging_uri": f"file://{self.directory}/staging",
        }
        write_config(
            self.directory / "glance-api.conf",
            DEFAULT={**defaults, **sections.pop("DEFAULT")},
            database={"connection": f"sqlite:///{self.directory}/glance.db", "sqlite_synchronous": False},
            glance_store={"default_backend": "fast"},
            fast={"filesystem_store_datadir": self.store_directory},
            os_glance_staging_store={"filesystem_store_datadir": self.directory / "staging"},
            os_glance_tasks_store={"filesystem_store_datadir": self.directory / "tasks"},
            paste_deploy={"flavor": "keystone", "config_file": cloud.venv / "etc/glance/glance-api-paste.ini"},
            oslo_concurrency={"lock_path": self.directory},
            **sections,
        )
        # as an administrator makes it: properties that this cloud takes with some values alone
        write_json(self.directory / "schema-image.json", {"colour": {"type": "string", "enum": ["red", "green"]}})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()
        self._cloud.forget(self.region)

    def remove(self):
        """End it, with the bytes of its images; its log stays to be read."""
        self.kill()
        shutil.rmtree(self.directory / "images", ignore_errors=True)


class Cloud:
    """A Keystone with users, and a Glance for each region.

    :param Path directory: of everything; made by us
    :param Path venv: the virtual environment that has the servers
    :param int token_seconds: how long a token is valid
    :param Template template: by default a template of its own
    :ivar dict users: :class:`User` by name: admin, alice and bob
    :ivar dict glances: :class:`Glance` by region
    """

    def __init__(self, directory, venv, token_seconds=3600, template=None):
        self.directory, self.venv = Path(directory), Path(venv)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.users, self.glances, self._clients, self._remover = {}, {}, {}, None
        self._token_seconds, self._service_password = token_seconds, secrets.token_hex(16)
        self._endpoints, self._tls_keystones, self._sessions, self._template = {}, [], set(), template
        # the kernel ends a child with the thread that started it, so this thread starts all and lives as long as we do
        self._starter = ThreadPoolExecutor(1)
        self.keystone = self._make_keystone("keystone", cached=True)
        self.auth_url = f"{self.keystone.url}/v3"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Start Keystone and make its users."""
        try:
            if self._template is None:
                self._template = make_template(self.directory / "template", self.venv)
            shutil.copy(self._template.directory / "keystone.db", self.directory)
            make_keys(self.directory)
            self.users["admin"] = User("admin", self._template.password, "admin", "", "")
            self.keystone.start()
            self._make_users()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """End all servers."""
        for glance in self.glances.values():
            glance.remove()
        for server in (*self._tls_keystones, self.keystone):
            server.kill()
        self._starter.shutdown()

    def processes(self):
        """The ids of all processes that the servers are, or left behind."""
        return {process for leader in self._sessions for process in processes_of(leader)}

    def start_process(self, directory, log):
        """The gunicorn of a directory, as the leader of a session of its own."""
        # gunicorn gets its options here, for Keystone takes the words of argv as its own
        options = {
            "GUNICORN_CMD_ARGS": f"--config {shlex.quote(str(directory / 'gunicorn.py'))}",
            "OS_KEYSTONE_CONFIG_DIR": str(directory),
            "OS_GLANCE_CONFIG_DIR": str(directory),
        }
        argv, environment = [*DIES_WITH_US, self.venv / "bin/gunicorn"], {**environment_in(self.directory), **options}
        with open(log, "ab") as output:
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            starting = self._starter.submit(subprocess.Popen, argv, env=environment, start_new_session=True, **streams)
            self._sessions.add(starting.result().pid)
            return starting.result()

    # Keystone

    def _make_keystone(self, name, cached, tls=None):
        server = Server(self, name, "keystone.wsgi.api:application", tls)
        write_keystone_config(server.directory / "keystone.conf", self.directory, cached, self._token_seconds)
        return server

    def _make_users(self):
        """The service user of the Glances; alice and bob, each with a project and an application credential."""
        self._admin = keystone_client.Client(session=self.session("admin"), endpoint_override=self.auth_url)
        for endpoint in self._admin.endpoints.list():  # Keystone's own: the template knows no port
            self._admin.endpoints.update(endpoint, url=self.auth_url)
        roles = {role.name: role for role in self._admin.roles.list()}
        self._add_user("glance", self._service_password, "service", roles["service"])
        self._images = self._admin.services.create("glance", type="image")
        for name in ("alice", "bob"):
            self.users[name] = user = self._add_user(name, secrets.token_hex(16), f"project of {name}", roles["member"])
            own, secret = self.session(name), secrets.token_hex(16)
            credentials = keystone_client.Client(session=own, endpoint_override=self.auth_url).application_credentials
            credential = credentials.create(f"of {name}", secret=secret, user=user.user_id)
            self.users[name] = replace(user, app_cred_id=credential.id, app_cred_secret=secret)

    def _add_user(self, name, password, project_name, role):
        project = self._admin.projects.create(project_name, "default")
        user = self._admin.users.create(name, domain="default", password=password)
        self._admin.roles.grant(role, user=user, project=project)
        return User(name, password, project_name, project.id, user.id)

    def keystone_tls(self, certificate, key):
        """Start one more Keystone on the same database, with TLS: its auth_url."""
        # without a cache, for it would not hear of what is changed through the first
        server = self._make_keystone("keystone-tls", cached=False, tls=(certificate, key))
        self._tls_keystones.append(server)
        server.start()
        return f"{server.url}/v3"

    def session(self, name, auth_url=None, **options):
        """A plain session of a user, with a password.

        :param options: of keystoneauth1's Session, such as verify
        """
        user = self.users[name]
        words = {"username": name, "password": user.password, "project_name": user.project_name}
        return session.Session(auth=v3.Password(auth_url or self.auth_url, **words, **DEFAULT_DOMAIN), **options)

    def client(self, name, region, **options):
        """A plain Glance client of a user; the options are those of :meth:`session`.

        In RegionOne, without options, a user signs in once: the catalog that came with the sign-in knows no region that came later.
        """
        if region == "RegionOne" and not options:
            if name not in self._clients:
                self._clients[name] = glanceclient.Client("2", session=self.session(name), region_name=region)
            return self._clients[name]
        return glanceclient.Client("2", session=self.session(name, **options), region_name=region)

    def revoke(self, token):
        """Make a token invalid; a Glance may still believe it for the time of its cache."""
        self._admin.tokens.revoke_token(token)

    # Glance

    def glance(
        self,
        region,
        *,
        store_directory=None,
        token_cache_seconds=300,
        storage_quota=0,
        tls=None,
        endpoint=None,
        import_plugins=None,
    ):
        """Start one more Glance and put it into the catalog.

        :param str region: a name that no other has now
        :param Path store_directory: where the bytes of images go, default a directory of its own
        :param int token_cache_seconds: how long a token is believed without asking Keystone; -1: never
        :param str storage_quota: of all images of a project, such as "100MB"
        :param tls: the paths of a certificate and its key
        :param str endpoint: the address for the catalog, default its own
        :param dict import_plugins: ``{plugin: (section, its options)}`` of imports, which are off without it
        """
        options = {"user_storage_quota": storage_quota}
        more = {}
        if import_plugins:
            options["enabled_import_methods"] = "[glance-direct]"
            more = {"image_import_opts": {"image_import_plugins": f"[{','.join(import_plugins)}]"}}
            for section, words in import_plugins.values():
                more[section] = words
        keystone = {
            "www_authenticate_uri": self.auth_url,
            "auth_url": self.auth_url,
            "auth_type": "password",
            "project_name": "service",
            "username": "glance",
            "password": self._service_password,
            "token_cache_time": token_cache_seconds,
            "service_token_roles_required": True,
            **DEFAULT_DOMAIN,
        }
        server = Glance(self, region, store_directory, tls, DEFAULT=options, keystone_authtoken=keystone, **more)
        shutil.copy(self._template.directory / "glance.db", server.directory / "glance.db")
        self.glances[region] = server
        server.start()
        self.register(region, endpoint or server.url)
        return server

    def forget(self, region):
        """Take a Glance that has ended out of the catalog."""
        del self.glances[region]
        self.withdraw(region)

    def register(self, region, url):
        """Put an image service into the catalog, or change its address there."""
        if region in self._endpoints:
            for endpoint in self._endpoints[region]:
                self._admin.endpoints.update(endpoint, url=url)
        else:
            create = self._admin.endpoints.create
            self._endpoints[region] = [create(self._images, url, interface, region) for interface in INTERFACES]

    def withdraw(self, region):
        """Take a region out of the catalog."""
        for endpoint in self._endpoints.pop(region):
            self._admin.endpoints.delete(endpoint)
        self._admin.regions.delete(region)

    @contextmanager
    def registered(self, region, url):
        """A region of the catalog for the time of the block."""
        self.register(region, url)
        try:
            yield region
        finally:
            self.withdraw(region)

    def remove_images(self):
        """Remove all images of all Glances, hidden and protected images too; start what does not run."""
        self._remover = self._remover or self.session("admin", verify=False)
        for glance in self.glances.values():
            glance.start()
            images = glanceclient.Client("2", session=self._remover, endpoint_override=glance.url).images
            views = ({"visibility": "all", "os_hidden": is_hidden} for is_hidden in (False, True))
            for image in [listed for view in views for listed in images.list(filters=view)]:
                if image.protected:
                    images.update(image.id, protected=False)
                try:
                    images.delete(image.id)
                except glanceclient.exc.HTTPException as error:  # it is, by a request whose client has ended
                    if error.code != 404 and "from deleted to deleted" not in str(error):
                        raise


def make_certificate(directory, names):
    """A self-signed certificate and its key.

    :param list names: what it is good for, as openssl writes it: "DNS:localhost", "IP:127.0.0.1"
    :returns: the paths of both
    """
    directory.mkdir(parents=True, exist_ok=True)
    certificate, key = directory / "server.crt", directory / "server.key"
    argv = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    run([*argv, "-subj", "/CN=a test", "-addext", f"subjectAltName={','.join(names)}", "-keyout", key, "-out", certificate])
    return certificate, key
