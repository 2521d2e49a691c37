#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""configure takes what packagers pass, and make install puts everything where they expect it."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from tap import done, is_, ok  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("POSTHOUSE_BUILD", os.getcwd()))
# What make exports to its children would steer the ones started here.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "V")}

DEBIAN = ["--build=x86_64-linux-gnu", "--prefix=/usr", "--includedir=${prefix}/include", "--mandir=${prefix}/share/man",
          "--infodir=${prefix}/share/info", "--sysconfdir=/etc", "--localstatedir=/var", "--disable-option-checking",
          "--disable-silent-rules", "--libdir=${prefix}/lib/x86_64-linux-gnu", "--runstatedir=/run",
          "--disable-maintainer-mode", "--disable-dependency-tracking"]
FEDORA = ["--build=x86_64-redhat-linux-gnu", "--host=x86_64-redhat-linux-gnu", "--program-prefix=",
          "--disable-dependency-tracking", "--prefix=/usr", "--exec-prefix=/usr", "--bindir=/usr/bin",
          "--sbindir=/usr/sbin", "--sysconfdir=/etc", "--datadir=/usr/share", "--includedir=/usr/include",
          "--libdir=/usr/lib64", "--libexecdir=/usr/libexec", "--localstatedir=/var", "--runstatedir=/run",
          "--sharedstatedir=/var/lib", "--mandir=/usr/share/man", "--infodir=/usr/share/info"]


def configure(directory, *options, **environment):
    return subprocess.run([str(SOURCE / "configure"), *options], cwd=directory, capture_output=True, text=True,
                          env={**ENVIRONMENT, **environment})


def make(directory, *words):
    return subprocess.run(["make", *words], cwd=directory, capture_output=True, text=True, env=ENVIRONMENT)


def option_sets(directory):
    for name, options, environment in (("Debian's", DEBIAN, {"CFLAGS": "-g -O2 -fstack-protector-strong"}),
                                       ("Fedora's", FEDORA, {"CFLAGS": "-O2 -g -pipe", "LDFLAGS": "-Wl,-z,relro"}),
                                       ("no", [], {})):
        place = directory / name
        place.mkdir()
        result = configure(place, *options, **environment)
        is_(result.returncode, 0, f"{name} options are taken")
        is_(result.stderr, "", "without a warning")
        commands = make(place, "-n", "V=1", "conf/build.o").stdout
        prefix = "" if options else "/usr/local"
        ok(f"""-DSYSCONFDIR='"{prefix}/etc/posthouse"'""" in commands, "the configuration is where it belongs", commands)
        ok(f"""-DRUNSTATEDIR='"{'/run' if options else '/usr/local/var/run'}/posthouse"'""" in commands, "so are sockets", commands)
        ok(environment.get("CFLAGS", "-O2 -g") in commands, "the compiler's options are taken", commands)
        tables = make(place, "-s", "conf/made/tmpfiles.conf", "conf/made/posthouse.service")
        is_(tables.returncode, 0, "tmpfiles.d and the unit are made")
        text = (place / "conf/made/tmpfiles.conf").read_text() + (place / "conf/made/posthouse.service").read_text()
        ok(not re.search(r'\$\{|@[a-z]+@|"', text), "with whole paths", text)
        made = {line.split()[1] for line in text.splitlines() if line.startswith("d ")}
        wanted = set(re.search("^RequiresMountsFor=(.*)$", text, re.M)[1].split())
        ok(len(wanted) == 4 and wanted <= made, "the unit waits for the file systems of directories that there are", text)


def wrong_options(directory):
    result = configure(directory, "--enable-frobnication", "--with-luck")
    is_(result.returncode, 0, "options of other packages are taken")
    is_(len(re.findall("warning: unknown option", result.stderr)), 2, "with a warning each")
    result = configure(directory, "-frobnicate")
    ok(result.returncode != 0 and "see --help" in result.stderr, "what is no option is refused", result.stderr)
    result = configure(directory, CC="no-such-compiler")
    ok(result.returncode != 0 and "no-such-compiler" in result.stderr, "a missing compiler is named", result.stderr)
    result = configure(directory, CPPFLAGS="-DOPENSSL_VERSION_NUMBER=1", PKG_CONFIG="false", LIBS="-lno-such-library")
    ok(result.returncode != 0, "what does not link is refused")


def systemd_directories(directory):
    """Each where the packager wants it, or nowhere."""
    place = directory / "units"
    place.mkdir()
    configure(place, "--with-systemdsystemunitdir=/lib/systemd/system", "--without-sysusersdir", "--with-tmpfilesdir=no")
    commands = make(place, "-n", "install-programs", "PROGRAMS=").stdout
    ok("/lib/systemd/system/posthouse.service" in commands, "--with-systemdsystemunitdir", commands)
    ok("sysusers.d" not in commands and "tmpfiles.d" not in commands, "--without-sysusersdir, --with-tmpfilesdir=no", commands)


def whole_commands(directory):
    place = directory / "loud"
    place.mkdir()
    configure(place, "--disable-silent-rules")
    loud = make(place, "lib/base/reason.o").stdout
    ok(" -c " in loud and "CC\t" not in loud, "--disable-silent-rules shows whole commands", loud)
    (place / "lib/base/reason.o").unlink()
    quiet = make(place, "V=0", "lib/base/reason.o").stdout
    ok(" -c " not in quiet and "CC\t" in quiet, "but not with V=0", quiet)


