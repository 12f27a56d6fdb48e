# Cargo does the building; what is here installs, shows and checks.
.POSIX:

CARGO = cargo
DESTDIR =
PREFIX = /usr
# Where svscanboot looks for services: /service in daemontools 0.76,
# /etc/service in Debian's package.
SERVICEDIR = /service

BIN = $(DESTDIR)$(PREFIX)/bin
MAN = $(DESTDIR)$(PREFIX)/share/man
TARGET = $${CARGO_TARGET_DIR:-target}
BUILT = $(TARGET)/programs

# Each file in src/bin is a program, so this list keeps itself.
PROGRAMS = $$(ls src/bin | sed 's/\.[a-z]*$$//')

# These ask the system's name service, which needs the shared C library. All
# others have it built in, at fixed addresses: they start sooner, and one that
# waits keeps fewer pages to itself.
SHARED = setuidgid envuidgid
STATIC = -C target-feature=+crt-static -C relocation-model=static

all:
	$(CARGO) build --release --locked $(SHARED:%=--bin %)
	host=$$(rustc -vV | sed -n 's/^host: //p') && \
	RUSTFLAGS="$$RUSTFLAGS $(STATIC)" $(CARGO) build --release --locked --bins \
		--target "$$host" --target-dir "$(TARGET)/static" && \
	mkdir -p "$(BUILT)" && \
	for program in $(PROGRAMS); do \
		case " $(SHARED) svscanboot " in \
		*" $$program "*) ;; \
		*) cp -f "$(TARGET)/static/$$host/release/$$program" "$(BUILT)" || exit ;; \
		esac; \
	done
	for program in $(SHARED); do cp -f "$(TARGET)/release/$$program" "$(BUILT)" || exit; done

# Builds nothing, so that root needs no Cargo: run make first.
install:
	@[ -x "$(BUILT)/svscan" ] || { echo "Nothing is built: run make first." >&2; exit 1; }
	mkdir -p "$(BIN)"
	rm -f "$(BIN)/svscanboot"
	sed 's|@SERVICEDIR@|$(SERVICEDIR)|g' src/bin/svscanboot.sh > "$(BIN)/svscanboot"
	chmod 755 "$(BIN)/svscanboot"
	for program in $(PROGRAMS); do \
		[ "$$program" = svscanboot ] || install -m 755 "$(BUILT)/$$program" "$(BIN)" || exit; \
	done
	for page in man/*.[1-9]; do \
		[ -e "$$page" ] || continue; \
		mkdir -p "$(MAN)/man$${page##*.}" && \
		install -m 644 "$$page" "$(MAN)/man$${page##*.}" || exit; \
	done

uninstall:
	for program in $(PROGRAMS); do rm -f "$(BIN)/$$program" || exit; done
	for page in man/*.[1-9]; do rm -f "$(MAN)/man$${page##*.}/$${page##*/}" || exit; done

# The programs at work, in a temporary directory.
demo: all
	@demo/run "$(BUILT)"

# Ours beside the peers that are installed; its figures go into the README.
bench: all
	DAEMONTOOLS_OURS="$$(cd "$(BUILT)" && pwd)" $(CARGO) bench --locked --bench peers

# Many services at once, beside the peers' programs that are installed.
bench-services: all
	DAEMONTOOLS_OURS="$$(cd "$(BUILT)" && pwd)" $(CARGO) bench --locked --bench services

# Everything that must hold before a change is taken.
check:
	@tests/check.sh

clean:
	$(CARGO) clean

.PHONY: all install uninstall demo bench bench-services check clean
