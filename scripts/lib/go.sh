# shellcheck shell=bash
# A Go that is new enough, from the machine or through Debian's. Needs common.sh; go_wanted_minor
# is set by the script that sources it.

go_toolchain=v0.0.1-go1.25.4

# go_is_new_enough GO
go_is_new_enough() {
  local version
  version=$(GOTOOLCHAIN=local "$1" version 2>/dev/null) || return 1
  [[ $version =~ go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= ${go_wanted_minor:?}))
}

# Debian 12's Go is too old, but it can fetch a newer one, which is published as a module (a tree
# with bin/go in it, its hash checked like any module's). Prints the tree's path.
fetch_go_tree() {
  local go=$1 empty arch
  arch=$("$go" env GOARCH)
  empty=$(mktemp -d)
  printf 'module empty\n' >"$empty/go.mod"
  (cd "$empty" && GOFLAGS='' "$go" mod download -json \
    "golang.org/toolchain@$go_toolchain.linux-$arch") |
    sed -n 's/^[[:space:]]*"Dir": "\(.*\)".*/\1/p'
  rm -rf "$empty"
}

# Prints the path of a Go that is new enough, or fails.
go_command() {
  local go tree
  for go in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go/bin/go; do
    if [[ -n $go ]] && go_is_new_enough "$go"; then
      echo "$go"
      return
    fi
  done
  go=$(command -v go || true)
  if [[ -z $go ]]; then
    "${root:?}/scripts/install-deps" go || return 1
    go=/usr/bin/go
    if go_is_new_enough "$go"; then
      echo "$go"
      return
    fi
  fi
  say "$("$go" version) is older than 1.$go_wanted_minor; fetching a newer one through it"
  tree=$(alive "fetching Go" fetch_go_tree "$go")
  [[ -d $tree ]] || { say "no newer Go to be had"; return 1; }
  # Modules carry no permission bits.
  chmod +x "$tree"/bin/* "$tree"/pkg/tool/*/*
  echo "$tree/bin/go"
}
