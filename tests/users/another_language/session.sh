# A session of somebody whose application is not in Python: the local service, a fault, the
# application, and what curl sees of it. `agentkeys`, curl, node and openssl are on the PATH.
set -euo pipefail

export AGENTKEYS_ADMIN_TOKEN AGENTKEYS_SERVE_AGENTRY_KEY AGENTKEYS_SERVE_PASSWORD
AGENTKEYS_ADMIN_TOKEN=$(openssl rand -hex 16)
AGENTKEYS_SERVE_AGENTRY_KEY=ag_$(openssl rand -hex 16)
AGENTKEYS_SERVE_PASSWORD=$(openssl rand -hex 16)
folder=$(mktemp -d)
mkfifo "$folder/ready"
agentkeys serve --quiet --json --admin-port 0 --inbox support@acme.to > "$folder/ready" &
service=$!
trap 'kill $service; wait $service || true; rm -r "$folder"' EXIT
read -r ready < "$folder/ready"

field() { node -e 'console.log(JSON.parse(fs.readFileSync(0))[process.argv[1]])' "$1"; }
export AGENTKEYS_ADMIN_URL AGENTRY_BASE_URL AGENTRY_API_KEY INBOX=support@acme.to
AGENTKEYS_ADMIN_URL=$(field admin_url <<< "$ready")
AGENTRY_BASE_URL=$(field url <<< "$ready")
AGENTRY_API_KEY=$AGENTKEYS_SERVE_AGENTRY_KEY
curl --fail --silent --show-error "$AGENTRY_BASE_URL/readyz"

echo "# a key"
node keys.mjs billing

echo "# a create whose answer is lost, and a listing that fails twice"
agentkeys faults add CREATES Reset --when after
agentkeys faults add LISTS Answer status=503 --times 2
node keys.mjs search mail
agentkeys faults clear

echo "# what the service saw"
curl --fail --silent -H "Authorization: Bearer $AGENTKEYS_ADMIN_TOKEN" "$AGENTKEYS_ADMIN_URL/requests" |
  node -e 'for (const { method, status } of JSON.parse(fs.readFileSync(0)).requests) console.log(method, status)' |
  sort | uniq -c

echo "# with curl alone"
curl --silent --fail "$AGENTRY_BASE_URL/human/v0/inboxes/$INBOX/api-keys" \
  -H "Authorization: Bearer $AGENTRY_API_KEY" | field count
curl --silent -o "$folder/refused" -w '%{http_code}\n' "$AGENTRY_BASE_URL/human/v0/inboxes/$INBOX/api-keys" \
  -H "Authorization: Bearer wrong"
