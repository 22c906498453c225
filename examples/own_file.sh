#!/bin/sh
# A GGUF file that you have, where it lies, on a port and a context length of your choice:
#   ./server -m llama-2-7b-chat.Q4_K_M.gguf --port 8080 --ctx-size 4096
# becomes
set -e
FILE="$1"
noibo inspect "$FILE"
noibo add "$FILE" --name mine
noibo serve mine --port "${2:-8080}" --ctx-size 4096
