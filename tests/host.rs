//! The files for the host of the repository: their syntax, and their agreement with
//! the documents.

use std::fs;
use std::path::Path;
use std::process::Command;

use testkit::skip;

const TREE: &str = env!("CARGO_MANIFEST_DIR");

/// Checks the structure of workflows and issue forms. YAML 1.1 reads the key `on` as
/// true.
const STRUCTURE: &str = r#"
import glob, re, yaml
workflows = glob.glob(".github/workflows/*.yml")
forms = glob.glob(".github/ISSUE_TEMPLATE/*.yml")
assert workflows and forms
for file in workflows:
    flow = yaml.safe_load(open(file))
    assert set(flow) <= {"name", True, "permissions", "concurrency", "jobs"}, file
    assert flow["permissions"]["contents"] == "read", file
    for job in flow["jobs"].values():
        assert job["runs-on"] and job["timeout-minutes"] and job["steps"], file
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), (file, step)
    # A tag can move; a commit cannot.
    for line in re.findall(r"uses: (.*)", open(file).read()):
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), (file, line)
for file in forms:
    form = yaml.safe_load(open(file))
    assert form["name"] and form["description"], file
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["attributes"]["label"] for field in fields), file
    assert len({field["id"] for field in fields}) == len(fields), file
print(len(workflows), len(forms))
"#;

#[test]
fn workflows_and_issue_forms_are_valid() {
    let python = |script: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", script]).current_dir(TREE);
        command.output()
    };
    if !python("import yaml").is_ok_and(|output| output.status.success()) {
        skip(
            "workflows_and_issue_forms_are_valid",
            "there is no python3-yaml",
        );
        return;
    }
    let output = python(STRUCTURE).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && error.is_empty(), "{error}");
}

#[test]
fn workflows_run_the_same_targets_as_ci() {
    let read = |file: &str| fs::read_to_string(Path::new(TREE).join(file)).unwrap();
    assert!(read(".github/workflows/check.yml").contains("run: .ci/run\n"));
    let makefile = read("Makefile");
    let site = read(".github/workflows/site.yml");
    for line in read(".ci/run").lines().chain(site.lines()) {
        if let Some((_, target)) = line.split_once("make ").filter(|_| !line.starts_with('#')) {
            assert!(makefile.contains(&format!("\n{target}:")), "{line}");
        }
    }
}

#[test]
fn fault_form_has_commands_of_troubleshooting() {
    let read = |file: &str| fs::read_to_string(Path::new(TREE).join(file)).unwrap();
    let form = read(".github/ISSUE_TEMPLATE/fault.yml");
    let page = read("doc/troubleshooting.md");
    let (_, section) = page.split_once("\n## Report a fault\n").unwrap();
    let commands = section.lines().filter_map(|line| line.strip_prefix("    "));
    let mut number = 0;
    for command in commands {
        assert!(form.contains(&format!("`{command}`")), "{command}");
        number += 1;
    }
    assert!(number >= 10, "{number}");
}
