//! Makes the completion files from the usage lines and option tables.

use cli::{Opt, Program};

use crate::programs::{PROGRAMS, arguments};

/// Programs that are packaged together, and the names of their files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Daemontools,
    Runit,
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Family::Daemontools => "daemontools",
            Family::Runit => "runit",
        }
    }

    fn programs(self) -> impl Iterator<Item = &'static Program> {
        let of = |name| match name {
            "chpst" | "runsv" | "runsvchdir" | "runsvdir" | "sv" | "svlogd" => Family::Runit,
            _ => Family::Daemontools,
        };
        let programs = PROGRAMS.iter().copied();
        programs.filter(move |program| of(program.name) == self)
    }

    /// The file for each shell in completions/, and its content.
    pub(super) fn files(self) -> [(String, String); 3] {
        let name = self.name();
        let zsh_name = match self {
            Family::Daemontools => "_daemontools",
            // zsh ships a file named _runit.
            Family::Runit => "_daemontools_runit",
        };
        let make = |(file, text): (String, String)| {
            let orders = orders();
            (
                file,
                text.replace("@FAMILY@", name).replace("@ORDERS@", &orders),
            )
        };
        [
            (format!("{name}.bash"), bash(self)),
            (zsh_name.to_owned(), zsh(self)),
            (format!("{name}.fish"), fish(self)),
        ]
        .map(make)
    }
}

/// The kind of an operand, or of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Service,
    Services,
    /// Services and log directories.
    Logs,
    /// By path, or by name in sv's directory of services.
    Names,
    /// A command word of sv.
    Order,
    /// A number, for which nothing is offered.
    Number,
    /// A directory of services that runsvchdir knows by name.
    Level,
    Directory,
    Directories,
    File,
    Account,
    Group,
    /// A time of svlog.
    Time,
    Command,
}

impl Kind {
    /// The name of the kind in the functions for bash and fish.
    fn word(self) -> &'static str {
        match self {
            Kind::Service => "service",
            Kind::Services => "services",
            Kind::Logs => "logs",
            Kind::Names => "names",
            Kind::Order => "order",
            Kind::Number => "number",
            Kind::Level => "level",
            Kind::Directory => "directory",
            Kind::Directories => "directories",
            Kind::File => "file",
            Kind::Account => "account",
            Kind::Group => "group",
            Kind::Time => "time",
            Kind::Command => "command",
        }
    }

    /// The zsh action for the kind, as `_arguments` describes operands.
    fn in_zsh(self) -> &'static [&'static str] {
        match self {
            Kind::Service => &[":service:_daemontools_services"],
            Kind::Services => &["*:service:_daemontools_services"],
            Kind::Logs => &["*:log:_daemontools_logs"],
            Kind::Names => &["*:service:_daemontools_names"],
            Kind::Order => &[":command:_daemontools_orders"],
            Kind::Number => &[":number: "],
            Kind::Level => &[":directory:_path_files -/ -W /etc/runit/runsvdir"],
            Kind::Directory => &[":directory:_directories"],
            Kind::Directories => &["*:directory:_directories"],
            Kind::File => &[":file:_files"],
            Kind::Time => &[":time:_daemontools_times"],
            Kind::Account => &[":account:_users"],
            Kind::Group => &[":group:_groups"],
            Kind::Command => &[":program:_command_names -e", "*::argument:_normal"],
        }
    }
}

/// The operands, from the usage line.
fn operands(program: &Program) -> Vec<Kind> {
    let usage = format!(" {}", arguments(program).unwrap_or_default());
    let ends = |end: &str| usage.ends_with(end);
    match program.name {
        // The usage line does not name the operands.
        "svc" => vec![Kind::Services],
        "sv" if ends(" command service ...") => vec![Kind::Order, Kind::Names],
        "runsvdir" if ends(" dir") => vec![Kind::Directory],
        "runsvchdir" if ends(" dir") => vec![Kind::Level],
        "svlogd" if ends(" dir ...") => vec![Kind::Directories],
        "chpst" if ends(" prog") => vec![Kind::Command],
        "envdir" if ends(" dir child") => vec![Kind::Directory, Kind::Command],
        _ if ends(" account child") => vec![Kind::Account, Kind::Command],
        _ if ends(" child") => vec![Kind::Command],
        "sdnotify" if ends(" fd program [ arg ... ]") => vec![Kind::Number, Kind::Command],
        _ if ends(" file program [ arg ... ]") => vec![Kind::File, Kind::Command],
        _ if ends(" script") => vec![Kind::Directories],
        "tai64nlocal" => Vec::new(),
        _ if ends(" [directory]") || ends(" [scandir]") => vec![Kind::Directory],
        "svlog" if ends(" where ...") => vec![Kind::Logs],
        _ if ends(" dir") => vec![Kind::Service],
        _ if ends(" dir ...") => vec![Kind::Services],
        _ if ends(" dir ... [-- program ...]") => vec![Kind::Services, Kind::Command],
        _ => panic!("what are the operands of {}?", program.usage),
    }
}

