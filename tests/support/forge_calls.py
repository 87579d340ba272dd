"""Calls of forges after a push, in the shape that their documentation gives them: headers, and what the body says. Names and hashes are made up."""

import hashlib
import hmac
import json
from urllib.parse import urlencode

NONE, BEFORE, AFTER = "0" * 40, "1" * 40, "2" * 40
HOST = "https://forge.example.org"


def encoded(data, *, form=False):
    """The body of a call, as JSON or as a form."""
    return urlencode({"payload": json.dumps(data)}).encode() if form else json.dumps(data).encode()


def signature(secret, text):
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def _move(ref, *, deleted=False, created=False):
    """What a moved, new or deleted branch or tag is in the words of GitHub, which Gitea and Forgejo have taken over."""
    return {"ref": ref, "before": NONE if created else BEFORE, "after": NONE if deleted else AFTER}


def github(path, event="push", ref="refs/heads/main", **move):
    """``(headers without a signature, data)`` of GitHub."""
    name = path.rpartition("/")[2]
    repository = {
        "id": 35129377,
        "name": name,
        "full_name": path,
        "private": False,
        "html_url": f"{HOST}/{path}",
        "url": f"{HOST}/{path}",
        "git_url": f"git://forge.example.org/{path}.git",
        "ssh_url": f"git@forge.example.org:{path}.git",
        "clone_url": f"{HOST}/{path}.git",
        "svn_url": f"{HOST}/{path}",
        "homepage": None,
        "default_branch": "main",
    }
    own = {
        "push": {
            **_move(ref, **move),
            "created": False,
            "deleted": False,
            "forced": False,
            "commits": [],
            "head_commit": None,
            **move,
        },
        "create": {"ref": ref.rpartition("/")[2], "ref_type": "tag", "master_branch": "main", "pusher_type": "user"},
        "delete": {"ref": ref.rpartition("/")[2], "ref_type": "branch", "pusher_type": "user"},
        "ping": {
            "zen": "Keep it logically awesome.",
            "hook_id": 30,
            "hook": {"type": "Repository", "events": ["push"], "active": True},
        },
        "issues": {"action": "opened", "issue": {"number": 2, "title": "a title"}},
    }[event]
    headers = {
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-GitHub-Hook-ID": "292430182",
        "X-GitHub-Hook-Installation-Target-Type": "repository",
        "User-Agent": "GitHub-Hookshot/044aadd",
    }
    return headers, {**own, "repository": repository, "sender": {"login": "somebody", "id": 6752317}}


def gitlab(path, event="push", ref="refs/heads/main", **move):
    """``(headers without the token, data)`` of GitLab."""
    project = {
        "id": 15,
        "name": path.rpartition("/")[2],
        "web_url": f"{HOST}/{path}",
        "git_ssh_url": f"git@forge.example.org:{path}.git",
        "git_http_url": f"{HOST}/{path}.git",
        "path_with_namespace": path,
        "default_branch": "main",
        "url": f"git@forge.example.org:{path}.git",
        "ssh_url": f"git@forge.example.org:{path}.git",
        "http_url": f"{HOST}/{path}.git",
    }
    deleted = move.get("deleted", False)
    own = {
        "object_kind": event,
        "event_name": event,
        **_move(ref, **move),
        "checkout_sha": None if deleted else AFTER,
        "commits": [],
    }
    kinds = {"push": "Push Hook", "tag_push": "Tag Push Hook", "note": "Note Hook"}
    headers = {
        "X-Gitlab-Event": kinds[event],
        "X-Gitlab-Instance": HOST,
        "X-Gitlab-Webhook-UUID": "02affd2d-2cba-4033-917d-ec22d5dc4b38",
        "X-Gitlab-Event-UUID": "13792a34-cac6-4fda-95a8-c58e00a3954e",
        "Idempotency-Key": "f5e57ebe-3cb7-4156-84f8-e92e6ad6fa56",
        "User-Agent": "GitLab/18.0.0",
    }
    repository = {
        "name": project["name"],
        "url": project["url"],
        "homepage": project["web_url"],
        "git_http_url": project["git_http_url"],
    }
    return headers, {**own, "user_name": "Somebody", "project_id": 15, "project": project, "repository": repository}


def gitea(path, event="push", ref="refs/heads/main", forge="Gitea", **move):
    """``(headers without signatures, data)`` of Gitea, or of Forgejo."""
    repository = {
        "id": 140,
        "name": path.rpartition("/")[2],
        "full_name": path,
        "html_url": f"{HOST}/{path}",
        "ssh_url": f"ssh://git@forge.example.org/{path}.git",
        "clone_url": f"{HOST}/{path}.git",
        "website": "",
        "original_url": "",
        "default_branch": "main",
    }
    own = {
        "push": {**_move(ref, **move), "compare_url": "", "commits": [], "total_commits": 0, "head_commit": None},
        "create": {"sha": AFTER, "ref": ref.rpartition("/")[2], "ref_type": "tag"},
        "delete": {"ref": ref.rpartition("/")[2], "ref_type": "branch", "pusher_type": "user"},
        "issue_comment": {"action": "created", "comment": {"id": 1, "body": "words"}},
    }[event]
    headers = {}
    for name in (forge, "Gitea", "Gogs", "GitHub"):
        headers |= {
            f"X-{name}-Event": event,
            f"X-{name}-Event-Type": event,
            f"X-{name}-Delivery": "f6266f16-1bf3-46a5-9ea4-602e06ead473",
        }
    return headers, {**own, "repository": repository, "pusher": {"login": "somebody"}, "sender": {"login": "somebody"}}


def forgejo(path, event="push", ref="refs/heads/main", **move):
    return gitea(path, event, ref, "Forgejo", **move)


def signed(forge, secret, path, *words, form=False, **more):
    """``(body, headers)`` as the forge of that name sends a call: of a form GitHub signs the body, Gitea and Forgejo sign the payload."""
    headers, data = FORGES[forge](path, *words, **more)
    body = encoded(data, form=form)
    own = signature(secret, body if forge == "GitHub" else json.dumps(data).encode())
    if forge == "GitLab":
        headers |= {"X-Gitlab-Token": secret}
    else:
        headers |= {"X-Hub-Signature-256": f"sha256={own}"}
    if forge in ("Gitea", "Forgejo"):
        headers |= {f"X-{name}-Signature": own for name in (forge, "Gitea", "Gogs")}
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    return body, {**headers, "Content-Type": kind}


FORGES = {"GitHub": github, "GitLab": gitlab, "Gitea": gitea, "Forgejo": forgejo}
