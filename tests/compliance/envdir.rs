use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use testkit::{Sandbox, compliance};

use super::chain::{environment_after, with_environment};

const USAGE: &str = "envdir: usage: envdir dir child\n";

compliance!(
    usage_is_for_missing_arguments,
    options_are_not_accepted,
    each_file_is_a_variable,
    the_first_line_is_the_value,
    trailing_spaces_and_tabs_are_removed,
    a_nul_becomes_a_newline,
    all_other_bytes_are_kept,
    an_empty_file_removes_the_variable,
    newline_alone_sets_empty_variable,
    names_that_begin_with_a_dot_are_skipped,
    removed_entry_is_replaced_by_last,
    variable_without_equals_sign_is_kept,
    equals_sign_in_file_name_ends_variable_name,
    names_are_bytes,
    inherited_path_is_searched,
    child_runs_in_callers_directory,
    the_directory_may_be_any_path,
    inaccessible_directory_is_reported,
    unreadable_file_is_reported,
    subdirectory_is_reported_unreadable,
    dangling_link_alone_removes_variable,
    dangling_link_repeats_previous_file,
    a_link_is_followed,
    a_fifo_does_not_block,
    sockets_and_devices_are_read_as_files,
    a_long_value_stays_whole,
    oversized_value_is_reported,
    many_variables_are_set,
    descriptor_exhaustion_is_reported,
    removed_current_directory_is_accepted,
);

/// Writes variables into the directory `e`, made anew.
fn variables(sandbox: &Sandbox, files: &[(&str, &str)]) {
    let _ = std::fs::remove_dir_all(sandbox.path("e"));
    std::fs::create_dir(sandbox.path("e")).unwrap();
    for (name, contents) in files {
        sandbox.write(format!("e/{name}"), contents);
    }
}

/// The value that a file makes of a variable that was set.
fn value(sandbox: &Sandbox, contents: impl AsRef<[u8]>) -> String {
    sandbox.write("e/V", contents);
    let environment = environment_after(sandbox, &[b"V=old", b"W="], "envdir", &["e"]);
    environment.escape_ascii().to_string()
}

fn usage_is_for_missing_arguments(sandbox: &Sandbox) {
    // Unlike the other programs, envdir exits 111 after its usage.
    sandbox.sh("envdir").is(111, "", USAGE);
    sandbox.sh("envdir .").is(111, "", USAGE);
    sandbox.sh("envdir nowhere").is(111, "", USAGE);
}

fn options_are_not_accepted(sandbox: &Sandbox) {
    for word in ["-x", "--", "-"] {
        sandbox.sh(&format!("exec envdir {word} true")).is(
            111,
            "",
            format!("envdir: fatal: unable to switch to directory {word}: file does not exist\n"),
        );
    }
    sandbox.write("--/A", "a");
    sandbox.sh("exec envdir -- sh -c 'echo $A'").prints("a\n");
}

fn each_file_is_a_variable(sandbox: &Sandbox) {
    variables(
        sandbox,
        &[
            ("NAME", "Fido\n"),
            ("ANIMAL", "dog"),
            ("with space", "x\n"),
            ("9", "nine\n"),
        ],
    );
    sandbox
        .sh("exec envdir ./e sh -c 'echo My $ANIMAL is called $NAME'")
        .prints("My dog is called Fido\n");
    let sorted = "exec envdir e env | grep -E '^(NAME|ANIMAL|with space|9)=' | LC_ALL=C sort";
    sandbox
        .sh(sorted)
        .prints("9=nine\nANIMAL=dog\nNAME=Fido\nwith space=x\n");
}

fn the_first_line_is_the_value(sandbox: &Sandbox) {
    assert_eq!(value(sandbox, "a b\nsecond\n"), "W=\\x00V=a b\\x00");
    assert_eq!(value(sandbox, "no newline"), "W=\\x00V=no newline\\x00");
    assert_eq!(value(sandbox, "\nsecond\n"), "W=\\x00V=\\x00");
    assert_eq!(value(sandbox, "V=x\n"), "W=\\x00V=V=x\\x00");
}

