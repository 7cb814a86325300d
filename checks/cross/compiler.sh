# Source me from the top of the checkout. Prepares builds for other systems:
#
#   cross CARGO_COMMAND TARGET [arguments]   runs cargo for a target, with a standard library for it
#
# Where rustup has the target's standard library, that is used. Otherwise a second compiler does it: Debian's
# rustc-web, unpacked into the cache, which comes with the sources of the standard library.
cache="${PROXMO_CHECKS:-${XDG_CACHE_HOME:-$HOME/.cache}/proxmo/checks}/platforms"
mkdir -p "$cache"
cross_tools="$PWD/checks/cross"
# One folder for all targets, whatever else is built: the build scripts and macros are shared.
export CARGO_TARGET_DIR="$cache/target" CARGO_INCREMENTAL=0

missing() {
  if [ -n "${CI:-}" ]; then echo "$1, and CI is set" >&2; exit 1; fi
  echo "$1: not checked"
}

# Whether rustup's compiler has the standard library of a target.
has_std() { [ -e "$(rustc --print sysroot)/lib/rustlib/$1/lib" ]; }

# Unpacks the second compiler, once.
second_compiler() {
  compiler="$cache/compiler"
  [ -e "$compiler/complete" ] && return
  command -v apt-get >/dev/null || return 1
  local packages folder
  packages="rustc-web rust-web-src $(apt-cache depends --recurse --important rustc-web |
    grep -E '^lib(std-rust-web|llvm)[0-9.a-z-]*$' | sort -u | tr '\n' ' ')"
  folder="$(mktemp -d)"
  # shellcheck disable=SC2086 # A list of names.
  (cd "$folder" && apt-get download -qq $packages 2>/dev/null) || return 1
  rm -rf "$compiler"
  for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$compiler"; done
  rm -r "$folder"
  touch "$compiler/complete"
}

cross() {
  local command="$1" target="$2" std=() name upper
  shift 2
  name="${target//-/_}" upper="${target//-/_}"
  upper="${upper^^}"
  if ! has_std "$target"; then
    second_compiler || return 3
    std=(-Zbuild-std=std,panic_unwind)
    # What rustup's standard library brings and a built one does not: the objects that every program for
    # Windows begins and ends with.
    if [ "$target" = x86_64-pc-windows-gnu ] && [ "$command" = build ]; then
      local lib="$compiler/usr/lib/rustlib" object
      mkdir -p "$lib/$target/lib"
      for object in rsbegin rsend; do
        [ -e "$lib/$target/lib/$object.o" ] || second rustc --target "$target" --emit=obj \
          -o "$lib/$target/lib/$object.o" "$lib/src/rust/library/rtstartup/$object.rs"
      done
    fi
  fi
  local environment=("CARGO_TARGET_${upper}_RUSTFLAGS=${CROSS_RUSTFLAGS:-} -Cdebuginfo=0")
  # Nothing is linked by a check: C code need not be compiled.
  if [ "$command" = check ]; then
    environment+=("CC_$name=$cross_tools/no_compiler" "AR_$name=$cross_tools/no_compiler")
    environment+=("CXX_$name=$cross_tools/no_compiler" "SDKROOT=/nowhere")
  fi
  if [ ${#std[@]} -gt 0 ]; then
    second env "${environment[@]}" cargo "$command" --locked "${std[@]}" --target "$target" "$@"
  else
    env "${environment[@]}" cargo "$command" --locked --target "$target" "$@"
  fi
}

# Runs a command with the second compiler in place of rustup's.
second() {
  local program="$1"
  shift
  [ "$program" = rustc ] && program="$compiler/usr/bin/rustc"
  RUSTC="$compiler/usr/bin/rustc" RUSTDOC="$compiler/usr/bin/rustdoc" RUSTC_BOOTSTRAP=1 \
    LD_LIBRARY_PATH="$compiler/usr/lib/x86_64-linux-gnu" "$program" "$@"
}
