"""Ours, where not all is new: one state edited, nothing changed, ten variations of one base."""

from racing.check import ResultWrong

from peers.ours import CleanBuild


class Incremental(CleanBuild):
    """The motd is edited, and the build starts from its last root image."""

    name = "incremental"
    title = "ours, ami.incremental"
    note = "an edit of one state; the packages are those of the last root image. The peer that does the same is mkosi, Incremental=yes"
    settings = ("incremental=True",)
    clean = default = False

    def output(self, lap):
        return lap.cache / "output"

    def details(self, lap):
        again = self.manifest(lap)["incremental"]
        if lap.number and not again:
            raise ResultWrong("the build was a clean build", hint=f"why, says {lap.log}")
        return super().details(lap) | {"incremental": again}


class Unchanged(CleanBuild):
    """The same job again."""

    name = "unchanged"
    title = "ours, nothing changed"
    note = "digests compared and the archives asked, nothing built (ami.skip_unchanged); no peer has it. Its cold run is a build"
    settings = ("skip_unchanged=True",)
    clean = default = False

    def motd(self, number):
        return "raced once"

    def output(self, lap):
        return lap.cache / "output"

    def details(self, lap):
        if lap.number and not self.result(lap)["unchanged"]:
            raise ResultWrong(
                "something has changed: the run was a build",
                hint="the code, or what the archives offer: run it without --warm-only",
            )
        return {}


class Many(CleanBuild):
    """Ten variations of one base by one call: the same packages, each with a motd of its own."""

    name = "many"
    title = "ours, ten by one call, each"
    note = "a tenth of the time of ten; all else is of the ten together, but for the image. No peer has it: ten runs, one after the other"
    count, default = 10, False

    def command(self, lap):
        return self.salt_call(lap, "vm_create.create_variations", "publish=False")

    def variation_settings(self, lap):
        return {
            "variations": {
                name: {
                    "variation": self.write_variation(lap.cache / "variations" / name, motd),
                    "root": str(lap.directory / "roots" / name),
                }
                for name, motd in self._motds(lap)
            }
        }

    def _motds(self, lap):
        return [(f"race{number}", f"{lap.motd}, the {number}th") for number in range(self.count)]

    def triplets(self, lap):
        return [self.triplet(lap, name, motd) for name, motd in self._motds(lap)]

    def details(self, lap):
        return {"steps_of": {name: result["steps"] for name, result in self.result(lap).items()}}