fn trailing_spaces_and_tabs_are_removed(sandbox: &Sandbox) {
    assert_eq!(value(sandbox, "  a \t \n"), "W=\\x00V=  a\\x00");
    assert_eq!(value(sandbox, " \t\t "), "W=\\x00V=\\x00");
    assert_eq!(value(sandbox, "a \r\n"), "W=\\x00V=a \\r\\x00");
    assert_eq!(value(sandbox, "a \x0b\x0c\n"), "W=\\x00V=a \\x0b\\x0c\\x00");
}

fn a_nul_becomes_a_newline(sandbox: &Sandbox) {
    assert_eq!(value(sandbox, "a\0b\nc"), "W=\\x00V=a\\nb\\x00");
    assert_eq!(value(sandbox, "\0"), "W=\\x00V=\\n\\x00");
    assert_eq!(value(sandbox, "a \0 \n"), "W=\\x00V=a \\n\\x00");
    assert_eq!(value(sandbox, "a\0 \t\0\n"), "W=\\x00V=a\\n \\t\\n\\x00");
}

fn all_other_bytes_are_kept(sandbox: &Sandbox) {
    let bytes: Vec<u8> = (1..=255).filter(|&byte| byte != b'\n').collect();
    assert_eq!(
        value(sandbox, &bytes),
        format!("W=\\x00V={}\\x00", bytes.escape_ascii())
    );
}

fn an_empty_file_removes_the_variable(sandbox: &Sandbox) {
    assert_eq!(value(sandbox, ""), "W=\\x00");
}

fn newline_alone_sets_empty_variable(sandbox: &Sandbox) {
    assert_eq!(value(sandbox, "\n"), "W=\\x00V=\\x00");
}

fn names_that_begin_with_a_dot_are_skipped(sandbox: &Sandbox) {
    variables(sandbox, &[(".A", "a\n"), ("..B", "b\n")]);
    std::fs::create_dir(sandbox.path("e/.directory")).unwrap();
    assert_eq!(
        environment_after(sandbox, &[b".A=1"], "envdir", &["e"]),
        b".A=1\0"
    );
}

fn removed_entry_is_replaced_by_last(sandbox: &Sandbox) {
    variables(sandbox, &[("A", "new\n")]);
    let environment: [&[u8]; 5] = [b"A=1", b"B=2", b"A=3", b"A", b"Z=9"];
    assert_eq!(
        environment_after(sandbox, &environment, "envdir", &["e"]),
        b"Z=9\0B=2\0A=3\0A\0A=new\0"
    );
    variables(sandbox, &[("A", "")]);
    assert_eq!(
        environment_after(sandbox, &environment, "envdir", &["e"]),
        b"Z=9\0B=2\0A=3\0A\0"
    );
    assert_eq!(environment_after(sandbox, &[b"A=1"], "envdir", &["e"]), b"");
}

fn variable_without_equals_sign_is_kept(sandbox: &Sandbox) {
    variables(sandbox, &[("A", "")]);
    assert_eq!(
        environment_after(sandbox, &[b"A", b"AA=1", b""], "envdir", &["e"]),
        b"A\0AA=1\0\0"
    );
}

fn equals_sign_in_file_name_ends_variable_name(sandbox: &Sandbox) {
    let environment: [&[u8]; 4] = [b"A=1", b"A=B=2", b"=3", b"Z=9"];
    variables(sandbox, &[("A=B", "v\n")]);
    assert_eq!(
        environment_after(sandbox, &environment, "envdir", &["e"]),
        b"Z=9\0A=B=2\0=3\0A=B=v\0"
    );
    // The file to remove a variable sets A to B.
    variables(sandbox, &[("A=B", "")]);
    assert_eq!(
        environment_after(sandbox, &environment, "envdir", &["e"]),
        b"Z=9\0A=B=2\0=3\0A=B\0"
    );
    variables(sandbox, &[("=", "v\n")]);
    assert_eq!(
        environment_after(sandbox, &environment, "envdir", &["e"]),
        b"A=1\0A=B=2\0Z=9\0==v\0"
    );
    variables(sandbox, &[("A=", "")]);
    assert_eq!(
        environment_after(sandbox, &environment, "envdir", &["e"]),
        b"Z=9\0A=B=2\0=3\0A=\0"
    );
}

