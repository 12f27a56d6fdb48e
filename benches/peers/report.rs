//! The output: a line for each row, the table and the chart.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::Build;

/// The unit of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Megabytes of input per second; more is better.
    MegabytesASecond,
    /// Microseconds; less is better.
    Microseconds,
    /// Kilobytes; less is better.
    Kilobytes,
    /// Processes; more is better.
    Processes,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::MegabytesASecond => "MB/s",
            Unit::Microseconds => "µs",
            Unit::Kilobytes => "KB",
            Unit::Processes => "processes",
        }
    }
}

/// The values of one contestant, one for each round. Without values, the contestant
/// does not do the work.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) values: Vec<f64>,
}

impl Figure {
    pub(crate) fn empty(name: &'static str) -> Self {
        Figure {
            name,
            values: Vec::new(),
        }
    }
}

/// A measured row, with our programs first.
pub(crate) struct Result {
    pub(crate) title: String,
    pub(crate) unit: Unit,
    pub(crate) figures: Vec<Figure>,
}

impl Result {
    /// The median over the rounds of our value divided by theirs.
    ///
    /// None: one of both does not do the work, or their value is 0.
    fn ratio(&self, theirs: &Figure) -> Option<f64> {
        let ours = self.figures[0].values.iter();
        let ratios: Vec<f64> = ours
            .zip(&theirs.values)
            .map(|(ours, theirs)| ours / theirs)
            .collect();
        (!ratios.is_empty())
            .then(|| median(ratios))
            .filter(|ratio| ratio.is_finite())
    }
}

/// The middle value, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
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
        if figure.values.is_empty() {
            write!(line, " {} no,", figure.name).unwrap();
            continue;
        }
        let value = median(figure.values.clone());
        write!(line, " {} {value:.0} {}", figure.name, result.unit.name()).unwrap();
        if let Some(ratio) = result.ratio(figure).filter(|_| n > 0) {
            write!(line, " ({ratio:.2}x)").unwrap();
        }
        line.push(',');
    }
    line.pop();
    line.push('\n');
    line
}

/// The families in the order of the table's columns.
const FAMILIES: [&str; 5] = [
    "daemontools-rs, musl",
    "daemontools-rs, glibc",
    "daemontools",
    "runit",
    "s6",
];

/// The column of one of our builds.
pub(crate) fn column(build: Build) -> &'static str {
    match build {
        Build::Musl => FAMILIES[0],
        Build::Glibc => FAMILIES[1],
    }
}

/// The last column: the least possible work. For a log program, that is a plain
/// copy by cat; for a start, an empty program. The chart omits it, because the
/// bar of cat would dwarf the others.
pub(crate) const LIMIT: &str = "limit";

/// A table after the first one.
pub(crate) struct Table<'a> {
    pub(crate) heading: &'a str,
    pub(crate) results: &'a [Result],
    pub(crate) columns: &'a [&'a str],
    pub(crate) caption: &'a str,
}

