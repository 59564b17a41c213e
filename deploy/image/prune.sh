#!/bin/sh
# Removes files from a virtual environment that no program reads at run time.
set -eu
cd "$1"
site=$(echo lib/python3*/site-packages)

# Source maps of bundled JavaScript, static libraries, and bytecode, which may contain timestamps if pip compiled it.
find . -type f \( -name '*.js.map' -o -name '*.css.map' -o -name '*.a' -o -name '*.pyc' \) -delete

# The test suites of packages; galata is JupyterLab's test framework.
find "$site" -type d \( -name tests -o -name test -o -path '*/jupyterlab/galata' \) -prune -exec rm -r {} +

# The C and C++ sources of compiled modules.
find "$site" -name '*.cpython-*.so' | while read -r module; do
    rm -f "${module%%.cpython-*}.c" "${module%%.cpython-*}.cpp"
done

# Debug symbols. Libraries in *.libs are left alone: wheel builders have moved their sections, and older versions of
# strip make some of them impossible to load. NVIDIA's libraries have no debug symbols.
find "$site" -type f \( -name '*.so' -o -name '*.so.[0-9]*' \) ! -path '*.libs/*' ! -path '*/nvidia/*' \
    -exec strip --strip-unneeded {} +

# JupyterLab's package contains its application twice; JupyterLab serves the copy in share/.
if diff -rq share/jupyter/lab/static "$site/jupyterlab/static" >/dev/null; then
    rm -r "$site/jupyterlab/static"
    ln -s "$PWD/share/jupyter/lab/static" "$site/jupyterlab/static"
fi