fn names_are_bytes(sandbox: &Sandbox) {
    variables(sandbox, &[]);
    sandbox.write(format!("e/{}", "long".repeat(60)), "l");
    assert_eq!(
        environment_after(sandbox, &[], "envdir", &["e"]),
        format!("{}=l\0", "long".repeat(60)).as_bytes(),
    );
    variables(sandbox, &[]);
    sandbox.write(
        sandbox.path("e").join(OsStr::from_bytes(b"\xff\n \x01-")),
        "odd",
    );
    assert_eq!(
        environment_after(sandbox, &[], "envdir", &["e"]),
        b"\xff\n \x01-=odd\0"
    );
}

fn inherited_path_is_searched(sandbox: &Sandbox) {
    sandbox.script("old/tool", "#!/bin/sh\necho old $PATH\n");
    sandbox.script("new/tool", "#!/bin/sh\necho new $PATH\n");
    variables(sandbox, &[("PATH", "new\n")]);
    sandbox
        .run(with_environment(
            sandbox,
            &[b"PATH=old"],
            "envdir",
            &["e", "tool"],
        ))
        .prints("old new\n");
    variables(sandbox, &[("PATH", "")]);
    sandbox
        .run(with_environment(
            sandbox,
            &[b"PATH=old"],
            "envdir",
            &["e", "sh", "-c", "echo"],
        ))
        .is(
            111,
            "",
            "envdir: fatal: unable to run sh: file does not exist\n",
        );
}

fn child_runs_in_callers_directory(sandbox: &Sandbox) {
    variables(sandbox, &[("A", "a\n")]);
    sandbox.script("tool", "#!/bin/sh\npwd\n");
    sandbox
        .sh("exec envdir e ./tool")
        .prints(format!("{}\n", sandbox.dir().display()));
    sandbox
        .sh("mkdir -p deep/er; cd deep/er; \
        exec envdir ../../e sh -c 'test ../../tool -ef $(pwd)/../../tool && echo $A'")
        .prints("a\n");
}

fn the_directory_may_be_any_path(sandbox: &Sandbox) {
    variables(sandbox, &[("A", "a\n")]);
    symlink("e", sandbox.path("link")).unwrap();
    for path in [
        "e",
        "./e/",
        "link",
        "e/../e",
        &sandbox.path("e").display().to_string(),
    ] {
        sandbox
            .sh(&format!("exec envdir {path} sh -c 'echo $A'"))
            .prints("a\n");
    }
    sandbox.write("A", "here\n");
    sandbox
        .sh("rm -rf bin; exec envdir e/../e sh -c 'echo $A'")
        .prints("a\n");
}

fn inaccessible_directory_is_reported(sandbox: &Sandbox) {
    sandbox.write("file", "");
    symlink("loop", sandbox.path("loop")).unwrap();
    for (path, wording) in [
        ("nope", "file does not exist"),
        ("file", "not a directory"),
        ("loop", "symbolic link loop"),
    ] {
        sandbox.sh(&format!("exec envdir {path} echo ran")).is(
            111,
            "",
            format!("envdir: fatal: unable to switch to directory {path}: {wording}\n"),
        );
    }
    sandbox.sh("exec envdir '' echo ran").is(
        111,
        "",
        "envdir: fatal: unable to switch to directory : file does not exist\n",
    );
}

