"""Map the source folders onto the package: `models/` installs as `bayesquake.models`, and so on."""

from setuptools import find_packages, setup

roots = {
    "bayesquake": "bayesquake",
    "bayesquake.models": "models",
    "bayesquake.experiments": "experiments",
}
setup(
    package_dir=roots,
    packages=[
        package
        for root, folder in roots.items()
        for package in (root, *(f"{root}.{sub}" for sub in find_packages(folder)))
    ],
)