/// Writes `benches/results.md`, `benches/results.svg`, and the tables between
/// their marks in README.md.
pub(crate) fn write(project: &Path, results: &[Result], others: &[Table<'_>]) {
    let caption = "The limit is a copy by cat or the start of an empty program.";
    let columns: Vec<&str> = FAMILIES.into_iter().chain([LIMIT]).collect();
    let mut table = table(results, &columns, caption);
    for other in others.iter().filter(|other| !other.results.is_empty()) {
        writeln!(table, "\n{}:\n", other.heading).unwrap();
        table.push_str(&self::table(other.results, other.columns, other.caption));
    }
    fs::write(project.join("benches/results.md"), &table).unwrap();
    fs::write(project.join("benches/results.svg"), chart(results)).unwrap();
    let readme = project.join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    let (begin, end) = ("<!-- make bench writes this -->\n", "<!-- until here -->");
    if let (Some(from), Some(to)) = (text.find(begin), text.find(end)) {
        let (before, after) = (&text[..from + begin.len()], &text[to..]);
        let picture = "![Bars for each row of the table below](benches/results.svg)";
        let text = format!("{before}{picture}\n\n{table}{after}");
        fs::write(&readme, text).unwrap();
    }
}

/// The columns with figures of these, and a caption with the way of measurement.
fn table(results: &[Result], columns: &[&str], caption: &str) -> String {
    let mut table = String::from("| work | unit |");
    let mut rule = String::from("| --- | --- |");
    let columns: Vec<&str> = columns
        .iter()
        .copied()
        .filter(|family| {
            results
                .iter()
                .any(|result| result.figures.iter().any(|figure| figure.name == *family))
        })
        .collect();
    for family in &columns {
        write!(table, " {family} |").unwrap();
        rule.push_str(" ---: |");
    }
    table = format!("{table}\n{rule}\n");
    for result in results {
        write!(table, "| {} | {} |", result.title, result.unit.name()).unwrap();
        for (n, family) in columns.iter().enumerate() {
            let figure = result.figures.iter().find(|figure| figure.name == *family);
            match figure {
                None => table.push_str(" |"),
                Some(figure) if figure.values.is_empty() => table.push_str(" no |"),
                Some(figure) if n == 0 => {
                    write!(table, " **{:.0}** |", median(figure.values.clone())).unwrap();
                }
                Some(figure) => {
                    let value = median(figure.values.clone());
                    write!(table, " {value:.0}").unwrap();
                    if let Some(ratio) = result.ratio(figure) {
                        write!(table, " ({ratio:.2}×)").unwrap();
                    }
                    table.push_str(" |");
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
        "\nMedians of {rounds} alternating rounds; in brackets, the first column divided by this one \
         (the median of the rounds' ratios). {caption} {}.\n",
        machine()
    )
    .unwrap();
    table
}

/// A short description of the machine.
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

/// A bar chart with a heading for each unit and a block for each row. The
/// longest bar of a block has the full width.
fn chart(results: &[Result]) -> String {
    const COLUMN: f64 = 410.0;
    const TOP: f64 = 52.0;
    let mut shapes = String::new();
    let mut x = 20.0;
    for (n, family) in FAMILIES.iter().enumerate() {
        writeln!(
            shapes,
            r#"<rect x="{x}" y="16" width="12" height="12" class="f{n}"/><text x="{}" y="26">{family}</text>"#,
            x + 18.0
        )
        .unwrap();
        x += 160.0;
    }
    let mut bottom = [TOP; 2];
    for (unit, column, heading) in [
        (Unit::MegabytesASecond, 0, "Input a second: more is better"),
        (Unit::Microseconds, 0, "Time: less is better"),
        (Unit::Kilobytes, 1, "Memory and size: less is better"),
    ] {
        let left = 20.0 + COLUMN * f64::from(column);
        let y = &mut bottom[usize::from(column == 1)];
        *y += 14.0;
        writeln!(
            shapes,
            r#"<text x="{left}" y="{y}" class="heading">{heading}</text>"#
        )
        .unwrap();
        *y += 10.0;
        for result in results.iter().filter(|result| result.unit == unit) {
            *y = block(&mut shapes, result, left, *y);
        }
        *y += 12.0;
    }
    let (width, height) = (20.0 + 2.0 * COLUMN, bottom[0].max(bottom[1]));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" font-size="12">
<title>daemontools-rs beside daemontools, runit and s6</title>
<style>
.page {{ fill: #ffffff }} text {{ fill: #1f2328 }} .value {{ fill: #59636e; font-size: 10px }}
.heading {{ font-weight: bold; font-size: 13px }}
.f0 {{ fill: #b7410e }} .f1 {{ fill: #e09f7d }} .f2 {{ fill: #59636e }} .f3 {{ fill: #8c99a6 }} .f4 {{ fill: #bcc6d0 }}
@media (prefers-color-scheme: dark) {{
.page {{ fill: #0d1117 }} text {{ fill: #e6edf3 }} .value {{ fill: #9198a1 }}
.f0 {{ fill: #f0762b }} .f1 {{ fill: #9c5225 }} .f2 {{ fill: #9aa4af }} .f3 {{ fill: #6e7883 }} .f4 {{ fill: #48515b }}
}}
</style>
<rect width="100%" height="100%" rx="6" class="page"/>
{shapes}</svg>
"#
    )
}

/// Draws a row at this position and returns the next position.
fn block(shapes: &mut String, result: &Result, left: f64, mut y: f64) -> f64 {
    const WIDTH: f64 = 300.0;
    const BAR: f64 = 10.0;
    let bars: Vec<(usize, f64)> = result
        .figures
        .iter()
        .filter_map(|figure| {
            let family = FAMILIES.iter().position(|name| *name == figure.name)?;
            Some((family, median(figure.values.clone())))
        })
        .collect();
    let longest = bars
        .iter()
        .fold(f64::MIN_POSITIVE, |longest, (_, value)| value.max(longest));
    y += 14.0;
    writeln!(
        shapes,
        r#"<text x="{left}" y="{y}">{}</text>"#,
        result.title
    )
    .unwrap();
    y += 5.0;
    for (family, value) in bars {
        let length = (value / longest * WIDTH).max(1.0);
        writeln!(
            shapes,
            r#"<rect x="{left}" y="{y}" width="{length:.1}" height="{}" class="f{family}"/><text x="{:.1}" y="{}" class="value">{value:.0} {}</text>"#,
            BAR - 1.0,
            left + length + 5.0,
            y + BAR - 2.0,
            result.unit.name(),
        )
        .unwrap();
        y += BAR;
    }
    y + 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_shows_ratios_and_work_not_done() {
        let figure = |name, values: &[f64]| Figure {
            name,
            values: values.to_vec(),
        };
        let result = |title: &str, figures| Result {
            title: title.to_owned(),
            unit: Unit::Kilobytes,
            figures,
        };
        let results = [
            result(
                "a",
                vec![figure("x", &[1.0, 2.0, 3.0]), figure("y", &[4.0; 3])],
            ),
            result("b", vec![figure("x", &[]), figure("y", &[1.0])]),
            result("c", vec![figure("x", &[1.0]), figure("y", &[0.0])]),
            result("d", vec![figure("x", &[1.0])]),
        ];
        let table = table(&results, &["x", "y", "z"], "A caption.");
        let rows: Vec<&str> = table.lines().take(6).collect();
        assert_eq!(
            rows,
            [
                "| work | unit | x | y |",
                "| --- | --- | ---: | ---: |",
                "| a | KB | **2** | 4 (0.50×) |",
                "| b | KB | no | 1 |",
                "| c | KB | **1** | 0 |",
                "| d | KB | **1** | |",
            ]
        );
        assert!(table.contains("Medians of 3 alternating rounds"));
        assert!(table.contains(" A caption. "));
    }
}