fn unreadable_file_is_reported(sandbox: &Sandbox) {
    variables(sandbox, &[("A", "a\n"), ("B", "b\n")]);
    let run = if testkit::is_root("envdir without root") {
        sandbox
            .sh("cp -L $FIRST/envdir copy; chmod 755 copy")
            .succeeds();
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups ./copy"
    } else {
        "exec envdir"
    };
    let run = format!("{run} e echo ran");
    sandbox.sh(&run).prints("ran\n");
    sandbox.mode("e/A", 0);
    sandbox.sh(&run).is(
        111,
        "",
        "envdir: fatal: unable to read e/A: access denied\n",
    );
    sandbox.mode("e", 0o444);
    sandbox.sh(&run).is(
        111,
        "",
        "envdir: fatal: unable to switch to directory e: access denied\n",
    );
    sandbox.mode("e", 0o111);
    sandbox.sh(&run).is(
        111,
        "",
        "envdir: fatal: unable to read directory e: access denied\n",
    );
    sandbox.mode("e", 0o755);
    sandbox.mode("", 0o111);
    let outcome = sandbox.sh(&run);
    sandbox.mode("", 0o755);
    outcome.is(
        111,
        "",
        "envdir: fatal: unable to switch to current directory: access denied\n",
    );
}

fn subdirectory_is_reported_unreadable(sandbox: &Sandbox) {
    variables(sandbox, &[("directory/file", "")]);
    sandbox.sh("exec envdir e echo ran").is(
        111,
        "",
        "envdir: fatal: unable to read e/directory: is a directory\n",
    );
    sandbox.sh("exec envdir e/ echo ran").is(
        111,
        "",
        "envdir: fatal: unable to read e//directory: is a directory\n",
    );
}

fn dangling_link_alone_removes_variable(sandbox: &Sandbox) {
    variables(sandbox, &[]);
    symlink("nowhere", sandbox.path("e/A")).unwrap();
    assert_eq!(
        environment_after(sandbox, &[b"A=1", b"B=2"], "envdir", &["e"]),
        b"B=2\0"
    );
}

