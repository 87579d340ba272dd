"""EC2 and EBS in a region.  The only file that knows boto3.

Images and snapshots come as plain dicts.  There are few kinds of errors: the credentials are wrong, AWS refuses (trying again does
not help), or it cannot be reached (it may).  botocore repeats what may be repeated, with pauses that grow.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from vmimage.delivery import EXTRAS
from vmimage.ec2.blocks import BLOCK_BYTES, checksum
from vmimage.errors import (
    CredentialsWrong,
    ImageGone,
    NotReady,
    SettingsWrong,
    StoreConflict,
    StoreRefused,
    StoreUnreachable,
    VmImageError,
)
from vmimage.glance.generations import MARK
from vmimage.settings.ec2 import Ec2Settings
from vmimage.system.aliases import Say, Sleep
from vmimage.system.retry import retried

#: an image or a snapshot as EC2 describes it, with its tags as a dict in ``tags``
Resource = dict[str, Any]
_CONNECT_SECONDS, _SILENT_SECONDS = 30, 120
_TRIES_OF_NEW = 5  # of what EC2 refuses until it has seen the request before
_KEEP_PENDING_MINUTES = 24 * 60  # then EBS itself gives up a snapshot that nobody goes on with
_UNSIGNED = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_FORBIDDEN = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_GONE = {"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidSnapshot.NotFound", "ResourceNotFoundException"}
_CONFLICTS = {"InvalidAMIName.Duplicate", "InvalidSnapshot.InUse", "ConflictException", "IdempotentParameterMismatch"}


class RequestInvalid(StoreRefused):
    """What is asked does not fit what is there: a snapshot that is sealed takes no block."""


class Cloud:
    """The images and snapshots of an account in a region.

    :param tries: of each request that may be repeated
    :param session: of boto3, default a new one
    """

    def __init__(
        self,
        settings: Ec2Settings,
        *,
        tries: int = 7,
        say: Say = lambda text: None,
        sleep: Sleep = time.sleep,
        session: Any = None,  # boto3 has no types
    ) -> None:
        self.settings, self.say, self.sleep = settings, say, sleep
        boto3, self._errors, config = _boto3()
        options = config(
            retries={"mode": "standard", "total_max_attempts": tries},
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_SILENT_SECONDS,
            max_pool_connections=settings.parallel + 1,
        )
        with self._asked("find credentials"):
            session = session or boto3.Session(profile_name=settings.profile or None, region_name=settings.region or None)
            where = {"endpoint_url": settings.endpoint or None, "config": options}
            self._ec2, self._ebs = session.client("ec2", **where), session.client("ebs", **where)
        self.region: str = self._ec2.meta.region_name

    def check(self) -> None:
        """Check that there are credentials, and that they may list images.

        :raises CredentialsWrong, StoreRefused, StoreUnreachable:
        """
        self.list_images("-")

    # what is there

    def list_images(self, name: str | None) -> list[Resource]:
        """The account's images with our tag of that name, or of any, hidden images too."""
        wanted = {"Owners": ["self"], "Filters": _named(name), "IncludeDeprecated": True, "IncludeDisabled": True}
        return self._listed("list images", self._ec2.describe_images, "Images", wanted)

    def list_snapshots(self, name: str) -> list[Resource]:
        """The account's snapshots with our tag of that name."""
        wanted = {"OwnerIds": ["self"], "Filters": _named(name)}
        return self._listed("list snapshots", self._ec2.describe_snapshots, "Snapshots", wanted)

    def find_image(self, image_id: str) -> Resource | None:
        """The image of that id, or None: where it is gone, or too new to be seen."""
        with suppress(ImageGone):
            found = self._listed(f"look at {image_id}", self._ec2.describe_images, "Images", {"ImageIds": [image_id]})
            return next(iter(found), None)
        return None

    def find_snapshot(self, snapshot: str) -> Resource | None:
        """The snapshot of that id, or None: where it is gone, or too new to be seen."""
        wanted = {"SnapshotIds": [snapshot]}
        with suppress(ImageGone):
            return next(iter(self._listed(f"look at {snapshot}", self._ec2.describe_snapshots, "Snapshots", wanted)), None)
        return None

    def _listed(self, what: str, call: Callable[..., Any], key: str, wanted: Mapping[str, Any]) -> list[Resource]:
        found: list[Resource] = []
        token: dict[str, str] = {}
        while True:
            with self._asked(what):
                answer = call(**wanted, **token)
            found += [{**entry, "tags": {tag["Key"]: tag["Value"] for tag in entry.get("Tags", ())}} for entry in answer[key]]
            if not answer.get("NextToken"):
                return found
            token = {"NextToken": answer["NextToken"]}

    # snapshots

    def start_snapshot(self, gib: int, *, parent: str, token: str, tags: Mapping[str, str], description: str) -> str:
        """A pending snapshot; with the token of an earlier call, and all else the same, the snapshot of that call.

        :returns: its id
        """
        more = {"ParentSnapshotId": parent} if parent else {}
        with self._asked("start a snapshot"):
            answer = self._ebs.start_snapshot(
                VolumeSize=gib,
                Tags=_tag_list(tags),
                Description=description[:255],
                ClientToken=token,
                Timeout=_KEEP_PENDING_MINUTES,
                **more,
            )
        return answer["SnapshotId"]

    def put_block(self, snapshot: str, index: int, block: bytes, digest: bytes) -> None:
        """Write a block; EBS compares it with the digest.  What the block held before is overwritten."""
        with self._asked(f"write to {snapshot}"):
            self._ebs.put_snapshot_block(
                SnapshotId=snapshot,
                BlockIndex=index,
                BlockData=block,
                DataLength=BLOCK_BYTES,
                Checksum=checksum(digest),
                ChecksumAlgorithm="SHA256",
            )

    def complete_snapshot(self, snapshot: str, blocks: int, aggregate: str) -> None:
        """Seal a snapshot; EBS compares number and digests of the blocks that were written.  It is completed some time later."""
        with self._asked(f"complete {snapshot}"):
            self._ebs.complete_snapshot(
                SnapshotId=snapshot,
                ChangedBlocksCount=blocks,
                Checksum=aggregate,
                ChecksumAlgorithm="SHA256",
                ChecksumAggregationMethod="LINEAR",
            )

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete a snapshot; it may be gone already, and its image may have been deregistered a moment ago."""

        def delete() -> None:
            with suppress(ImageGone), self._asked(f"delete {snapshot}"):
                self._ec2.delete_snapshot(SnapshotId=snapshot)

        retried(delete, StoreConflict, tries=_TRIES_OF_NEW, say=self.say, sleep=self.sleep)

    # images

    def register_image(self, **facts: Any) -> str:
        """Register an image, as botocore's ``register_image`` takes it.

        :returns: its id
        :raises StoreConflict: if there is an image of that name
        """
        with self._asked(f"register {facts['Name']}"):
            return self._ec2.register_image(**facts)["ImageId"]

    def deregister_image(self, image_id: str) -> None:
        """Deregister an image; it may be gone already."""
        with suppress(ImageGone), self._asked(f"deregister {image_id}"):
            self._ec2.deregister_image(ImageId=image_id)

    def tag(self, resource: str, tags: Mapping[str, str]) -> None:
        """Set tags, all in one request; what was made a moment ago may not be seen as yet."""

        def tag() -> None:
            with self._asked(f"tag {resource}"):
                self._ec2.create_tags(Resources=[resource], Tags=_tag_list(tags))

        retried(tag, ImageGone, tries=_TRIES_OF_NEW, say=self.say, sleep=self.sleep)

    def list_permissions(self, image_id: str) -> list[dict[str, str]]:
        """Who may start instances of an image, as EC2 writes it: ``UserId``, ``Group``, ``OrganizationArn``..."""
        with self._asked(f"look at {image_id}"):
            answer = self._ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
        return [dict(entry) for entry in answer.get("LaunchPermissions", ())]

    def permit(self, image_id: str, permissions: list[dict[str, str]]) -> None:
        """Let others start instances of an image."""
        with self._asked(f"share {image_id}"):
            self._ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": permissions})

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """A request: errors of botocore become errors of ours."""
        try:
            yield
        except self._errors.ClientError as error:
            raise _refusal(what, error.response.get("Error", {})) from error
        except self._errors.NoRegionError as error:
            raise SettingsWrong("no region for EC2 is known", hint="ami.ec2: {region: eu-west-1}, or AWS_REGION") from error
        except (
            self._errors.NoCredentialsError,
            self._errors.PartialCredentialsError,
            self._errors.CredentialRetrievalError,
            self._errors.ProfileNotFound,
            self._errors.UnauthorizedSSOTokenError,
        ) as error:
            raise CredentialsWrong(
                f"cannot {what} in EC2: {error}",
                hint="boto3 looks into the environment, ~/.aws of the user of Salt, and the role of the instance",
            ) from error
        except self._errors.BotoCoreError as error:
            raise StoreUnreachable(
                f"cannot {what} in EC2: {error}", hint="see network, proxy, ami.ec2; then try again"
            ) from error


def _boto3() -> tuple[Any, Any, Any]:
    """boto3, botocore's errors and its class of options: they come with the extra ``ec2``, and without types."""
    try:
        import boto3
        import botocore.config
        import botocore.exceptions
    except ImportError as error:
        raise NotReady(
            "ami.outputs has ec2, and the Python of Salt has no boto3",
            hint=f"salt-pip install '{EXTRAS['ec2'][0]}', or {sys.executable} -m pip install '{EXTRAS['ec2'][0]}'",
        ) from error
    for name in ("boto3", "botocore"):  # on level debug they write tokens into the log, and answers with keys
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger(name).level))
    return boto3, botocore.exceptions, botocore.config.Config


def _refusal(what: str, error: Mapping[str, str]) -> VmImageError:
    code, text = error.get("Code", "unknown"), error.get("Message", "")
    message = f"cannot {what} in EC2: {code}: {text}"
    if code in _UNSIGNED:
        return CredentialsWrong(message, hint="see the credentials that boto3 finds, and the clock of this machine")
    if code in _FORBIDDEN:
        return StoreRefused(message, hint="allow it: docs/guide/ec2 has the policy")
    if code in _GONE:
        return ImageGone(message)
    if code in _CONFLICTS:
        return StoreConflict(message)
    if "Throttl" in code or code in ("InternalError", "InternalServerException", "RequestLimitExceeded", "ServiceUnavailable"):
        return StoreUnreachable(message, hint="after all tries; run it again later")
    return (RequestInvalid if code == "ValidationException" else StoreRefused)(message)


def _named(name: str | None) -> list[dict[str, Any]]:
    if name is None:
        return [{"Name": "tag-key", "Values": [f"{MARK}name"]}]
    return [{"Name": f"tag:{MARK}name", "Values": [name]}]


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value[:255]} for key, value in sorted(tags.items())]
