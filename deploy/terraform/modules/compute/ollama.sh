# shellcheck shell=sh
# Starts Ollama and pulls the given models. If a pull fails, an error is printed and the next model is pulled.
# All three clouds run it as `sh -c "$(cat ollama.sh)" ollama MODEL...`.
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
# A signal interrupts the first wait; the second one waits until the server stops.
wait "$server" || wait "$server"
