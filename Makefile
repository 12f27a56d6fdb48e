# Cargo does the building; what is here installs, shows and checks.
.POSIX:

CARGO = cargo
DESTDIR =
PREFIX = /usr
# Where svscanboot and sv look for services: /service in daemontools 0.76,
# /etc/service in Debian's package.
SERVICEDIR = /service

BIN = $(DESTDIR)$(PREFIX)/bin
SHARE = $(DESTDIR)$(PREFIX)/share
MAN = $(SHARE)/man
BASH_COMPLETIONS = $(SHARE)/bash-completion/completions
FISH_COMPLETIONS = $(SHARE)/fish/vendor_completions.d
ZSH_COMPLETIONS = $(SHARE)/zsh/site-functions
TARGET = $${CARGO_TARGET_DIR:-target}
BUILT = $(TARGET)/programs

# Each file in src/bin is a program, so this list keeps itself.
PROGRAMS = $$(ls src/bin | sed 's/\.[a-z]*$$//')

# Which of them are installed: daemontools, runit, or both, as in
# make install FAMILY='daemontools runit'. Debian's package runit has its
# programs in the same place.
FAMILY = daemontools
RUNIT = chpst runsv runsvchdir runsvdir sv svlogd
INSTALLED = $$(for program in $(PROGRAMS); do \
	case " $(RUNIT) " in *" $$program "*) family=runit ;; *) family=daemontools ;; esac; \
	case " $(FAMILY) " in *" $$family "*) echo "$$program" ;; esac; \
	done)

