# Installation, packages, demonstration, checks and benchmarks. Cargo builds.
.POSIX:
# Several targets build the same programs, with other directories. Cargo is parallel.
.NOTPARALLEL:

CARGO = cargo
DESTDIR =
PREFIX = /usr
MANDIR = $(PREFIX)/share/man
# LICENSE and the licences of the crates. Packages with one family each need one
# directory each.
LICENSEDIR = $(PREFIX)/share/licenses/daemontools-rs
# runsvchdir switches directories in SYSCONFDIR/runit/runsvdir.
SYSCONFDIR = /etc
# The scan directory of svscanboot and the directory of sv. Default: /service, as
# in daemontools 0.76, independent of SYSCONFDIR. Debian's package has /etc/service.
SERVICEDIR = /service
# The PATH of svscanboot and of all its services. Default: as in daemontools 0.76.
SERVICEPATH = /command:/usr/local/bin:/usr/local/sbin:/bin:/sbin:/usr/bin:/usr/sbin:/usr/X11R6/bin

# STATIC=no builds programs that load the C library, with the compiler's defaults.
STATIC = yes

BIN = $(DESTDIR)$(PREFIX)/bin
LIB = $(DESTDIR)$(PREFIX)/lib/daemontools-rs
SHARE = $(DESTDIR)$(PREFIX)/share
MAN = $(DESTDIR)$(MANDIR)
LICENSES = $(DESTDIR)$(LICENSEDIR)
BASH_COMPLETIONS = $(SHARE)/bash-completion/completions
FISH_COMPLETIONS = $(SHARE)/fish/vendor_completions.d
ZSH_COMPLETIONS = $(SHARE)/zsh/site-functions
TARGET = $${CARGO_TARGET_DIR:-target}
BUILT = $(TARGET)/programs

# A program is src/bin/PROGRAM.rs, src/bin/PROGRAM.sh or the folder
# src/bin/PROGRAM.
PROGRAMS = $$(ls src/bin | sed 's/\.[a-z]*$$//')

# The directories in svscanboot and svscanboot-stop.
SUBSTITUTE = sed 's|@SERVICEDIR@|$(SERVICEDIR)|g; s|@SERVICEPATH@|$(SERVICEPATH)|'

# The families to install: daemontools, runit, or both, as in make install
# FAMILY='daemontools runit'. Debian's package runit uses the same directory.
FAMILY = daemontools
RUNIT = chpst runsv runsvchdir runsvdir sv svlogd
INSTALLED = $$(for program in $(PROGRAMS); do \
	case " $(RUNIT) " in *" $$program "*) family=runit ;; *) family=daemontools ;; esac; \
	case " $(FAMILY) " in *" $$family "*) echo "$$program" ;; esac; \
	done)

