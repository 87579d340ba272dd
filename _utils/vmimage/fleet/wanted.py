"""What should be: the variations of all repositories, each at the commit that its repository has now."""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from vmimage.errors import RepositoryWrong, VmImageError
from vmimage.fleet.claims import Claims
from vmimage.fleet.configuration import KEY, Configuration, Repository, check_variation_settings, check_variations
from vmimage.fleet.records import Wanted
from vmimage.glance.outputs import image_name
from vmimage.repository.asking import ask_commit
from vmimage.repository.checkout import fetch_repository
from vmimage.settings.schema import keys_that
from vmimage.system.aliases import StrPath
from vmimage.system.digest import digest_of_data
from vmimage.variation.source import FILE, read_own_settings

_AT_A_TIME = 16
#: of a repository's own settings, those that the fleet must know
_OF_THE_FLEET = ("architecture", "outputs", "keep", "carry_over")


@dataclass(frozen=True)
class Asked:
    """What the repositories have said.

    :ivar wanted: by the name of the image
    :ivar known: repositories of which all variations are known: a name of theirs that is not wanted is wanted no longer
    :ivar problems: a sentence for each repository that is wrong or could not be asked
    """

    wanted: Mapping[str, Wanted]
    known: Collection[str]
    problems: Mapping[str, str]


class Repositories:
    """Asks repositories, and remembers what their files say of a commit.

    :param cache: a directory of the master, for clones
    """

    def __init__(self, configuration: Configuration, claims: Claims, cache: StrPath) -> None:
        self._configuration, self._claims, self._cache = configuration, claims, cache

    def ask(self, names: Collection[str] | None = None) -> Asked:
        """What is wanted.

        :param names: of repositories that have changed, as far as is known: the others are not asked where they were asked before
        """
        repositories = self._configuration.repositories
        problems = dict(self._configuration.problems)
        noted = {name: self._noted(repository) for name, repository in repositories.items()}
        asked = [name for name in repositories if names is None or name in names or not noted[name]]
        with ThreadPoolExecutor(_AT_A_TIME) as threads:
            found = dict(zip(asked, threads.map(lambda name: self._ask(repositories[name], noted[name]), asked), strict=True))
        facts: dict[str, dict[str, Any]] = {}
        for name in repositories:
            answer = found[name] if name in found else noted[name]
            if isinstance(answer, str):
                problems[name] = answer
                continue
            facts[name] = answer
            if answer != noted[name]:
                self._claims.note_repository(name, answer)
        wanted: dict[str, Wanted] = {}
        known = []
        for name, answer in facts.items():
            try:
                own = self._wanted(repositories[name], answer)
                if both := [other for other in own if other in wanted]:
                    first = wanted[both[0]].repository
                    raise RepositoryWrong(
                        f"{both[0]} is of {KEY}.repositories.{first} already", hint="another name for one of them"
                    )
            except VmImageError as error:
                problems[name] = str(error)
                continue
            wanted |= own
            known.append(name)
        return Asked(wanted, known, problems)

    def _noted(self, repository: Repository) -> dict[str, Any]:
        noted = self._claims.repository(repository.name)
        same = all(noted.get(key) == getattr(repository, key) for key in ("kind", "address", "revision"))
        return noted if noted and same else {}

    def _ask(self, repository: Repository, noted: Mapping[str, Any]) -> dict[str, Any] | str:
        """What is known of the commit that the repository has now, or why that is not known."""
        place = f"{KEY}.repositories.{repository.name}"
        where = (repository.kind, repository.address)
        try:
            node = ask_commit(*where, repository.revision, self._cache, credentials=repository.credentials, key=place)
            if noted.get("node") == node:
                return dict(noted)
            checkout = fetch_repository(*where, node, self._cache, credentials=repository.credentials, is_new=True, tries=1)
            own = read_own_settings(checkout)
        except (VmImageError, OSError, UnicodeError, RecursionError) as error:
            return f"{place}: {error}"
        variations = own.pop("variations", None)
        facts = {"kind": repository.kind, "address": repository.address, "revision": repository.revision}
        return {**facts, "node": checkout.node, "shown": checkout.revision, "settings": own, "variations": variations}

    def _wanted(self, repository: Repository, facts: Mapping[str, Any]) -> dict[str, Wanted]:
        configuration, own = self._configuration, dict(facts["settings"])
        check_variation_settings(own, f"{FILE} of {repository.name}", of_repository=True)
        variations = repository.variations
        if variations is None and facts["variations"] is not None:
            place = f"ami.variations in {FILE} of {repository.name}"
            variations = check_variations(
                facts["variations"], place, configuration.defaults, configuration.kinds, of_repository=True
            )
        of_fleet = {key: own[key] for key in _OF_THE_FLEET if key in own}
        found = {}
        for name, given in (variations or {repository.name: {}}).items():
            settings = {**of_fleet, **configuration.defaults, **given}
            builder = settings.pop("builder", repository.builder)
            checked = check_variation_settings(settings, f"{KEY}.repositories.{repository.name}")
            image = image_name(type(checked)(name=name, architecture=checked.architecture))
            shaping = {key: value for key, value in {**own, **settings}.items() if key in keys_that("shapes_image")}
            digest = digest_of_data({"name": name, "commit": facts["node"], "settings": shaping})
            source = {
                f"{repository.kind}_address_variation": repository.address,
                f"{repository.kind}_rev_variation": facts["node"],
            }
            found[image] = Wanted(image, name, repository.name, facts["node"], {**settings, **source}, builder, digest)
        return found


#: asks repositories, all or those that are named
Ask = Callable[[Collection[str] | None], Asked]
