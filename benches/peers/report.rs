//! What the benchmark says: a line a row, the table and the chart.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What a row's numbers are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Megabytes of input a second: more is better.
    MegabytesASecond,
    /// Microseconds: less is better.
    Microseconds,
    /// Kilobytes: less is better.
    Kilobytes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::MegabytesASecond => "MB/s",
            Unit::Microseconds => "µs",
            Unit::Kilobytes => "KB",
        }
    }
}

/// One contestant's values, one a round.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) values: Vec<f64>,
}

/// A row that was measured, ours first.
pub(crate) struct Result {
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) figures: Vec<Figure>,
}

impl Result {
    /// The median over the rounds of ours divided by theirs.
    fn ratio(&self, theirs: &Figure) -> f64 {
        let ours = &self.figures[0].values;
        median(
            ours.iter()
                .zip(&theirs.values)
                .map(|(ours, theirs)| ours / theirs)
                .collect(),
        )
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    }
}

/// A row as a line of text.
pub(crate) fn line(result: &Result) -> String {
    let mut line = format!("{:<38}", result.title);
    for (n, figure) in result.figures.iter().enumerate() {
        let value = median(figure.values.clone());
        write!(line, " {} {value:.0} {}", figure.name, result.unit.name()).unwrap();
        if n > 0 {
            write!(line, " ({:.2}x)", result.ratio(figure)).unwrap();
        }
        line.push(',');
    }
    line.pop();
    line.push('\n');
    line
}

/// The families in the order of the table's columns.
const FAMILIES: [&str; 4] = ["daemontools-rs", "daemontools", "runit", "s6"];

/// Writes `benches/results.md`, `benches/results.svg`, and the same table
/// between its marks in README.md.
pub(crate) fn write(project: &Path, results: &[Result]) {
    let table = table(results);
    fs::write(project.join("benches/results.md"), &table).unwrap();
    fs::write(project.join("benches/results.svg"), chart(results)).unwrap();
    let readme = project.join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let (begin, end) = ("<!-- make bench writes this -->\n", "<!-- until here -->");
    if let (Some(from), Some(to)) = (text.find(begin), text.find(end)) {
        let text = format!("{}{table}{}", &text[..from + begin.len()], &text[to..]);
        fs::write(&readme, text).unwrap();
    }
}

fn table(results: &[Result]) -> String {
    let mut table = String::from("| work | unit |");
    let mut rule = String::from("| --- | --- |");
    for family in FAMILIES {
        write!(table, " {family} |").unwrap();
        rule.push_str(" ---: |");
    }
    table = format!("{table}\n{rule}\n");
    for result in results {
        write!(table, "| {} | {} |", result.title, result.unit.name()).unwrap();
        for family in FAMILIES {
            let figure = result.figures.iter().find(|figure| figure.name == family);
            match figure {
                None => table.push_str(" |"),
                Some(figure) if family == FAMILIES[0] => {
                    write!(table, " **{:.0}** |", median(figure.values.clone())).unwrap();
                }
                Some(figure) => {
                    let value = median(figure.values.clone());
                    write!(table, " {value:.0} ({:.2}×) |", result.ratio(figure)).unwrap();
                }
            }
        }
        table.push('\n');
    }
    let rounds = results
        .first()
        .map_or(0, |result| result.figures[0].values.len());
    write!(
        table,
        "\nMedians of {rounds} alternating rounds; in brackets, ours divided by theirs (the median of \
         the rounds' ratios). {}.\n",
        machine()
    )
    .unwrap();
    table
}

/// The machine, in a few words.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    format!("{cores} cores of {model}, Linux {kernel}")
}

/// A bar chart: for each row, every family beside daemontools, so that a
/// longer bar is better in every row.
fn chart(results: &[Result]) -> String {
    const COLOURS: [&str; 4] = ["#b7410e", "#5f6a72", "#8fa3ad", "#c9d3d8"];
    const LEFT: f64 = 250.0;
    const WIDTH: f64 = 560.0;
    const BAR: f64 = 11.0;
    let better = |result: &Result, value: f64, reference: f64| match result.unit {
        Unit::MegabytesASecond => value / reference,
        Unit::Microseconds | Unit::Kilobytes => reference / value,
    };
    let mut rows = String::new();
    let mut y = 44.0;
    let mut bars = Vec::new();
    for result in results {
        let Some(reference) = result
            .figures
            .iter()
            .find(|figure| figure.name == FAMILIES[1])
        else {
            continue;
        };
        let reference = median(reference.values.clone());
        let row: Vec<(usize, f64)> = FAMILIES
            .iter()
            .enumerate()
            .filter_map(|(n, family)| {
                let figure = result
                    .figures
                    .iter()
                    .find(|figure| figure.name == *family)?;
                Some((n, better(result, median(figure.values.clone()), reference)))
            })
            .collect();
        bars.push((result.title.clone(), row));
    }
    let longest = bars
        .iter()
        .flat_map(|(_, row)| row)
        .map(|(_, value)| *value)
        .fold(1.0, f64::max);
    for (title, row) in bars {
        let middle = y + BAR * row.len() as f64 / 2.0 + 4.0;
        writeln!(
            rows,
            r#"<text x="{}" y="{middle}" text-anchor="end">{title}</text>"#,
            LEFT - 10.0
        )
        .unwrap();
        for (n, value) in row {
            let length = (value / longest * WIDTH).max(1.0);
            writeln!(
                rows,
                r#"<rect x="{LEFT}" y="{y}" width="{length:.1}" height="{}" fill="{}"/><text x="{:.1}" y="{}" class="value">{value:.1}</text>"#,
                BAR - 1.0,
                COLOURS[n],
                LEFT + length + 4.0,
                y + BAR - 2.0,
            )
            .unwrap();
            y += BAR;
        }
        y += 8.0;
    }
    let mut legend = String::new();
    for (n, family) in FAMILIES.iter().enumerate() {
        let x = LEFT + 130.0 * n as f64;
        writeln!(
            legend,
            r#"<rect x="{x}" y="14" width="11" height="11" fill="{}"/><text x="{}" y="24">{family}</text>"#,
            COLOURS[n],
            x + 16.0
        )
        .unwrap();
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{y}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<title>Times better than daemontools</title>\n\
         <style>.value {{ font-size: 9px; fill: #555 }}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{legend}{rows}</svg>\n",
        LEFT + WIDTH + 50.0
    )
}