# The pages of these programs, and those that are about no program.
PAGES = $$(for page in man/*.[1-9]; do \
	page=$${page\#man/}; program=$${page%.8}; \
	case $$(echo " "$(PROGRAMS)" ") in *" $$program "*) \
		case $$(echo " "$(INSTALLED)" ") in *" $$program "*) ;; *) continue ;; esac ;; \
	esac; \
	echo "$$page"; \
	done)

# Of a family, the file in which zsh completes its programs, which names them.
# bash and fish look for a file of the program's name.
ZSH_FILE = $$([ "$$family" = daemontools ] && echo _daemontools || echo "_daemontools_$$family")
COMPLETED = $$(sed -n 's/^\#compdef //p' "completions/$(ZSH_FILE)")

# The programs name the sources of what they are made of, to tell where a
# panic was. Without this they would differ with the home of who built them.
ANYWHERE = --remap-path-prefix=$${CARGO_HOME:-$$HOME/.cargo}=/cargo

# These ask the system's name service, which needs the shared C library; of
# what Rust brings to that, they have GCC's unwinder built in, which would be
# one more library to load. All others have the C library itself built in. All
# are at fixed addresses, so that one that waits keeps fewer pages to itself.
SHARED = setuidgid envuidgid chpst
SHARED_FLAGS = -l static:-bundle=gcc_eh
STATIC_FLAGS = -C target-feature=+crt-static

# Both kinds are built apart from each other and from what Cargo builds without
# make. Flags of RUSTFLAGS stay, and CARGO_BUILD_TARGET may be another machine;
# a target is always named, so that the flags are not those of build scripts.
BUILD = unset CARGO_ENCODED_RUSTFLAGS; \
	target=$${CARGO_BUILD_TARGET:-$$($(CARGO) -vV | sed -n 's/^host: //p')} && \
	SERVICEDIR="$(SERVICEDIR)" RUSTFLAGS="$$RUSTFLAGS $(ANYWHERE) -C relocation-model=static $$flags" \
		$(CARGO) build --release --locked --target "$$target" \
		--target-dir "$(TARGET)/$@" $$(printf ' --bin %s' $$programs) && \
	mkdir -p "$(BUILT)" && \
	for program in $$programs; do \
		built=$(TARGET)/$@/$$target/release/$$program; \
		cmp -s "$$built" "$(BUILT)/$$program" || cp -f "$$built" "$(BUILT)" || exit; \
	done

all: shared static

shared:
	@programs="$(SHARED)"; flags="$(SHARED_FLAGS)"; $(BUILD)

static:
	@programs=$$(for program in $(PROGRAMS); do \
		case " $(SHARED) svscanboot " in *" $$program "*) ;; *) echo "$$program" ;; esac; \
	done); flags="$(STATIC_FLAGS)"; $(BUILD)

# Builds nothing, so that root needs no Cargo: run make first.
install:
	@[ -x "$(BUILT)/svscan" ] || { echo "Nothing is built: run make first." >&2; exit 1; }
	mkdir -p "$(BIN)"
	for program in $(INSTALLED); do \
		if [ "$$program" = svscanboot ]; then \
			rm -f "$(BIN)/svscanboot" && \
			sed 's|@SERVICEDIR@|$(SERVICEDIR)|g' src/bin/svscanboot.sh > "$(BIN)/svscanboot" && \
			chmod 755 "$(BIN)/svscanboot" || exit; \
		else \
			install -m 755 "$(BUILT)/$$program" "$(BIN)" || exit; \
		fi; \
	done
	for page in $(PAGES); do \
		mkdir -p "$(MAN)/man$${page##*.}" && \
		install -m 644 "man/$$page" "$(MAN)/man$${page##*.}" || exit; \
	done
	mkdir -p "$(BASH_COMPLETIONS)" "$(FISH_COMPLETIONS)" "$(ZSH_COMPLETIONS)"
	for family in $(FAMILY); do \
		install -m 644 "completions/$$family.bash" "$(BASH_COMPLETIONS)/$$family" && \
		install -m 644 "completions/$$family.fish" "$(FISH_COMPLETIONS)" && \
		install -m 644 "completions/$(ZSH_FILE)" "$(ZSH_COMPLETIONS)" || exit; \
		for program in $(COMPLETED); do \
			ln -sf "$$family" "$(BASH_COMPLETIONS)/$$program" && \
			ln -sf "$$family.fish" "$(FISH_COMPLETIONS)/$$program.fish" || exit; \
		done; \
	done

# The pages about no program stay for the family that stays.
uninstall:
	for program in $(INSTALLED); do rm -f "$(BIN)/$$program" || exit; done
	for page in $(PAGES); do \
		case $$page in \
			*.8) ;; \
			*) ! [ -e "$(BIN)/svok" ] && ! [ -e "$(BIN)/sv" ] || continue ;; \
		esac; \
		rm -f "$(MAN)/man$${page##*.}/$$page" || exit; \
	done
	for family in $(FAMILY); do \
		for program in "$$family" $(COMPLETED); do \
			rm -f "$(BASH_COMPLETIONS)/$$program" "$(FISH_COMPLETIONS)/$$program.fish" || exit; \
		done; \
		rm -f "$(ZSH_COMPLETIONS)/$(ZSH_FILE)" || exit; \
	done

# daemontools-rs_VERSION_ARCH.deb, below target, in place of Debian's package;
# daemontools-rs-runit likewise, in place of the programs of Debian's runit.
deb: all
	@packaging/debian/build $(SHARED)

# daemontools-rs-VERSION.tar.gz, below target: the sources of the last commit.
tarball:
	@packaging/tarball

# The programs at work, in a temporary directory.
demo: all
	@demo/run "$(BUILT)"

# Ours beside the peers that are installed; its figures go into the README.
bench: all
	DAEMONTOOLS_OURS="$$(cd "$(BUILT)" && pwd)" $(CARGO) run --locked --package daemontools-benches --bin peers

# Many services at once, beside the peers' programs that are installed.
bench-services: all
	DAEMONTOOLS_OURS="$$(cd "$(BUILT)" && pwd)" $(CARGO) run --locked --package daemontools-benches --bin services

# How many instructions the hot loops take, beside benches/instructions.tsv.
count: all
	@tests/instructions.sh "$(BUILT)"

# Everything that must hold before a change is taken.
check:
	@tests/check.sh

# The packages: installed, used and removed in roots of their own.
check-package: deb tarball
	@packaging/check

# Inputs on which a parser differs from its naive model: see fuzz/run.
fuzz:
	@fuzz/run

clean:
	$(CARGO) clean

.PHONY: all shared static install uninstall demo bench bench-services count deb tarball check-package fuzz check clean
