# A session of an operator with two accounts, each at a service of its own: two profiles, keys that
# are issued into files, a rotation, an audit, and a cleanup. `agentkeys` and bash are on the PATH.
set -euo pipefail
umask 077

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
ends_with() { # ends_with CODE COMMAND...: an exit code is what cron and CI go by
  local expected=$1 code=0
  shift
  "$@" || code=$?
  test "$code" = "$expected" || { echo "$* ended with $code, and not with $expected" >&2; exit 1; }
}

services=()
trap 'kill "${services[@]}"; wait "${services[@]}" || true' EXIT
for name in staging production; do
  openssl rand -hex 16 > "$name.password"
  mkfifo "$name.ready"
  AGENTKEYS_SERVE_PASSWORD_FILE=$name.password agentkeys serve --json --quiet > "$name.ready" &
  services+=($!)
  read -r ready < "$name.ready"
  agentkeys profile add "$name" agentity --email "$(field email <<< "$ready")" \
    --from "file:$name.password" --base-url "$(field url <<< "$ready")"
done
agentkeys profile use staging
agentkeys profile list

echo "# whose keys"
agentkeys auth explain agentity
agentkeys whoami agentity
agentkeys --profile production whoami agentity

echo "# keys: staging is the default, production is named"
agentkeys agentity create billing search mail
for bot in billing search; do
  agentkeys --profile production agentity create "$bot" --save "dotenv:production.env#$(tr a-z A-Z <<< "$bot")_KEY"
done
agentkeys agentity list --sort name --format csv | cut -d , -f 2
AGENTKEYS_PROFILE=production agentkeys agentity list --name 'billing*' --format jsonl | wc -l

echo "# a rotation, as cron runs it"
before=$(sha256sum production.env)
ends_with 0 agentkeys --profile production agentity rotate billing --save dotenv:production.env#BILLING_KEY --grace 1h
test "$(sha256sum production.env)" != "$before"
ends_with 3 agentkeys --profile production agentity rotate billing --save dotenv:production.env#BILLING_KEY
ends_with 3 agentkeys --profile production sweep
ends_with 0 agentkeys --profile production sweep --force

echo "# an audit, before and after somebody loses a file"
ends_with 0 agentkeys --profile production audit agentity
mv production.env lost.env
ends_with 5 agentkeys --profile production audit agentity
mv lost.env production.env
ends_with 0 agentkeys --profile production audit agentity --max-age 90d --fail-on error

echo "# a cleanup"
ends_with 7 agentkeys agentity delete nobody --yes
agentkeys agentity delete --all --dry-run
agentkeys agentity delete --all --yes
test "$(agentkeys agentity list --json)" = "[]"

echo "# a password that is wrong"
openssl rand -hex 16 > staging.password
ends_with 6 agentkeys agentity list
agentkeys profile remove production
agentkeys profile list
