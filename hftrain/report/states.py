"""What the page says of an artifact that is not there: not made yet, at work, failed, cut off, left out, or gone."""

from hftrain.report.markup import Markup, clip, sample
from hftrain.report.reading import KINDS, Artifact, Run, as_mapping


def absence(run: Run, artifact: Artifact) -> list[Markup | str]:
    """One or two sentences; what they say follows from the folders alone."""
    if artifact.state == "unfinished":
        failure = artifact.failure
        if failure:
            said = f"Failed: its stage ended with {clip(failure.get('error'), 80)}. The same command tries it again."
            return [said, sample(failure.get("said"))]
        return ["Unfinished: its stage is running, or was cut. The same command goes on with it."]
    readers = [one.name for one in run.finished if artifact.name in as_mapping(one.manifest.get("inputs"))]
    if readers:
        return [f"Not here any more: {listed(readers)} {'was' if len(readers) == 1 else 'were'} made from it."]
    later = KINDS[KINDS.index(artifact.name) + 1 :] if artifact.name in KINDS else ()
    made = [name for name in later if run[name].state == "finished"]
    if made:
        return [f"Left out of this run: {listed(made)} {'was' if len(made) == 1 else 'were'} made without it."]
    return ["Not made yet."]


def listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
