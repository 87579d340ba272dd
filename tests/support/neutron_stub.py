"""A stub in place of Neutron: what Nova and openstacksdk ask of it, kept in memory, and nothing behind it.

    python neutron_stub.py PORT PROJECT_ID

It answers for networks, subnets, ports, security groups with their rules, and floating IPs: makes, lists by the filters of the query, shows,
changes and deletes them.  It checks no token: all belongs to the project on the command line.  An address is that of nobody; a floating IP
is a loopback address, so that a test can answer there for the server.  What is posted to /stub/fail makes requests fail.
"""

import json
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

PORT, PROJECT = int(sys.argv[1]), sys.argv[2]
NETWORK, SUBNET, OUTSIDE, DEFAULT_GROUP = (str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in ("net", "sub", "out", "group"))
COMMON = {"project_id": PROJECT, "tenant_id": PROJECT, "description": "", "status": "ACTIVE", "tags": []}
SINGULAR = {
    "networks": "network",
    "subnets": "subnet",
    "ports": "port",
    "security-groups": "security_group",
    "security-group-rules": "security_group_rule",
    "floatingips": "floatingip",
}
TABLES = {name: {} for name in SINGULAR}
TABLES["networks"] = {
    NETWORK: {
        **COMMON,
        "id": NETWORK,
        "name": "inside",
        "subnets": [SUBNET],
        "admin_state_up": True,
        "shared": False,
        "mtu": 1500,
    },
    OUTSIDE: {**COMMON, "id": OUTSIDE, "name": "outside", "subnets": [], "admin_state_up": True, "shared": True, "mtu": 1500},
}
TABLES["networks"][OUTSIDE]["router:external"] = True
TABLES["networks"][NETWORK]["router:external"] = False
TABLES["subnets"][SUBNET] = {
    **COMMON,
    "id": SUBNET,
    "name": "inside",
    "network_id": NETWORK,
    "cidr": "10.9.0.0/16",
    "ip_version": 4,
    "gateway_ip": "10.9.0.1",
    "dns_nameservers": [],
    "host_routes": [],
    "enable_dhcp": False,
}
TABLES["security-groups"][DEFAULT_GROUP] = {**COMMON, "id": DEFAULT_GROUP, "name": "default", "security_group_rules": []}
LOCK = threading.Lock()
NUMBERS = iter(range(10, 65000))


def made(table, given):
    """A thing as Neutron would make it."""
    thing = {**COMMON, "name": "", **given, "id": str(uuid.uuid4())}
    number = next(NUMBERS)
    if table == "ports":
        defaults = {"device_id": "", "device_owner": "", "admin_state_up": True, "security_groups": [DEFAULT_GROUP]}
        address = {"subnet_id": SUBNET, "ip_address": f"10.9.{number >> 8}.{number & 255}"}
        binding = {"binding:vif_type": "ovs", "binding:vnic_type": "normal", "binding:vif_details": {}, "binding:profile": {}}
        thing = {
            **defaults,
            "fixed_ips": [address],
            "mac_address": f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}",
            **binding,
            **thing,
        }
    if table == "floatingips":
        port = TABLES["ports"][thing["port_id"]] if thing.get("port_id") else None
        fixed = port["fixed_ips"][0]["ip_address"] if port else None
        thing = {
            **thing,
            "floating_ip_address": f"127.9.{number >> 8}.{number & 255}",
            "fixed_ip_address": fixed,
            "router_id": None,
        }
    if table == "security-groups":
        thing["security_group_rules"] = []
    if table == "security-group-rules":
        thing = {"protocol": None, "port_range_min": None, "port_range_max": None, **thing}
    return thing


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def split(self):
        """``(table, id, query, body)`` of a request."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or "{}")
        address = urlsplit(self.path)
        words = [word for word in address.path.split("/") if word and word != "v2.0"]
        words = [word.removesuffix(".json") for word in words] or [""]
        return words[0], words[1] if words[1:] else "", parse_qsl(address.query), body

    def do_GET(self):
        table, thing_id, query, _ = self.split()
        with LOCK:
            if table == "":
                link = {"rel": "self", "href": f"http://127.0.0.1:{PORT}/v2.0/"}
                return self.answer(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]})
            if table == "quotas":
                return self.answer(200, {"quota": {name.replace("-", "_").removesuffix("s"): -1 for name in SINGULAR}})
            if table not in TABLES:
                return self.answer(200, {table.replace("-", "_"): []})
            things = TABLES[table]
            if thing_id:
                found = things.get(thing_id)
                return self.answer(200, {SINGULAR[table]: found}) if found else self.missing(table, thing_id)
            wanted = {}
            for key, value in query:
                wanted.setdefault(key, set()).add(value)
            for key in ("fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"):
                wanted.pop(key, None)
            found = [
                thing
                for thing in things.values()
                if all(str(thing.get(key)) in values or key not in thing for key, values in wanted.items())
            ]
            return self.answer(200, {table.replace("-", "_"): found})

    def missing(self, table, thing_id):
        self.answer(
            404,
            {"NeutronError": {"type": "NotFound", "message": f"{SINGULAR[table]} {thing_id} could not be found", "detail": ""}},
        )

    def do_POST(self):
        table, _, _, body = self.split()
        with LOCK:
            thing = made(table, body[SINGULAR[table]])
            TABLES[table][thing["id"]] = thing
            if table == "security-group-rules":
                TABLES["security-groups"][thing["security_group_id"]]["security_group_rules"].append(thing)
            self.answer(201, {SINGULAR[table]: thing})

    def do_PUT(self):
        table, thing_id, _, body = self.split()
        with LOCK:
            if thing_id not in TABLES.get(table, {}):
                return self.missing(table, thing_id)
            TABLES[table][thing_id].update(body[SINGULAR[table]])
            return self.answer(200, {SINGULAR[table]: TABLES[table][thing_id]})

    def do_DELETE(self):
        table, thing_id, _, _ = self.split()
        with LOCK:
            if thing_id not in TABLES.get(table, {}):
                return self.missing(table, thing_id)
            if table == "security-groups" and any(thing_id in port["security_groups"] for port in TABLES["ports"].values()):
                return self.answer(
                    409, {"NeutronError": {"type": "SecurityGroupInUse", "message": f"{thing_id} in use", "detail": ""}}
                )
            del TABLES[table][thing_id]
            if table == "ports":  # as Neutron does: an address outlives the port, without it
                for address in TABLES["floatingips"].values():
                    if address.get("port_id") == thing_id:
                        address.update(port_id=None, fixed_ip_address=None)
            return self.answer(204)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