fn dangling_link_repeats_previous_file(sandbox: &Sandbox) {
    // The value of the file itself, and the values of the links that follow it
    // in the directory, in order. None removes the variable.
    type Values = [Option<&'static str>; 3];
    let cases: [(&str, Values); 6] = [
        ("abc \nsecond", [Some("abc"), Some("abc\n"), Some("abc")]),
        ("abc", [Some("abc"), Some("abc\n"), Some("abc")]),
        ("a\0b\0", [Some("a\nb\n"), Some("a"), Some("a\n")]),
        ("\n", [Some(""), Some("\n"), Some("")]),
        ("\0", [Some("\n"), Some(""), Some("\n")]),
        ("", [None, None, None]),
    ];
    for (contents, [value, odd, even]) in cases {
        variables(sandbox, &[("file", contents)]);
        for name in ["A", "B", "C", "D", "E", "F"] {
            symlink("nowhere", sandbox.path("e").join(name)).unwrap();
        }
        let mut expected = String::new();
        let mut after = None;
        for entry in std::fs::read_dir(sandbox.path("e")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name == "file" {
                after = Some(0);
            }
            let value = match &mut after {
                // Before any file there is nothing to stand for.
                None => None,
                Some(links) => {
                    *links += 1;
                    if *links == 1 {
                        value
                    } else if *links % 2 == 0 {
                        odd
                    } else {
                        even
                    }
                }
            };
            if let Some(value) = value {
                expected += &[&name, "=", value, "\0"].concat();
            }
        }
        let seen = environment_after(sandbox, &[], "envdir", &["e"]);
        assert_eq!(String::from_utf8(seen).unwrap(), expected, "{contents:?}");
    }
}

fn a_link_is_followed(sandbox: &Sandbox) {
    variables(sandbox, &[]);
    sandbox.write("value", "linked\n");
    symlink("../value", sandbox.path("e/A")).unwrap();
    assert_eq!(
        environment_after(sandbox, &[], "envdir", &["e"]),
        b"A=linked\0"
    );
    std::fs::remove_file(sandbox.path("e/A")).unwrap();
    symlink("A", sandbox.path("e/A")).unwrap();
    sandbox.sh("exec envdir e echo ran").is(
        111,
        "",
        "envdir: fatal: unable to read e/A: symbolic link loop\n",
    );
}

fn a_fifo_does_not_block(sandbox: &Sandbox) {
    variables(sandbox, &[]);
    sandbox.sh("mkfifo e/A").succeeds();
    // The FIFO has no writer, and reading returns end of file.
    assert_eq!(environment_after(sandbox, &[b"A=1"], "envdir", &["e"]), b"");
    // The FIFO has a writer, and reading would block.
    sandbox.sh("exec 9<>e/A; exec envdir e echo ran").is(
        111,
        "",
        "envdir: fatal: unable to read e/A: temporary failure\n",
    );
    sandbox
        .sh("exec 9<>e/A; printf 'line\\nline' >&9; exec envdir e echo ran")
        .is(
            111,
            "",
            "envdir: fatal: unable to read e/A: temporary failure\n",
        );
}

fn sockets_and_devices_are_read_as_files(sandbox: &Sandbox) {
    variables(sandbox, &[]);
    symlink("/dev/null", sandbox.path("e/A")).unwrap();
    assert_eq!(environment_after(sandbox, &[b"A=1"], "envdir", &["e"]), b"");
    let _socket = std::os::unix::net::UnixListener::bind(sandbox.path("e/S")).unwrap();
    sandbox.sh("exec envdir e echo ran").is(
        111,
        "",
        "envdir: fatal: unable to read e/S: device not configured\n",
    );
}

fn a_long_value_stays_whole(sandbox: &Sandbox) {
    let long = "x".repeat(100_000);
    variables(
        sandbox,
        &[
            ("A", &format!("{long}  \nrest")),
            ("B", &format!("b\n{}", "y".repeat(3_000_000))),
        ],
    );
    sandbox
        .sh("exec envdir e sh -c 'echo ${#A} $B'")
        .prints("100000 b\n");
}

fn oversized_value_is_reported(sandbox: &Sandbox) {
    variables(sandbox, &[("A", &"x".repeat(200_000))]);
    sandbox.sh("exec envdir e /bin/echo ran").is(
        111,
        "",
        "envdir: fatal: unable to run /bin/echo: argument list too long\n",
    );
    sandbox.sh("exec envdir e true").is(
        111,
        "",
        "envdir: fatal: unable to run true: argument list too long\n",
    );
}

fn many_variables_are_set(sandbox: &Sandbox) {
    let names: Vec<_> = (0..2000).map(|n| format!("V{n}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), "v\n")).collect();
    variables(sandbox, &files);
    sandbox
        .sh("exec envdir e env | grep -c '^V[0-9]*=v$'")
        .prints("2000\n");
}

fn descriptor_exhaustion_is_reported(sandbox: &Sandbox) {
    variables(sandbox, &[("A", "a\n")]);
    let limited = |descriptors: u32| {
        sandbox.sh(&format!(
            "exec 3>&- 4>&- 5>&- 6>&-; ulimit -n {descriptors}; exec envdir e true"
        ))
    };
    let none = "process cannot open more files";
    limited(4).is(
        111,
        "",
        format!("envdir: fatal: unable to read directory e: {none}\n"),
    );
    limited(5).is(
        111,
        "",
        format!("envdir: fatal: unable to read e/A: {none}\n"),
    );
    limited(6).succeeds();
}

fn removed_current_directory_is_accepted(sandbox: &Sandbox) {
    variables(sandbox, &[("A", "a\n")]);
    let e = sandbox.path("e");
    sandbox
        .sh(&format!(
            "mkdir gone; cd gone; rmdir ../gone; exec envdir {} sh -c 'echo $A' 2>/dev/null",
            e.display()
        ))
        .prints("a\n");
}
