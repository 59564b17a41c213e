#!/bin/sh
# Takes out of a virtual environment what no running program reads.
set -eu
cd "$1"
site=$(echo lib/python3*/site-packages)

# Maps from bundled JavaScript to sources that are not here, libraries for linkers,
# and what pip may have compiled with times inside.
find . -type f \( -name '*.js.map' -o -name '*.css.map' -o -name '*.a' -o -name '*.pyc' \) -delete

# The packages' own test suites; galata is JupyterLab's.
find "$site" -type d \( -name tests -o -name test -o -path '*/jupyterlab/galata' \) -prune -exec rm -r {} +

# The C that a compiled module beside it was made from.
find "$site" -name '*.cpython-*.so' | while read -r module; do
    rm -f "${module%%.cpython-*}.c" "${module%%.cpython-*}.cpp"
done

# Debug symbols. Not of the libraries in *.libs: wheel builders have moved their sections,
# and older binutils leave some of them so that no loader takes them. NVIDIA's come without.
find "$site" -type f \( -name '*.so' -o -name '*.so.[0-9]*' \) ! -path '*.libs/*' ! -path '*/nvidia/*' \
    -exec strip --strip-unneeded {} +

# JupyterLab brings its application twice and serves the one in share/.
if diff -rq share/jupyter/lab/static "$site/jupyterlab/static" >/dev/null; then
    rm -r "$site/jupyterlab/static"
    ln -s "$PWD/share/jupyter/lab/static" "$site/jupyterlab/static"
fi
