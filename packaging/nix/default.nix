# nix-build -E '(import <nixpkgs> {}).callPackage ./packaging/nix {}' in the tree. Of
# family, "runit" builds the package of runit's programs.
{
  lib,
  rustPlatform,
  family ? "daemontools",
}:

assert lib.elem family [
  "daemontools"
  "runit"
];

rustPlatform.buildRustPackage {
  pname = "daemontools-rs" + lib.optionalString (family == "runit") "-runit";
  version = "0.1.0";

  src = lib.cleanSource ../..;
  cargoLock.lockFile = ../../Cargo.lock;

  outputs = [
    "out"
    "man"
  ];

  # make calls Cargo.
  dontCargoBuild = true;
  dontCargoInstall = true;
  makeFlags = [
    "STATIC=no"
    "PREFIX=${placeholder "out"}"
    "MANDIR=${placeholder "man"}/share/man"
    "SERVICEDIR=/etc/service"
    "SYSCONFDIR=/etc"
    "SERVICEPATH=${placeholder "out"}/bin:/run/wrappers/bin:/run/current-system/sw/bin"
    "FAMILY=${family}"
  ];

  # The other tests need the programs of Debian's packages.
  cargoTestFlags = [
    "--workspace"
    "--lib"
  ];

  meta = {
    description =
      if family == "runit" then
        "The programs of runit 2.1.2, without its init"
      else
        "Process supervisor and logger, compatible with daemontools 0.76";
    # The crates: LICENSE-THIRD-PARTY.
    license = lib.licenses.mit;
    platforms = lib.platforms.linux;
    mainProgram = if family == "runit" then "sv" else "svscan";
  };
}
