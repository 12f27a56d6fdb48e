#!/bin/sh
# make check-arch: the programs on other architectures, with Debian's compilers and
# qemu. CHECK lists the architectures for which everything is compiled, with the
# suite, and RUN those whose unit tests and scene run. Default of both: all six.
#
# qemu runs one program at a time, on this kernel. KERNEL lists the architectures
# whose scene runs once more on an emulated machine with a Linux of its own, whose
# clock shows the year 2040. Possible: arm64, armhf, i386. Default: all three.
set -eu
unset CDPATH
cd "$(dirname "$0")/.."

all="arm64 riscv64 ppc64el s390x armhf i386"
check=${CHECK-$all}
run=${RUN-$all}
kernel=${KERNEL-arm64 armhf i386}

say() { printf '\n==> %s\n' "$*"; }

# Sets Rust's target and GCC's triple of an architecture, and the name of its qemu.
architecture() {
    case $1 in
        arm64) target=aarch64-unknown-linux-gnu triple=aarch64-linux-gnu qemu=aarch64 ;;
        riscv64) target=riscv64gc-unknown-linux-gnu triple=riscv64-linux-gnu qemu=riscv64 ;;
        ppc64el) target=powerpc64le-unknown-linux-gnu triple=powerpc64le-linux-gnu qemu=ppc64le ;;
        s390x) target=s390x-unknown-linux-gnu triple=s390x-linux-gnu qemu=s390x ;;
        armhf) target=armv7-unknown-linux-gnueabihf triple=arm-linux-gnueabihf qemu=arm ;;
        i386) target=i686-unknown-linux-gnu triple=i686-linux-gnu qemu=i386 ;;
        *) echo "$0: unknown architecture: $1" >&2; exit 100 ;;
    esac
}

# Outside of the root: makes it, and continues inside.
if [ "${1:-}" != inside ]; then
    packages="rustc cargo gcc libc6-dev make"
    # Cargo links for the architectures that run.
    for arch in $run; do
        architecture "$arch"
        packages="$packages gcc-$(echo "$triple" | tr _ -) libc6-dev-$arch-cross qemu-user"
    done
    for arch in $kernel; do
        case $arch in
            i386) packages="$packages qemu-system-x86 seabios cpio gzip" ;;
            *) packages="$packages qemu-system-arm cpio gzip" ;;
        esac
    done
    say "Debian packages"
    # shellcheck disable=SC2086 # one word for each package
    tests/root.sh install $packages
    exec tests/root.sh run env CHECK="$check" RUN="$run" KERNEL="$kernel" sh /tree/tests/arch.sh inside
fi

export CARGO_TARGET_DIR=/tree/target/arch CARGO_TERM_QUIET=true
work=$CARGO_TARGET_DIR/packages
mkdir -p "$work"

# Unpacks a package of another architecture into a directory, without installing
# it: packages of two architectures may exclude each other.
unpack() {
    if ! dpkg --print-foreign-architectures | grep -q .; then
        for each in $all; do dpkg --add-architecture "$each"; done
        apt-get update -qq
    fi
    mkdir -p "$work/deb" "$2"
    (cd "$work/deb" && apt-get download -qq -o APT::Sandbox::User=root "$1")
    shift
    dpkg-deb --fsys-tarfile "$work"/deb/*.deb | tar -xf - -C "$@"
    rm -r "$work/deb"
}

# Rust's library of an architecture, of the version of the compiler.
version=$(dpkg-query -W -f '${Version}' libstd-rust-dev:amd64)
for arch in $all; do
    architecture "$arch"
    [ ! -e /usr/lib/rustlib/$target ] || continue
    say "the standard library for $arch"
    unpack "libstd-rust-dev:$arch=$version" / ./usr/lib/rustlib/$target
done

for arch in $check; do
    architecture "$arch"
    say "$arch: cargo check"
    cargo check --locked --workspace --all-targets --target $target
done

# The static programs, as make builds them, but in less time.
build() {
    architecture "$1"
    variable=CARGO_TARGET_$(echo $target | tr a-z- A-Z_)
    export "${variable}_LINKER=$triple-gcc" "${variable}_RUNNER=qemu-$qemu -L /usr/$triple"
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_BUILD_TARGET=$target \
        CARGO_TARGET_DIR=$CARGO_TARGET_DIR/$1 make --silent
    programs=$CARGO_TARGET_DIR/$1/programs
}

for arch in $run; do
    say "$arch: make"
    build "$arch"
    say "$arch: unit tests"
    # qemu takes several times longer for unoptimized tests. One thread, because a
    # child that qemu forks beside other threads may wait for a lock of theirs.
    RUST_TEST_THREADS=1 CARGO_PROFILE_TEST_OPT_LEVEL=1 CARGO_PROFILE_TEST_DEBUG=0 \
        cargo test --locked --workspace --exclude daemontools-rs --target $target
    say "$arch: the scene, each program in qemu"
    emulated=$(mktemp -d)
    for program in "$programs"/*; do
        name=${program##*/}
        printf '#!/bin/sh\nexec qemu-%s -L /usr/%s -0 %s %s "$@"\n' \
            "$qemu" "$triple" "$name" "$program" >"$emulated/$name"
        chmod +x "$emulated/$name"
    done
    tests/arch/scene.sh "$emulated" emulated
done

# Makes an initramfs of busybox, the programs and the scene, and boots it. Kernel
# and busybox have 64 bits: busybox of i386 fails in the year 2040.
boot() {
    case $1 in
        i386) machine=amd64 emulator="qemu-system-x86_64" console=ttyS0 ;;
        *) machine=arm64 emulator="qemu-system-aarch64 -M virt -cpu cortex-a57" console=ttyAMA0 ;;
    esac
    system=$work/system-$machine
    if [ ! -e "$system/bin/busybox" ]; then
        image=$(apt-cache depends linux-image-cloud-$machine:$machine |
            sed -n 's/^ *Depends: \(linux-image-[0-9][^:]*\).*/\1/p')
        unpack "$image:$machine" "$system" --wildcards './boot/vmlinuz-*'
        unpack busybox-static:$machine "$system" --wildcards '*/busybox'
        [ -e "$system/bin/busybox" ] || { mkdir -p "$system/bin" && mv "$system/usr/bin/busybox" "$system/bin"; }
    fi
    files=$(mktemp -d)
    mkdir "$files/bin" "$files/dev" "$files/proc" "$files/tmp" "$files/programs"
    cp "$system/bin/busybox" "$files/bin"
    ln -s busybox "$files/bin/sh"
    cp "$programs"/* tests/arch/scene.sh "$files/programs"
    cat >"$files/init" <<'END'
#!/bin/sh
busybox mount -t proc proc /proc
busybox --install -s /bin
mount -t devtmpfs dev /dev
date -s '2040-01-02 12:00:00'
sh /programs/scene.sh /programs system
poweroff -f
END
    chmod +x "$files/init"
    (cd "$files" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initramfs"
    timeout 900 $emulator -m 512 -nographic -no-reboot -nic none -kernel "$system"/boot/vmlinuz-* \
        -initrd "$work/initramfs" -append "console=$console quiet panic=-1" </dev/null |
        tee "$work/console"
    grep -q '^scene: passed' "$work/console" || { echo "$0: $1: the scene failed" >&2; exit 1; }
}

for arch in $kernel; do
    say "$arch: the scene on an emulated machine in 2040"
    build "$arch"
    boot "$arch"
done
