#!/usr/bin/env bash
# Makes a repaired copy of the loom that cargo fetched for this workspace; prints its folder.
#
#   ci/repair-loom.sh [OUT]            OUT: target/loom-repaired, unless told otherwise
#   cargo --config 'paths=["target/loom-repaired"]' test ...
#
# loom 0.7.2 remembers one last access per atomic object for its partial-order reduction. A load
# is compared with the last access that is not a load, so a second load hides an earlier one of
# another thread from a later store, and "the store before the first load" is never tried
# (upstream issues 166 and 392, both open). In the copy a load counts as dependent on loads too:
# more than is needed, but plainly sound. Neither Cargo.toml nor Cargo.lock changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=${1:-target/loom-repaired}
stock='Action::Load => self.last_non_load_access.as_ref(),'
repaired='Action::Load => self.last_access.as_ref(),'

# Done already? The stamp names the loom that Cargo.lock wants and this very script.
want=$(grep -A 3 '^name = "loom"$' Cargo.lock; sha256sum <ci/repair-loom.sh)
if [[ -f $out/.repaired && $(<"$out/.repaired") == "$want" ]]; then
    echo "$out"
    exit 0
fi

manifest=$(cargo metadata --locked --format-version 1 | python3 -c '
import json, sys
found = [p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "loom"]
if len(found) != 1:
    sys.exit(f"repair-loom: {len(found)} packages named loom, expected one: {found}")
print(found[0])')

rm -rf "$out"
mkdir -p "$(dirname "$out")"
cp -r "$(dirname "$manifest")" "$out"
chmod -R u+w "$out"

found=$(grep -cF "$stock" "$out/src/rt/atomic.rs" || true)
if [[ $found != 1 ]]; then
    echo "repair-loom: src/rt/atomic.rs of this loom has the line to repair $found times, not once:" >&2
    echo "repair-loom:   $stock" >&2
    echo "repair-loom: read it again; perhaps the repair can go (see loom-tests/litmus)" >&2
    rm -rf "$out"
    exit 1
fi
sed -i "s/$stock/$repaired/" "$out/src/rt/atomic.rs"
grep -qF "$repaired" "$out/src/rt/atomic.rs"
printf '%s\n' "$want" >"$out/.repaired"
echo "$out"
