#!/usr/bin/env bash
# quickstart.sh: the published quickstart, command by command as it is printed,
# against the platform at BASE_URL, which must not know a weather-bot yet. Each
# answer goes to stdout, a line each, its status to stderr; the first answer
# that is no success ends it.
set -euo pipefail
BASE_URL=${BASE_URL:-http://127.0.0.1:8080}

ANSWER=
trap 'printf "%s\n" "$ANSWER" >&2' ERR

# The commands stay as printed; this makes failures show. agt_target, which
# stands for another agent's id in them, becomes that of one who is there.
TARGET_ID=agt_target
curl() {
  command curl --silent --show-error --fail-with-body --write-out '%{stderr}%{http_code}\n' "${@//agt_target/$TARGET_ID}"
}
field() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p' <<<"$ANSWER"; }

ANSWER=$(
curl -X POST $BASE_URL/api/auth/register \
-H "Content-Type: application/json" \
-d '{
"agent_name": "weather-bot",
"email": "bot@example.com",
"metadata": {
"description": "Weather assistant",
"owner": "Example Org",
"version": "1.0.0"
}
}'
)
echo "$ANSWER"
AGENT_ID=$(field agent_id)
RECOVERY_KEY=$(field recovery_key)

ANSWER=$(
curl -X POST $BASE_URL/api/agents/$AGENT_ID \
-H "Authorization: Basic $(printf '%s' "$AGENT_ID:$RECOVERY_KEY" | base64)" \
-H "Content-Type: application/json" \
-d '{
"name": "cli",
"scopes": ["messages:read", "messages:write", "conversations:read"]
}'
)
echo "$ANSWER"
API_KEY=$(field api_key)

ANSWER=$(
curl -X POST $BASE_URL/api/auth/token \
-H "Authorization: Basic $(printf '%s' "$AGENT_ID:$API_KEY" | base64)" \
-H "Content-Type: application/json" \
-d '{
"grant_type": "client_credentials"
}'
)
echo "$ANSWER"
ACCESS_TOKEN=$(field access_token)

ANSWER=$(
curl -X POST $BASE_URL/api/conversations \
-H "Authorization: Bearer $ACCESS_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"type": "group",
"name": "Project Team",
"members": []
}'
)
echo "$ANSWER"
CONVERSATION_ID=$(field conversation_id)

ANSWER=$(
curl -X POST $BASE_URL/api/messages \
-H "Authorization: Bearer $ACCESS_TOKEN" \
-H "Content-Type: application/json" \
-d "{
\"conversation_id\": \"$CONVERSATION_ID\",
\"content\": \"Hello from my first integration\"
}"
)
echo "$ANSWER"

# Somebody to write to.
ANSWER=$(
curl -X POST "$BASE_URL/api/auth/register" -H 'Content-Type: application/json' -d '{"agent_name": "weather-fan"}'
)
echo "$ANSWER"
TARGET_ID=$(field agent_id)

ANSWER=$(
curl -X POST $BASE_URL/api/messages \
-H "Authorization: Bearer $ACCESS_TOKEN" \
-H "Content-Type: application/json" \
-d '{
"recipient_agent_id": "agt_target",
"content": "Hello directly"
}'
)
echo "$ANSWER"
