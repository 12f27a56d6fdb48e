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
BUILT = $${CARGO_TARGET_DIR:-target}/release

# Each file in src/bin is a program, so this list keeps itself.
PROGRAMS = $$(ls src/bin | sed 's/\.[a-z]*$$//')

all:
	$(CARGO) build --release --locked

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

# Everything that must hold before a change is taken.
check:
	@tests/check.sh

clean:
	$(CARGO) clean

.PHONY: all install uninstall demo check clean