# The manual pages of the installed programs, and the general ones.
PAGES = $$(for page in man/*.[1-9]; do \
	page=$${page\#man/}; program=$${page%.8}; \
	case $$(echo " "$(PROGRAMS)" ") in *" $$program "*) \
		case $$(echo " "$(INSTALLED)" ") in *" $$program "*) ;; *) continue ;; esac ;; \
	esac; \
	echo "$$page"; \
	done)

# The zsh completion file of a family; its first line lists the programs. bash and
# fish need one file, here a link, for each program.
ZSH_FILE = $$([ "$$family" = daemontools ] && echo _daemontools || echo "_daemontools_$$family")
COMPLETED = $$(sed -n 's/^\#compdef //p' "completions/$(ZSH_FILE)")

# Other users read the installed files, whatever the umask of root is.
MAKE_DIRECTORY = umask 022 && mkdir -p

# Builds for the musl target of this machine, if its std is installed.
# CARGO_BUILD_TARGET selects another target.
all:
	@CARGO="$(CARGO)" SERVICEDIR="$(SERVICEDIR)" SYSCONFDIR="$(SYSCONFDIR)" STATIC="$(STATIC)" \
		BUILT="$(BUILT)" packaging/programs

# Builds nothing: root needs no Cargo. sv and runsvchdir contain directories.
install:
	@[ -x "$(BUILT)/svscan" ] || { echo "Nothing is built: run make first." >&2; exit 1; }
	@case " $(FAMILY) " in *" runit "*) \
		wanted="SERVICEDIR=$(SERVICEDIR) SYSCONFDIR=$(SYSCONFDIR)"; \
		built=$$(cat "$(BUILT).directories") && [ "$$built" = "$$wanted" ] || \
			{ echo "The programs are built with $$built: run make $$wanted first." >&2; exit 1; } \
	esac
	$(MAKE_DIRECTORY) "$(BIN)"
	for program in $(INSTALLED); do \
		if [ "$$program" = svscanboot ]; then \
			$(MAKE_DIRECTORY) "$(LIB)" && \
			rm -f "$(BIN)/svscanboot" "$(LIB)/svscanboot-stop" && \
			$(SUBSTITUTE) src/bin/svscanboot.sh > "$(BIN)/svscanboot" && \
			$(SUBSTITUTE) packaging/boot/svscanboot-stop > "$(LIB)/svscanboot-stop" && \
			chmod 755 "$(BIN)/svscanboot" "$(LIB)/svscanboot-stop" || exit; \
		else \
			install -m 755 "$(BUILT)/$$program" "$(BIN)" || exit; \
		fi; \
	done
	for page in $(PAGES); do \
		$(MAKE_DIRECTORY) "$(MAN)/man$${page##*.}" && \
		install -m 644 "man/$$page" "$(MAN)/man$${page##*.}" || exit; \
	done
	$(MAKE_DIRECTORY) "$(LICENSES)"
	install -m 644 LICENSE LICENSE-THIRD-PARTY "$(LICENSES)"
	$(MAKE_DIRECTORY) "$(BASH_COMPLETIONS)" "$(FISH_COMPLETIONS)" "$(ZSH_COMPLETIONS)"
	for family in $(FAMILY); do \
		install -m 644 "completions/$$family.bash" "$(BASH_COMPLETIONS)/$$family" && \
		install -m 644 "completions/$$family.fish" "$(FISH_COMPLETIONS)" && \
		install -m 644 "completions/$(ZSH_FILE)" "$(ZSH_COMPLETIONS)" || exit; \
		for program in $(COMPLETED); do \
			ln -sf "$$family" "$(BASH_COMPLETIONS)/$$program" && \
			ln -sf "$$family.fish" "$(FISH_COMPLETIONS)/$$program.fish" || exit; \
		done; \
	done

# Keeps the general pages and the licences while the other family is installed.
uninstall:
	for program in $(INSTALLED); do \
		rm -f "$(BIN)/$$program" || exit; \
		[ "$$program" != svscanboot ] || rm -rf "$(LIB)" || exit; \
	done
	for page in $(PAGES); do \
		case $$page in \
			*.8) ;; \
			*) ! [ -e "$(BIN)/svok" ] && ! [ -e "$(BIN)/sv" ] || continue ;; \
		esac; \
		rm -f "$(MAN)/man$${page##*.}/$$page" || exit; \
	done
	[ -e "$(BIN)/svok" ] || [ -e "$(BIN)/sv" ] || rm -rf "$(LICENSES)"
	for family in $(FAMILY); do \
		for program in "$$family" $(COMPLETED); do \
			rm -f "$(BASH_COMPLETIONS)/$$program" "$(FISH_COMPLETIONS)/$$program.fish" || exit; \
		done; \
		rm -f "$(ZSH_COMPLETIONS)/$(ZSH_FILE)" || exit; \
	done

# target/daemontools-rs_VERSION_ARCH.deb, which replaces Debian's package, and
# daemontools-rs-runit, which replaces the programs of Debian's runit.
# Has programs of its own, with Debian's SERVICEDIR; those of make stay.
deb:
	@CARGO="$(CARGO)" packaging/debian/build

# target/daemontools-rs-VERSION-linux-ARCH.tar.gz: static programs for each
# architecture, or for TRIPLES. Root only.
dist:
	@packaging/dist

# target/daemontools-rs-VERSION.tar.gz: the sources of the last commit.
tarball:
	@packaging/tarball

# The same with the sources of all crates, as daemontools-rs-VERSION-vendored.tar.gz:
# builds without a network.
vendor-tarball:
	@packaging/tarball vendored

# target/rpm/RPMS/ARCH/*.rpm: the packages of packaging/rpm, from the vendored tarball.
rpm:
	@packaging/rpm/build

# The manual and the documents as static pages.
HTMLDIR = $(TARGET)/html
html:
	@RUNIT="$(RUNIT)" packaging/html/build "$(HTMLDIR)"

# A demonstration in a temporary directory.
demo: all
	@demo/run "$(BUILT)"

# Compares daemontools-rs with the installed peers; writes figures to README.md.
# After packaging/musl, both builds of daemontools-rs.
bench: all
	@glibc=$(BUILT); musl=$$(ls -d $(TARGET)/musl/$$(uname -m)-*/programs 2>/dev/null) || :; \
	case $$(cat $(TARGET)/programs.triple) in *-musl*) musl=$$glibc; glibc= ;; esac; \
	BENCH_GLIBC="$${glibc:+$$(readlink -f "$$glibc")}" BENCH_MUSL="$${musl:+$$(readlink -f "$$musl")}" \
		$(CARGO) run --locked --package daemontools-benches --bin peers

