#!/bin/sh
# make check-container: svscan -e and runsvdir as process 1 of real containers, with
# podman and runc. Root only. tests/container/scenes.sh has the scenes.
#
# Two images: Debian, as packaging/container/Containerfile makes it, with the
# packages of make deb; and an empty one with the programs for musl and busybox. The
# third image, without busybox, is for the last scene. SCENES selects scenes.
#
# Everything is below target/container, and removed at the end. Mounts and processes
# are in namespaces of their own, which also end if the check is interrupted.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."

say() { printf '\n==> %s\n' "$*"; }
fail() { printf 'make check-container: %s\n' "$*" >&2; exit 1; }

target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && readlink -f "${CARGO_TARGET_DIR:-target}")
work=$target/container

# Outside of the namespaces: builds the programs, and collects the files of the images.
if [ "${1:-}" != inside ]; then
    [ "$(id -u)" = 0 ] || fail "only root can run containers"
    missing=$(for package in podman runc debootstrap dpkg-dev; do
        [ -e "/var/lib/dpkg/info/$package.list" ] || printf ' %s' "$package"
    done)
    [ -z "$missing" ] || fail "not installed:$missing. To install them on Debian or Ubuntu:
    apt-get install --no-install-recommends$missing"

    say "the packages, and the programs for musl"
    make --silent deb
    packaging/musl
    triple=$(rustc -vV | sed -n 's/^host: \(.*\)-gnu$/\1-musl/p')
    version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)

    say "the files of the images"
    base=$(packaging/debian/base)
    finish() {
        [ -z "$namespace" ] || { kill -KILL "$namespace" && wait "$namespace"; } 2>/dev/null || :
        # Containers that ended with the namespace leave empty cgroups.
        find /sys/fs/cgroup -depth -type d -path "*/daemontools-check-$$*" -exec rmdir {} + || :
        rm -rf --one-file-system "$work"
    }
    namespace=
    rm -rf "$work"
    trap finish EXIT
    trap 'exit 130' INT TERM
    mkdir -p "$work/written" "$work/debian" "$work/empty/bin"
    # As in Debian's own image, without documents and caches.
    tar -C "$base" -cf "$work/debian.tar" --one-file-system --exclude='./usr/share/doc/*' \
        --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
        --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./ours.deb' .
    cp "$target/daemontools-rs_${version}_"*.deb "$work/written"
    cp "$target/daemontools-rs-runit_${version}_"*.deb "$work/debian"
    # Nothing but the programs.
    mkdir -p "$work/nothing"
    CARGO_TARGET_DIR=$target/musl/$triple make --silent install DESTDIR="$work/install" \
        FAMILY='daemontools runit'
    mv "$work/install/usr/bin" "$work/nothing/bin"
    rm "$work/nothing/bin/svscanboot"
    # The programs, and a shell with commands for the scenes.
    cp -r "$work/nothing/bin" "$work/empty/usr-bin"
    (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root busybox-static)
    dpkg-deb --fsys-tarfile "$work"/busybox-static_*.deb |
        tar -xf - -C "$work/empty/bin" --wildcards --transform='s|.*/||' '*bin/busybox'
    for command in $("$work/empty/bin/busybox" --list); do
        [ -e "$work/nothing/bin/$command" ] || ln -s busybox "$work/empty/bin/$command" 2>/dev/null || :
    done
    # A shell's background job ignores SIGINT, and the containers would inherit that.
    env --default-signal CONTAINER_CGROUP="daemontools-check-$$" CARGO_TARGET_DIR="$target" \
        unshare --mount --pid --fork --kill-child --mount-proc sh tests/container.sh inside &
    namespace=$!
    wait "$namespace"
    namespace=
    exit
fi

# The state of podman, of runc and of the locks, apart from that of the machine.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
mkdir /run/lock
# With the driver vfs, each container is a copy of its image: up to a gigabyte here.
mkdir -p "$work/storage"
mount -t tmpfs tmpfs "$work/storage"

podman() {
    command podman --storage-driver vfs --cgroup-manager cgroupfs --runtime runc \
        --root "$work/storage" --runroot /run/storage "$@"
}

build() {
    name=$1
    shift
    podman build --quiet --layers=false --isolation chroot --pull-never --tag "check/$name" "$@" >/dev/null
    echo "$name: $(podman image inspect --format '{{.Size}}' "check/$name") bytes"
}

say "the images"
podman import --quiet "$work/debian.tar" docker.io/library/debian:bookworm-slim >/dev/null
# shellcheck source=tests/container/scenes.sh
. tests/container/scenes.sh
written_services "$work/written/sv"
build written --file packaging/container/Containerfile "$work/written"
cat >"$work/debian/Containerfile" <<'END'
FROM check/written
COPY daemontools-rs-runit_*.deb /tmp/
RUN dpkg -i /tmp/daemontools-rs-runit_*.deb && rm /tmp/daemontools-rs-runit_*.deb
END
build debian "$work/debian"
cat >"$work/empty/Containerfile" <<'END'
FROM scratch
COPY usr-bin /usr/bin
COPY bin /bin
END
build empty "$work/empty"
nothing_services "$work/nothing/sv"
cat >"$work/nothing/Containerfile" <<'END'
FROM scratch
COPY bin /usr/bin
COPY sv /service
CMD ["svscan", "-e", "/service"]
END
build nothing "$work/nothing"

# The scenes of an image and a scanner are independent of the others, and mostly wait.
say "the scenes"
for image in debian empty; do
    for scanner in svscan runsvdir; do
        (run_scenes) >"$work/$image.$scanner" 2>&1 &
        eval "${image}_$scanner=$!"
    done
done
failed=
for image in debian empty; do
    for scanner in svscan runsvdir; do
        code=0
        eval "wait \$${image}_$scanner" || code=$?
        say "$image, $scanner"
        cat "$work/$image.$scanner"
        [ "$code" = 0 ] || failed="$failed $image,$scanner"
    done
done
[ -z "$failed" ] || fail "failed:$failed"
