#!/usr/bin/env bash
# A function for the tests of the environment: it does what $BEHAVIOUR says.
set -u -o pipefail
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"

report() { curl -s -o /dev/null -X POST --data-binary "$2" "$api/$1"; }

# Polls for an event; its headers are then known to `head_of`.
next() {
    local reply
    reply=$(curl -s -i "$api/invocation/next" | tr -d '\r') || return
    heads=${reply%%$'\n\n'*}
    event=${reply#*$'\n\n'}
    id=$(head_of lambda-runtime-aws-request-id)
}
head_of() { sed -n "s/^$1: //p" <<<"$heads"; }

case "$BEHAVIOUR" in
    no-init) report init/error '{"errorType":"ConfigError","errorMessage":"PERSEUS_URL is not set"}'; exit 3 ;;
    exit) echo "cannot go on" >&2; exit 4 ;;
    idle) exec sleep 60 ;;
esac

echo "started with $AWS_LAMBDA_FUNCTION_MEMORY_SIZE MB"
while next; do
    case "$BEHAVIOUR" in
        echo) echo "got $event"; report "invocation/$id/response" "$event" ;;
        heads)
            report "invocation/$id/response" "{
                \"deadline\": \"$(head_of lambda-runtime-deadline-ms)\",
                \"trace\": \"$(head_of lambda-runtime-trace-id)\",
                \"arn\": \"$(head_of lambda-runtime-invoked-function-arn)\" }" ;;
        variables) report "invocation/$id/response" "\"$(env | cut -d= -f1 | sort | tr '\n' ' ')\"" ;;
        error) report "invocation/$id/error" '{"errorType":"NotSqs","errorMessage":"no Records"}' ;;
        garbage) report "invocation/$id/response" 'not JSON' ;;
        crash) echo "last words" >&2; exit 1 ;;
        late) sleep 0.3; report "invocation/$id/response" '{"batchItemFailures":[]}' ;;
        # Its own child outlives it, unless the whole group is killed.
        parent) sleep 61 & report "invocation/$id/response" "$!" ;;
        hang) exec sleep 60 ;;
    esac
done
