#!/usr/bin/env bash
# Turns the inputs of the action into arguments, and becomes `chronon-plan ci`.
#
# It must become it: a runner that cancels a job signals only the process that it has started, and an
# apply has to hear that to write down what is in flight.
set -euo pipefail
# Names are names, whatever files there are.
set -f

args=(ci --repo "${CHRONON_PLAN_REPO:-.}")

option() {
    if [ -n "$2" ]; then args+=("$1" "$2"); fi
}

switch() {
    case "$2" in
        true) args+=("$1") ;;
        false | '') ;;
        *)
            echo "::error title=chronon-plan::input ${1#--} is neither true nor false; next: write true"
            exit 1
            ;;
    esac
}

envs=${CHRONON_PLAN_ENV-}
for env in ${envs//,/ }; do
    args+=(--env "$env")
done
option --root "${CHRONON_PLAN_ROOT-}"
option --settings "${CHRONON_PLAN_SETTINGS-}"
option --as-of "${CHRONON_PLAN_AS_OF-}"
option --lock-timeout "${CHRONON_PLAN_LOCK_TIMEOUT-}"
switch --explain "${CHRONON_PLAN_EXPLAIN-}"
switch --check-compiled "${CHRONON_PLAN_CHECK_COMPILED-}"

exec "$CHRONON_PLAN_BINARY" "${args[@]}"
