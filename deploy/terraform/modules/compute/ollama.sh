# shellcheck shell=sh
# Serves models, and pulls those that are named and not there yet; what goes wrong with one is said and passed over.
# One command for the three clouds: `sh -c "$(cat ollama.sh)" ollama MODEL...`.
ollama serve &
server=$!
trap 'kill "$server"' TERM INT
until ollama list >/dev/null 2>&1; do
    kill -0 "$server" || exit 1
    sleep 1
done
for model in "$@"; do
    ollama pull "$model" || echo "not pulled: $model" >&2
done
# The first wait ends with the signal, the second with the server.
wait "$server" || wait "$server"
