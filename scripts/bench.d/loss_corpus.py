"""The default corpus of the loss benchmark: Debian's documentation, as text.

    loss_corpus.py FOLDER

Fetches documentation packages by apt, with lists and downloads in FOLDER (nothing is
installed, and no root is needed), and puts their prose into FOLDER/text, one folder a
package: pages of HTML and plain text as they are, Perl's pod with its marks taken off.
The same lists hold the descriptions of all packages, which the downstream check reads.
FOLDER/text appears by one rename, so what is there is complete.
"""

import gzip
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

PACKAGES = """linux-doc perl-doc python3-doc postgresql-doc debian-reference
    apache2-doc cmake-doc debian-handbook debian-policy developers-reference exim4-doc-html git-doc
    gnome-user-docs libglib2.0-doc libgtk-3-doc postfix-doc python-django-doc
    python-sqlalchemy-doc qtbase5-doc-html sqlite3-doc zsh-doc""".split()
ONLY = {"apache2-doc": "/en/", "debian-handbook": "en-US", "gnome-user-docs": "/C/"}  # the English of several translations
# Sources of pages that are there as HTML, indices, and what is no prose.
LEFT_OUT = re.compile(r"/_sources/|genindex|/changelog|/copyright$|searchindex|[./_-]ja[./_-]|-members\.html|/NEWS|\.rst(\.gz)?$")
PROSE = re.compile(r"\.(html|htm|xhtml|txt|page|pod)(\.gz)?$")


class Apt:
    """apt with lists and cache in a folder of its own."""

    def __init__(self, folder):
        self.lists, self.cache = folder / "lists", folder / "cache"
        for d in (self.lists / "partial", self.cache / "archives" / "partial"):
            d.mkdir(parents=True, exist_ok=True)
        self.options = ["-o", f"Dir::State::Lists={self.lists}", "-o", f"Dir::Cache={self.cache}", "-o", "APT::Sandbox::User=root",
                        "-o", "Acquire::GzipIndexes=false", "-o", "Acquire::Languages=en", "-o", "Debug::NoLocking=true"]

    def run(self, tool, *args, cwd=None):
        return subprocess.run([tool, *self.options, *args], cwd=cwd, capture_output=True, text=True)

    def update(self):
        done = self.run("apt-get", "update")  # one source of several may fail
        if not list(self.lists.glob("*_Packages")):
            sys.exit("error: apt has no list of packages\n" + done.stderr + "hint: name a folder of text with --corpus")

    def with_parts(self, package):
        """The package, and of those it depends on the ones that are documentation, too."""
        shown = self.run("apt-cache", "show", "--no-all-versions", package).stdout
        if not shown:
            return []
        depends = re.search(r"^Depends: (.*)$", shown, re.M)
        names = re.split(r"[,|]", depends.group(1)) if depends else []
        parts = [n.strip().split(" ")[0].split(":")[0] for n in names]
        return [package] + [p for p in parts if re.search(r"-doc\b|-doc-|reference-en", p)]

    def fetch(self, package, folder):
        done = self.run("apt-get", "download", package, cwd=folder)
        if done.returncode != 0:
            sys.exit(f"error: fetch {package}: {done.stderr}")


def pod_text(pod):
    """The prose of Perl's documentation: paragraphs without marks, but no code."""
    kept = []
    for paragraph in re.split(r"\n\s*\n", pod):
        if paragraph.startswith("=head"):
            paragraph = paragraph.split(None, 1)[-1]
        if not paragraph or paragraph[0] in "= \t":
            continue
        for _ in range(3):  # marks stand within marks
            paragraph = re.sub(r"[A-Z](?:<<+ (.*?) >>+|<([^<>]*)>)", lambda m: (m.group(1) or m.group(2) or "").split("|")[0], paragraph, flags=re.S)
        kept.append(paragraph)
    return "\n\n".join(kept) + "\n"


def take(unpacked, package, out):
    """Copies the prose of an unpacked package."""
    for path in sorted(unpacked.rglob("*")):
        name = "/" + str(path.relative_to(unpacked))
        if path.is_symlink() or not path.is_file() or LEFT_OUT.search(name) or not PROSE.search(name) or ONLY.get(package, "") not in name:
            continue
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if name.endswith(".gz") else raw
        to = out / package / name.removesuffix(".gz").lstrip("/").replace("/", "_")
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.suffix == ".pod":
            to, raw = to.with_suffix(".txt"), pod_text(raw.decode("utf-8", "replace")).encode()
        elif to.suffix == ".page":  # Mallard's XML reads as HTML does
            to = to.with_suffix(".xhtml")
        to.write_bytes(raw)


def main():
    folder = pathlib.Path(sys.argv[1])
    if (folder / "text").exists():
        return
    apt = Apt(folder / "apt")
    print("reading the lists of packages", file=sys.stderr)
    apt.update()
    staging = folder / "text.staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    names = dict.fromkeys(part for package in PACKAGES for part in apt.with_parts(package))
    versions = []
    for package in names:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            apt.fetch(package, scratch)
            deb = next(pathlib.Path(scratch).glob("*.deb"))
            print("unpacking", deb.name, file=sys.stderr)
            versions.append(deb.name)
            subprocess.run(["dpkg-deb", "-x", deb, pathlib.Path(scratch) / "x"], check=True)
            take(pathlib.Path(scratch) / "x", package, staging)
    (folder / "packages.list").write_text("\n".join(versions) + "\n")
    staging.rename(folder / "text")


if __name__ == "__main__":
    main()
