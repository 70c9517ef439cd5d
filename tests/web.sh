#!/usr/bin/env bash
# Bundles the player page, and fetches what the browser test needs. Does nothing when the sources
# are older than what was made of them.
set -euo pipefail
cd "$(dirname "$0")/.."

# packages FOLDER : npm ci, unless the lock file is the one that was installed last
packages() {
  local folder=$1 start=$SECONDS
  [ -f "$folder/package-lock.json" ] || return 0
  cmp -s "$folder/package-lock.json" "$folder/node_modules/.installed" && return 0
  echo "Fetching the npm packages of $folder"
  (cd "$folder" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error)
  cp "$folder/package-lock.json" "$folder/node_modules/.installed"
  echo "  done in $((SECONDS - start)) s"
}

web=workers/delivery/web
packages $web
packages tests/browser
[ -f $web/package.json ] || exit 0
if [ -z "$(find $web/dist -type f -print -quit 2>/dev/null)" ] ||
  [ -n "$(find $web -path $web/node_modules -prune -o -path $web/dist -prune -o -type f -newer $web/dist/.built -print -quit 2>/dev/null)" ] ||
  [ ! -f $web/dist/.built ]; then
  echo "Bundling the player page"
  (cd $web && npm run --silent build)
  touch $web/dist/.built
fi
