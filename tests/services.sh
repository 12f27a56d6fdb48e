#!/bin/sh
# tests/services.sh DIR: puts Debian's nginx, redis-server and
# prometheus-node-exporter into DIR/bin, if the machine does not have them.
#
# The packages are unpacked, not installed: an installed package would start its
# service, now and at every boot. Nothing outside DIR changes, and the script
# needs no root.
set -eu
unset CDPATH

dir=$1
has() { [ -x "/usr/sbin/$1" ] || [ -x "/usr/bin/$1" ] || [ -x "$dir/bin/$1" ]; }
if has nginx && has redis-server && has prometheus-node-exporter; then
    exit 0
fi
rm -rf "$dir"
mkdir -p "$dir/packages/partial" "$dir/bin"
dir=$(cd "$dir" && pwd)

# Fetches the missing shared libraries as well.
fetch() {
    apt-get install -qq --download-only --no-install-recommends \
        -o Dir::Cache::archives="$dir/packages" \
        -o Debug::NoLocking=true -o APT::Sandbox::User=root \
        nginx redis-server prometheus-node-exporter
}
# apt's lists may be missing or stale; only root can update them.
fetch || { [ "$(id -u)" = 0 ] && apt-get update -qq && fetch; }
for package in "$dir"/packages/*.deb; do
    dpkg -x "$package" "$dir/root"
done
for program in "$dir/root/usr/sbin/nginx" "$dir/root/usr/bin/redis-server" \
    "$dir/root/usr/bin/prometheus-node-exporter"; do
    [ -e "$program" ] || continue
    cat >"$dir/bin/${program##*/}" <<END
#!/bin/sh
LD_LIBRARY_PATH=\$(echo $dir/root/usr/lib/*-linux-gnu) exec $program "\$@"
END
    chmod 755 "$dir/bin/${program##*/}"
done
