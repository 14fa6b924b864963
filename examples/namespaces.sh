#!/bin/bash
# Three nodes by hand in three network namespaces of one host, each with an address of its own, and a client in a fourth, which
# holds the bridge between them; the leader's cable is cut and mended. The host's own network is left alone.
# Needs root, ip (iproute2) and the right to make namespaces; ends with 77 where it may not.
#   QUORATE=.venv/bin/quorate examples/namespaces.sh
set -euo pipefail
quorate=${QUORATE:-quorate}
folder=$(mktemp -d)
tag=q$$
nodes=()
cleanup() {
    ((${#nodes[@]} == 0)) || kill "${nodes[@]}" 2>/dev/null || true
    for i in 0 1 2 3; do ip netns del "$tag-$i" 2>/dev/null || true; done
    rm -rf "$folder"
}
trap cleanup EXIT

if ! ip netns add "$tag-0" 2>/dev/null || ! ip -n "$tag-0" link add bridge type bridge 2>/dev/null; then
    echo "skipped: this user or container may not make network namespaces" >&2
    exit 77
fi

printf '[cluster]\nname = "namespaces"\n\n[client.me]\nrole = "admin"\n' >"$folder/cluster.toml"
ip -n "$tag-0" addr add 10.213.77.254/24 dev bridge
ip -n "$tag-0" link set bridge up
for i in 1 2 3; do
    ip netns add "$tag-$i"
    ip -n "$tag-0" link add "v$i" type veth peer name eth0 netns "$tag-$i"
    ip -n "$tag-0" link set "v$i" master bridge up
    ip -n "$tag-$i" addr add "10.213.77.$i/24" dev eth0
    ip -n "$tag-$i" link set eth0 up
    ip -n "$tag-$i" link set lo up
    printf '\n[node.%d]\nendpoint = "tcp://10.213.77.%d:7001"\n' "$i" "$i" >>"$folder/cluster.toml"
done
"$quorate" keygen --config "$folder/cluster.toml" >/dev/null
for i in 1 2 3; do
    "$quorate" format --config "$folder/cluster.toml" --id "$i" >/dev/null
    ip netns exec "$tag-$i" "$quorate" node --config "$folder/cluster.toml" --id "$i" &
    nodes+=($!)
done

me() { # COMMAND ...: as the client, in its namespace
    local command=$1
    shift
    ip netns exec "$tag-0" "$quorate" "$command" --config "$folder/cluster.toml" --key "$folder/keys/me.key" "$@"
}
until_status() { # PATTERN: asks until the status has it, for 20 seconds; the status
    local status end=$((SECONDS + 20))
    until status=$(me status) && grep -q "$1" <<<"$status"; do
        ((SECONDS < end)) || { echo "no '$1' in: $status" >&2; return 1; }
        sleep 0.1
    done
    echo "$status"
}

me put --timeout 20 x 1
leader=$(until_status 'n[1-3] leads' | sed -n '1s/.*: n\([1-3]\) leads.*/\1/p')
echo "n$leader leads; its cable is cut"
ip -n "$tag-0" link set "v$leader" down
me put --timeout 20 x 2
me status
ip -n "$tag-0" link set "v$leader" up
me get --timeout 20 x
until_status "^n$leader  *\(follower\|leader\)" >/dev/null
for i in 1 2 3; do me stop --id "$i"; done
wait "${nodes[@]}"
nodes=()
echo "all stopped"