def names_below(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def variable(name):
    """A path of config.mak, as make expands it."""
    values = dict(re.findall(r"^(\w+) = (.*)$", (BUILD / "config.mak").read_text(), flags=re.M))
    value = values[name]
    while "${" in value:
        value = re.sub(r"\$\{(\w+)\}", lambda m: values[m[1]], value)
    return value.lstrip("/")


def installation(directory):
    root = directory / "root"
    result = make(BUILD, "-s", "install", f"DESTDIR={root}")
    is_(result.returncode, 0, "make install")
    is_(result.stdout + result.stderr, "", "says nothing")
    files = names_below(root)
    programs = re.findall(r"^PROGRAMS \+= (.*)$", (SOURCE / "Makefile.in").read_text(), flags=re.M)
    words = [word for line in programs for word in line.split()]
    commands = {"posthouse", "sendmail"}
    for name in words:
        place = variable("sbindir") if name in commands else variable("libexecdir") + "/posthouse"
        ok(f"{place}/{name}" in files and os.access(root / place / name, os.X_OK), f"{name} is in {place}")
    for page in ("README", "INSTALL", "NEWS", "CONTRIBUTING", "SECURITY", "THOUGHTS", "VIOLATIONS"):
        ok(f"{variable('docdir')}/{page}" in files, f"{page} is installed")
    for page in os.listdir(SOURCE / "man"):
        ok(f"{variable('mandir')}/man{page[-1]}/{page}" in files, f"{page} is installed")
    conf = root / variable("sysconfdir") / "posthouse"
    is_(os.stat(conf / "passwords.map").st_mode & 0o777, 0o600, "passwords.map is its owner's alone")
    is_(os.stat(conf / "keys").st_mode & 0o777, 0o700, "so are the keys")
    is_(os.stat(root / variable("localstatedir") / "spool/posthouse/drop").st_mode & 0o7777, 0o1730, "drop takes and shows nothing")
    ok(not (root / variable("runstatedir")).exists(), "what lives until the next boot is not in a package")
    sysusers = (root / variable("prefix") / "lib/sysusers.d/posthouse.conf").read_text()
    ok(all(re.search(rf"^u \S*{word} ", sysusers, flags=re.M) for word in ("porter", "queue", "vmail")), "sysusers.d has the accounts", sysusers)
    is_([line for line in sysusers.splitlines() if ":" in line], [], "without a colon, which passwd(5) cannot hold")

    (conf / "posthouse.conf").write_text("# mine\n")
    is_(make(BUILD, "-s", "install", f"DESTDIR={root}").returncode, 0, "make install again")
    is_((conf / "posthouse.conf").read_text(), "# mine\n", "leaves the operator's text alone")
    is_(make(BUILD, "-s", "uninstall", f"DESTDIR={root}").returncode, 0, "make uninstall")
    left = [name for name in names_below(root) if not name.startswith(variable("sysconfdir"))]
    is_(left, [], "leaves nothing but the configuration")


def cleaning(directory):
    """Packagers install below the build directory: folders named sysusers.d are no dependency files."""
    place = directory / "clean"
    (place / "debian/tmp/usr/lib/sysusers.d").mkdir(parents=True)
    (place / "lib").mkdir()
    configure(place)
    (place / "lib/a.o").touch()
    is_(make(place, "distclean").returncode, 0, "make distclean")
    is_(names_below(place), [], "leaves no file")


def places(directory):
    """Where the source and the build are."""
    blank = directory / "with blank"
    blank.mkdir()
    result = configure(blank)
    ok(result.returncode != 0 and "has a blank in its path" in result.stderr, "a path with a blank is refused", result.stderr)
    place = directory / "cdpath"
    place.mkdir()
    (place / "src").symlink_to(SOURCE)
    result = subprocess.run(["sh", "src/configure"], cwd=place, capture_output=True, text=True, env={**ENVIRONMENT, "CDPATH": "."})
    is_((result.returncode, result.stderr), (0, ""), "CDPATH does not matter")


def failed_commands(directory):
    place = directory / "failed"
    place.mkdir()
    configure(place)
    ok(all(make(place, "FROM_TABLES=false", "conf/made/sysusers.conf").returncode for _ in range(2)),
       "what cannot be made fails, and fails again")


def future(directory):
    """A source whose time lies ahead, of a machine whose clock was wrong."""
    place, source = directory / "future", directory / "source"
    place.mkdir()
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns(".git", "*.o", "bin"))
    for name in ("configure", "Makefile.in"):
        os.utime(source / name, (time.time() + 86400,) * 2)
    subprocess.run([str(source / "configure")], cwd=place, capture_output=True, env=ENVIRONMENT)
    count = 0
    with subprocess.Popen(["make", "conf/made/tables"], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          env=ENVIRONMENT) as process:
        for text in process.stdout:
            count += "configured: now run make" in text
            if count > 1:
                process.kill()
    is_((count, process.returncode), (1, 0), "is configured again once")


def sample(directory):
    """The sample configuration that is installed builds as it is."""
    conf = directory / "conf"
    shutil.copytree(SOURCE / "conf/sample", conf)
    os.chmod(conf / "passwords.map", 0o600)
    with open(conf / "posthouse.conf", "a") as text:
        text.write(f"directory.state {directory}/state\nhost.name mail.example.test\n")
    result = subprocess.run([str(BUILD / "bin/posthouse"), "-c", str(conf), "build"], capture_output=True, text=True)
    is_(result.returncode, 0, "the sample configuration builds")
    is_([line for line in result.stderr.splitlines() if "error" in line], [], "without an error")


place = pathlib.Path(tempfile.mkdtemp(prefix="posthouse-t."))
try:
    option_sets(place)
    wrong_options(place)
    systemd_directories(place)
    whole_commands(place)
    installation(place)
    cleaning(place)
    places(place)
    failed_commands(place)
    future(place)
    sample(place)
finally:
    shutil.rmtree(place, ignore_errors=True)
done()
