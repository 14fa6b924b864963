#!/bin/bash
# Three nodes by hand in three network namespaces of one host, each with an address of its own; the leader's cable is cut
# and mended. Needs root, ip (iproute2) and the right to make namespaces; ends with 77 where it may not.
#   QUORATE=.venv/bin/quorate examples/namespaces.sh
set -euo pipefail
quorate=${QUORATE:-quorate}
folder=$(mktemp -d)
tag=q$$
nodes=()
cleanup() {
    ((${#nodes[@]} == 0)) || kill "${nodes[@]}" 2>/dev/null || true
    for i in 1 2 3; do ip netns del "$tag-$i" 2>/dev/null || true; done
    ip link del "$tag" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT

if ! ip netns add "$tag-1" 2>/dev/null || ! ip link add "$tag" type bridge 2>/dev/null; then
    echo "skipped: this user or container may not make network namespaces" >&2
    exit 77
fi

printf '[cluster]\nname = "namespaces"\n\n[client.me]\nrole = "admin"\n' >"$folder/cluster.toml"
ip addr add 10.213.77.254/24 dev "$tag"
ip link set "$tag" up
for i in 1 2 3; do
    ((i == 1)) || ip netns add "$tag-$i"
    ip link add "$tag-v$i" type veth peer name eth0 netns "$tag-$i"
    ip link set "$tag-v$i" master "$tag" up
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

as_me=(--config "$folder/cluster.toml" --key "$folder/keys/me.key")
"$quorate" put "${as_me[@]}" --timeout 20 x 1
leader=$("$quorate" status "${as_me[@]}" --json | sed 's/.*"leader": \([0-9]*\).*/\1/')
echo "n$leader leads; its cable is cut"
ip link set "$tag-v$leader" down
"$quorate" put "${as_me[@]}" --timeout 20 x 2
"$quorate" status "${as_me[@]}"
ip link set "$tag-v$leader" up
"$quorate" get "${as_me[@]}" --timeout 20 x
for i in 1 2 3; do "$quorate" stop "${as_me[@]}" --id "$i"; done
wait "${nodes[@]}"
nodes=()
echo "all stopped"
