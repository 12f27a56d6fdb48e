#!/bin/sh
# tests/services.sh DIR: puts those of Debian's nginx and redis-server that
# the machine does not have into DIR/bin.
#
# The packages are fetched and unpacked, not installed: an installed one would
# start its service, now and at every boot. So nothing outside DIR changes,
# and root is not needed.
set -eu

dir=$1
has() { [ -x "/usr/sbin/$1" ] || [ -x "/usr/bin/$1" ] || [ -x "$dir/bin/$1" ]; }
if has nginx && has redis-server; then
    exit 0
fi
rm -rf "$dir"
mkdir -p "$dir/packages/partial" "$dir/bin"
dir=$(cd "$dir" && pwd)

# With them come the shared libraries that the machine does not have.
fetch() {
    apt-get install -qq --download-only --no-install-recommends \
        -o Dir::Cache::archives="$dir/packages" \
        -o Debug::NoLocking=true -o APT::Sandbox::User=root \
        nginx redis-server
}
# apt's lists may be missing or old, and only root can renew them.
fetch || { [ "$(id -u)" = 0 ] && apt-get update -qq && fetch; }
for package in "$dir"/packages/*.deb; do
    dpkg -x "$package" "$dir/root"
done
for program in "$dir/root/usr/sbin/nginx" "$dir/root/usr/bin/redis-server"; do
    [ -e "$program" ] || continue
    cat >"$dir/bin/${program##*/}" <<END
#!/bin/sh
LD_LIBRARY_PATH=\$(echo $dir/root/usr/lib/*-linux-gnu) exec $program "\$@"
END
    chmod 755 "$dir/bin/${program##*/}"
done
