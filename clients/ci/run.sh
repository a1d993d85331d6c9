#!/bin/sh
# Anything with a shell: TOKENWARD_URL and TOKENWARD_TOKEN (role devops) are set. SIGTERM and SIGINT are passed on, and the token
# is taken back; SIGKILL leaves it to its end. The exit code is that of the command, or 125 where no token was made.
set -eu
exec tokenward run --role "${DEPLOY_ROLE:-viewer}" --expires "${DEPLOY_MINUTES:-60}m" -- "$@"
