//! The completion files, made of what the programs say of themselves.

use cli::Program;

use crate::programs::PROGRAMS;

/// What an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Service,
    Services,
    Directory,
    Directories,
    File,
    Account,
    Command,
}

impl Kind {
    /// What the functions for bash and fish call it.
    fn word(self) -> &'static str {
        match self {
            Kind::Service => "service",
            Kind::Services => "services",
            Kind::Directory => "directory",
            Kind::Directories => "directories",
            Kind::File => "file",
            Kind::Account => "account",
            Kind::Command => "command",
        }
    }
}

/// The operands, from the usage line.
fn operands(program: &Program) -> Vec<Kind> {
    let ends = |end: &str| program.usage.ends_with(end);
    match program.name {
        // Its usage line does not name them.
        "svc" => vec![Kind::Services],
        "envdir" if ends(" dir child") => vec![Kind::Directory, Kind::Command],
        _ if ends(" account child") => vec![Kind::Account, Kind::Command],
        _ if ends(" child") => vec![Kind::Command],
        _ if ends(" file program [ arg ... ]") => vec![Kind::File, Kind::Command],
        _ if ends(" script") => vec![Kind::Directories],
        _ if ends(" [directory]") => vec![Kind::Directory],
        _ if ends(" dir") => vec![Kind::Service],
        _ if ends(" dir ...") => vec![Kind::Services],
        _ => panic!("what are the operands of {}?", program.usage),
    }
}

/// The letters of the options that take a value.
fn valued(program: &Program) -> String {
    let options = program.options.iter();
    let valued = options.filter(|option| option.value.is_some());
    valued.map(|option| char::from(option.letter)).collect()
}

/// The operands in words, for the functions that complete them.
fn words(program: &Program) -> String {
    let operands = operands(program).into_iter();
    operands.map(Kind::word).collect::<Vec<_>>().join(" ")
}

/// completions/daemontools.bash.
pub(super) fn bash() -> String {
    let made = PROGRAMS.iter().map(|program| {
        let options = program.options.iter();
        let options: Vec<_> = options
            .map(|option| format!("-{}", char::from(option.letter)))
            .collect();
        format!(
            "_daemontools_{name}() {{ _daemontools '{}' '{}' {}; }}\n\
             complete -F _daemontools_{name} {name}\n",
            options.join(" "),
            valued(program),
            words(program),
            name = program.name,
        )
    });
    let made: String = made.collect();
    include_str!("template.bash").to_owned() + &made
}

/// completions/_daemontools.
pub(super) fn zsh() -> String {
    let names: Vec<_> = PROGRAMS.iter().map(|program| program.name).collect();
    let made = PROGRAMS.iter().map(|program| {
        let options = program.options.iter().map(|option| {
            let (letter, meaning) = (char::from(option.letter), option.meaning);
            match option.value {
                None => format!("-{letter}[{meaning}]"),
                Some(value) => format!("-{letter}+[{meaning}]:{value}: "),
            }
        });
        let operands = operands(program).into_iter().flat_map(|kind| match kind {
            Kind::Service => &[":service:_daemontools_services"][..],
            Kind::Services => &["*:service:_daemontools_services"],
            Kind::Directory => &[":directory:_directories"],
            Kind::Directories => &["*:directory:_directories"],
            Kind::File => &[":file:_files"],
            Kind::Account => &[":account:_users"],
            Kind::Command => &[":program:_command_names -e", "*::argument:_normal"],
        });
        let arguments = options.chain(operands.map(|&operand| operand.to_owned()));
        let arguments: Vec<_> = arguments
            .map(|argument| format!(" \\\n            '{}'", argument.replace('\'', r"'\''")))
            .collect();
        format!(
            "    {})\n        _arguments $getopt{}\n        ;;\n",
            program.name,
            arguments.concat()
        )
    });
    let made: String = made.collect();
    format!(
        "#compdef {}\n{}{made}esac\n",
        names.join(" "),
        include_str!("template.zsh")
    )
}

/// completions/daemontools.fish.
pub(super) fn fish() -> String {
    let made = PROGRAMS.iter().map(|program| {
        let name = program.name;
        let options = program.options.iter().map(|option| {
            let letter = char::from(option.letter);
            let exclusive = if option.value.is_some() { " -x" } else { "" };
            let meaning = option.meaning.replace('\'', r"\'");
            format!("complete -c {name} -s {letter}{exclusive} -d '{meaning}'\n")
        });
        format!(
            "complete -c {name} -x -a \"(__daemontools '{}' {})\"\n{}",
            valued(program),
            words(program),
            options.collect::<String>(),
        )
    });
    let made: String = made.collect();
    include_str!("template.fish").to_owned() + &made
}