# Compares many services at once with the installed peers.
bench-services: all
	DAEMONTOOLS_OURS="$$(CDPATH= cd "$(BUILT)" && pwd)" $(CARGO) run --locked --package daemontools-benches --bin services

# Compares the instructions of the hot loops with benches/instructions.tsv.
count: all
	@tests/instructions.sh "$(BUILT)"

# All checks that a change must pass.
check:
	@tests/check.sh

# Builds the programs for musl, without rustup, and tests them. Root only.
check-musl:
	@tests/musl.sh

# Installs, uses and removes the packages in a separate root.
check-package: deb tarball
	@packaging/check

# Builds the RPM packages in two directories; installs, uses and removes them. Root only.
check-rpm:
	@packaging/rpm/check

# The same with makepkg and pacman of Arch. Root only.
check-pacman:
	@packaging/arch/test

# Builds and tests the programs for six other architectures, with Debian's
# compilers and qemu. RUN and KERNEL select architectures; see the script.
check-arch:
	@tests/arch.sh

# Checks the types of the programs for BSD and macOS. Root only. TARGETS selects
# targets; see the script.
check-bsd:
	@tests/bsd.sh

# Runs svscan -e and runsvdir as process 1 of containers, with podman and runc. Root
# only. SCENES selects scenes; see tests/container/scenes.sh.
check-container:
	@tests/container.sh

# Boots emulated machines: loss of power under load. Root only. SCENES selects scenes;
# see tests/vm.sh.
check-vm:
	@tests/vm.sh

# Searches for inputs on which a parser differs from its naive model.
fuzz:
	@fuzz/run

# Changes the code of CRATES in one place after another, and lists the changes that no
# test detects; see the script. Needs cargo-mutants, and hours.
CRATES = core logging daemontools supervision chain cli
mutants:
	for crate in $(CRATES); do tests/mutants.sh $$crate $(MUTANTS) || exit; done

clean:
	$(CARGO) clean

.PHONY: all install uninstall html demo bench bench-services count deb dist tarball vendor-tarball rpm check-package check-rpm check-pacman check-arch check-bsd check-container check-vm fuzz mutants check check-musl clean
