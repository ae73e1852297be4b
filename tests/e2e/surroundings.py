# SPDX-License-Identifier: MIT
"""Makes the tests independent of the machine and the shell that they run in.

Importing this module changes the process, and thus every program that it starts:

- The environment keeps only PATH and the variables that control the tests and their tools. HOME
  does not exist, the language is C.UTF-8, and there is no proxy, no setting of virtgate and none
  of libvirt.
- New files may be read by others (umask 022), as nginx and QEMU need.
- Temporary files lie in TMPDIR, but in /tmp if TMPDIR is missing or so long that the path of a unix
  socket in it would not fit into the kernel's 108 bytes.

Anything else of the machine that a test needs is made by the test: see Gateway and namespace.
"""

import os
import re
import tempfile

KEPT = re.compile(
    r"PATH|TERM|LD_LIBRARY_PATH|LD_PRELOAD|\w+SAN_OPTIONS|PYTEST_\w+|PYTHONDONTWRITEBYTECODE"
    r"|LIBVIRTD_PID_FILE|SOAK_\w+|VIRTGATE_(?:BIN|DOCUMENT_BIN|TEST_\w+|FAULT_\w+)")
ADMIN_PROGRAMS = "/usr/local/sbin:/usr/sbin:/sbin"  # nginx is one; not in every user's PATH
TEMPORARY_BYTES_MAX = 30


def clear_environment():
    for name in list(os.environ):
        if not KEPT.fullmatch(name):
            del os.environ[name]
    os.environ["PATH"] = f"{os.environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}:{ADMIN_PROGRAMS}"
    os.environ.update(HOME="/nonexistent", LC_ALL="C.UTF-8", TMPDIR=tempfile.tempdir)


def choose_temporary_directory():
    chosen = os.path.realpath(tempfile.gettempdir())
    tempfile.tempdir = chosen if len(chosen) <= TEMPORARY_BYTES_MAX else "/tmp"


choose_temporary_directory()
clear_environment()
os.umask(0o022)