/// The kind of an option's value, if a shell can complete the kind.
fn value(option: &Opt) -> Option<Kind> {
    match option.value? {
        "user" => Some(Kind::Account),
        "group" => Some(Kind::Group),
        "dir" | "root" => Some(Kind::Directory),
        "lock" | "cursor" => Some(Kind::File),
        "since" | "until" => Some(Kind::Time),
        _ => None,
    }
}

/// The letters of the options that take a value.
fn valued(program: &Program) -> String {
    let options = program.options.iter();
    let valued = options.filter(|option| option.value.is_some());
    valued.map(|option| char::from(option.letter)).collect()
}

/// The command words of sv, for the functions that complete them.
fn orders() -> String {
    let words =
        crate::programs::sv::command::words().map(|word| std::str::from_utf8(word).unwrap());
    words.collect::<Vec<_>>().join(" ")
}

/// The operands in words, for the functions that complete them.
fn words(program: &Program) -> String {
    let operands = operands(program).into_iter();
    operands.map(Kind::word).collect::<Vec<_>>().join(" ")
}

/// The completions for bash.
fn bash(family: Family) -> String {
    let made = family.programs().map(|program| {
        let options = program.options.iter();
        let options: Vec<_> = options
            .map(|option| {
                let value = option.value.map(|_| value(option).map_or("", Kind::word));
                let value = value.map_or(String::new(), |kind| format!(":{kind}"));
                format!("-{}{value}", char::from(option.letter))
            })
            .collect();
        format!(
            "_daemontools_{name}() {{ _daemontools '{}' {}; }}\n\
             complete -F _daemontools_{name} {name}\n",
            options.join(" "),
            words(program),
            name = program.name,
        )
    });
    let made: String = made.collect();
    include_str!("template.bash").to_owned() + &made
}

/// The completions for zsh.
fn zsh(family: Family) -> String {
    let names: Vec<_> = family.programs().map(|program| program.name).collect();
    let made = family.programs().map(|program| {
        let options = program.options.iter().map(|option| {
            let (letter, help) = (char::from(option.letter), option.help);
            // Behind an option these characters describe how its value follows.
            let letter = match letter {
                '+' | '=' => format!("\\{letter}"),
                _ => letter.to_string(),
            };
            match option.value {
                None => format!("-{letter}[{help}]"),
                Some(name) => {
                    let action = value(option).map_or(" ", |kind| {
                        let (_, action) = kind.in_zsh()[0].rsplit_once(':').unwrap();
                        action
                    });
                    format!("-{letter}+[{help}]:{name}:{action}")
                }
            }
        });
        let operands = match operands(program).as_slice() {
            // The program follows `--`.
            [Kind::Services, Kind::Command] => vec!["*::service:_daemontools_services_command"],
            operands => operands
                .iter()
                .flat_map(|kind| kind.in_zsh())
                .copied()
                .collect(),
        };
        let arguments = options.chain(operands.into_iter().map(str::to_owned));
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

/// The completions for fish.
fn fish(family: Family) -> String {
    let made = family.programs().map(|program| {
        let name = program.name;
        let options = program.options.iter().map(|option| {
            let letter = char::from(option.letter);
            let exclusive = if option.value.is_some() { " -x" } else { "" };
            let values = match value(option) {
                Some(Kind::Account) => " -a \"(__fish_complete_users)\"",
                Some(Kind::Group) => " -a \"(__fish_complete_groups)\"",
                Some(Kind::Directory) => " -a \"(__fish_complete_directories)\"",
                Some(Kind::Time) => " -a \"(__daemontools_times)\"",
                Some(Kind::File) => " -a \"(__fish_complete_path)\"",
                _ => "",
            };
            let help = option.help.replace('\'', r"\'");
            format!("complete -c {name} -s {letter}{exclusive}{values} -d '{help}'\n")
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
