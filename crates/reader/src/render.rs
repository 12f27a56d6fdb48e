//! The form of lines in the output.

mod calendar;

use std::collections::HashMap;

use cli::display::{Charset, escape, shorten, width};
use cli::json::member;
use daemontools_core::label::Label;
use logging::tai64::{LabelClock, LocalZone, TimeStyle};
use logging::text_buffer::TextBuffer;

use self::calendar::ZoneCalendar;
use crate::line::LineRef;

/// The form of a line and of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStyle {
    /// `2011-02-09 12:34:56.247337500` in local time, as by tai64nlocal.
    Local,
    /// The same in UTC.
    Utc,
    /// The stamp as it is.
    Raw,
    /// A JSON object. Its `time` is RFC 3339 in UTC.
    Json,
}

/// The properties of an output for text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextStyle {
    /// Whether each line begins with the name of its service.
    pub has_names: bool,
    /// Whether the names have colours.
    pub has_colours: bool,
    /// The charset of a terminal, which gets control characters only from
    /// [`LineStyle::Raw`]. None: no terminal, and all bytes stay.
    pub terminal: Option<Charset>,
    /// The width of a terminal in columns. Names have at most a third of it, and
    /// at least eight columns. None: no limit.
    pub columns: Option<usize>,
}

/// The colours of names, of the palette of 256. Each has a contrast of at least
/// 4.1 to both black and white (WCAG 2), and differs from its neighbours here.
const COLOURS: [&str; 10] = [
    "30", "130", "63", "28", "162", "98", "31", "64", "131", "164",
];

/// The width of a name that is never cut, in columns.
const MIN_NAME: usize = 8;

/// Turns lines into output.
#[derive(Debug)]
pub struct Renderer {
    style: LineStyle,
    text: TextStyle,
    clock: LabelClock<ZoneCalendar>,
    /// The starts of the lines of each service: its name, padded, and a space.
    names: HashMap<Vec<u8>, String>,
    /// The width of the longest name, in columns.
    name_width: usize,
    output: TextBuffer,
}

impl Renderer {
    /// A renderer with empty output. `zone` is the local time zone.
    pub fn new(style: LineStyle, text: TextStyle, zone: LocalZone) -> Self {
        let (is_utc, time_style) = match style {
            LineStyle::Local | LineStyle::Raw => (false, TimeStyle::Original),
            LineStyle::Utc => (true, TimeStyle::Original),
            LineStyle::Json => (true, TimeStyle::Rfc3339),
        };
        let whole_minutes = is_utc || zone.keeps_to_minutes();
        let calendar = ZoneCalendar::new(zone, is_utc);
        Renderer {
            style,
            text,
            clock: LabelClock::new(calendar, whole_minutes, time_style),
            names: HashMap::new(),
            name_width: 0,
            output: TextBuffer::default(),
        }
    }

    /// Reserves a column for the name of a service. Names that come later widen
    /// the column for the lines after them.
    pub fn add_service(&mut self, service: &[u8]) {
        if !self.text.has_names || self.names.contains_key(service) {
            return;
        }
        let charset = self.text.terminal.unwrap_or(Charset::Unicode);
        let mut shown = escape(service, charset);
        if let Some(columns) = self.text.columns {
            shorten(&mut shown, (columns / 3).max(MIN_NAME));
        }
        let columns = width(&shown);
        let colour = COLOURS.get(self.names.len() % COLOURS.len());
        let mut name = match colour {
            Some(colour) if self.text.has_colours => format!("\x1b[38;5;{colour}m{shown}\x1b[0m"),
            _ => shown,
        };
        if columns > self.name_width {
            for earlier in self.names.values_mut() {
                pad(earlier, columns - self.name_width);
            }
            self.name_width = columns;
        }
        pad(&mut name, self.name_width - columns + 1);
        self.names.insert(service.to_owned(), name);
    }

    /// Appends a line, or a piece of one. The pieces of a line follow each other.
    pub fn push(&mut self, service: &[u8], line: &LineRef<'_>) {
        match self.style {
            LineStyle::Json => self.push_object(service, line),
            LineStyle::Local | LineStyle::Utc | LineStyle::Raw => self.push_text(service, line),
        }
    }

    /// The output since the last [`Renderer::clear`].
    pub fn output(&self) -> &[u8] {
        self.output.text()
    }

    /// Empties the output. The time zone of later lines is read again, as it may
    /// have changed.
    pub fn clear(&mut self) {
        self.output.clear();
        self.clock.clear_cache().expire();
    }

    fn push_text(&mut self, service: &[u8], line: &LineRef<'_>) {
        if line.is_start {
            self.push_name(service);
        }
        match (self.style, line.stamp) {
            (LineStyle::Local | LineStyle::Utc, Some(stamp)) => {
                self.clock.push_time(stamp.time, &mut self.output);
                let rest = line.text.get(stamp.len..).unwrap_or_default();
                self.push_message(rest);
            }
            (LineStyle::Raw | LineStyle::Json, _) => self.output.push(line.text),
            (_, None) => self.push_message(line.text),
        }
        if line.is_end {
            self.output.push(b"\n");
        }
    }

    fn push_name(&mut self, service: &[u8]) {
        if !self.text.has_names {
            return;
        }
        if let Some(name) = self.names.get(service) {
            self.output.push(name.as_bytes());
        } else {
            self.add_service(service);
            let name = self.names.get(service);
            self.output.push(name.map_or(&[], |name| name.as_bytes()));
        }
    }

    /// Appends a message, on a terminal without the control characters that would
    /// change its state. Tabs stay.
    fn push_message(&mut self, message: &[u8]) {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
        let Some(charset) = self.text.terminal else {
            return self.output.push(message);
        };
        if message.iter().all(is_plain) {
            return self.output.push(message);
        }
        for (place, part) in message.split(|&byte| byte == b'\t').enumerate() {
            if place > 0 {
                self.output.push(b"\t");
            }
            self.output.push(escape(part, charset).as_bytes());
        }
    }

    fn push_object(&mut self, service: &[u8], line: &LineRef<'_>) {
        let output = &mut self.output;
        output.push(b"{");
        if let Some(stamp) = line.stamp.filter(|stamp| has_rfc_3339(stamp.time)) {
            output.push(b"\"time\":\"");
            self.clock.push_time(stamp.time, output);
            output.push(b"\",");
        }
        member("service", service, |part| output.push(part));
        output.push(b",");
        member("message", line.message(), |part| output.push(part));
        if !line.is_end {
            output.push(b",\"partial\":true");
        }
        output.push(b"}\n");
    }
}

fn pad(text: &mut String, columns: usize) {
    text.extend(std::iter::repeat_n(' ', columns));
}

/// Whether RFC 3339 can express a time: its years have four digits.
fn has_rfc_3339(time: Label) -> bool {
    // From 0000-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
    (-62_167_219_200..=253_402_300_799).contains(&time.unix()) && time.nanoseconds() < 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    const PLAIN: TextStyle = TextStyle {
        has_names: false,
        has_colours: false,
        terminal: None,
        columns: None,
    };

    fn renderer(style: LineStyle, text: TextStyle) -> Renderer {
        Renderer::new(style, text, LocalZone::new(Some(b"AAA-1"), None))
    }

    fn line(text: &[u8]) -> LineRef<'_> {
        LineRef {
            text,
            stamp: Stamp::parse(text),
            is_start: true,
            is_end: true,
        }
    }

    fn rendered(style: LineStyle, text: TextStyle, lines: &[(&str, &[u8])]) -> String {
        let mut renderer = renderer(style, text);
        for (service, text) in lines {
            renderer.push(service.as_bytes(), &line(text));
        }
        String::from_utf8_lossy(renderer.output()).into_owned()
    }

    const LINE: &[u8] = b"@400000004d52960a0ebe121c hello";

    #[test]
    fn times_have_the_style_of_the_output() {
        let shown = |style| rendered(style, PLAIN, &[("web", LINE), ("web", b"bare\xff")]);
        assert_eq!(
            shown(LineStyle::Local),
            "2011-02-09 14:26:24.247337500 hello\nbare\u{fffd}\n"
        );
        assert_eq!(
            shown(LineStyle::Utc),
            "2011-02-09 13:26:24.247337500 hello\nbare\u{fffd}\n"
        );
        assert_eq!(
            shown(LineStyle::Raw),
            "@400000004d52960a0ebe121c hello\nbare\u{fffd}\n"
        );
        assert_eq!(
            shown(LineStyle::Json),
            "{\"time\":\"2011-02-09T13:26:24.247337500+00:00\",\"service\":\"web\",\"message\":\"hello\"}\n\
             {\"service\":\"web\",\"message\":\"bare\u{fffd}\",\"message_hex\":\"62617265ff\"}\n"
        );
    }

    #[test]
    fn names_are_padded_to_the_longest() {
        let text = TextStyle {
            has_names: true,
            ..PLAIN
        };
        let lines: [(&str, &[u8]); 3] = [("a", b"1"), ("日本", b"2"), ("b", b"3")];
        assert_eq!(
            rendered(LineStyle::Raw, text, &lines),
            "a 1\n日本 2\nb    3\n"
        );
        let mut renderer = renderer(LineStyle::Raw, text);
        renderer.add_service(b"long\n");
        renderer.push(b"a", &line(b"1"));
        assert_eq!(renderer.output(), b"a        1\n");
    }

    #[test]
    fn narrow_terminal_shortens_names() {
        let shown = |columns, name: &str| {
            let text = TextStyle {
                has_names: true,
                columns: Some(columns),
                ..PLAIN
            };
            rendered(LineStyle::Raw, text, &[(name, b"1")])
        };
        assert_eq!(shown(30, "accounting-db"), "accountin~ 1\n");
        assert_eq!(shown(39, "accounting-db"), "accounting-db 1\n");
        assert_eq!(shown(1, "accounting-db"), "account~ 1\n");
    }

    #[test]
    fn each_service_has_its_colour() {
        let text = TextStyle {
            has_names: true,
            has_colours: true,
            terminal: Some(Charset::Unicode),
            columns: None,
        };
        let lines: [(&str, &[u8]); 3] = [("a", b"1"), ("b", b"2"), ("a", b"3")];
        assert_eq!(
            rendered(LineStyle::Raw, text, &lines),
            "\x1b[38;5;30ma\x1b[0m 1\n\x1b[38;5;130mb\x1b[0m 2\n\x1b[38;5;30ma\x1b[0m 3\n"
        );
    }

    #[test]
    fn terminal_gets_no_control_characters() {
        let text = TextStyle {
            terminal: Some(Charset::Unicode),
            ..PLAIN
        };
        let lines: [(&str, &[u8]); 1] = [("a", b"\x1b[2J\ta\xff\xc2\x9b\xc3\xa4")];
        assert_eq!(
            rendered(LineStyle::Local, text, &lines),
            "\\x1b[2J\ta\\xff\\xc2\\x9b\u{e4}\n"
        );
        assert!(rendered(LineStyle::Raw, text, &lines).starts_with("\x1b[2J\ta"));
        assert!(rendered(LineStyle::Local, PLAIN, &lines).starts_with("\x1b[2J\ta"));
    }

    #[test]
    fn pieces_of_a_line_have_one_name_and_end() {
        let text = TextStyle {
            has_names: true,
            ..PLAIN
        };
        let pieces = |style| {
            let mut renderer = renderer(style, text);
            let [mut first, mut second] = [LINE, b" world"].map(line);
            first.is_end = false;
            second.is_start = false;
            renderer.push(b"web", &first);
            renderer.push(b"web", &second);
            String::from_utf8(renderer.output().to_vec()).unwrap()
        };
        assert_eq!(
            pieces(LineStyle::Utc),
            "web 2011-02-09 13:26:24.247337500 hello world\n"
        );
        assert_eq!(
            pieces(LineStyle::Json),
            "{\"time\":\"2011-02-09T13:26:24.247337500+00:00\",\"service\":\"web\",\"message\":\"hello\",\"partial\":true}\n\
             {\"service\":\"web\",\"message\":\" world\"}\n"
        );
    }

    #[test]
    fn far_times_are_no_rfc_3339() {
        let edge = |seconds| Label::from_unix_nanoseconds(seconds, 0).unwrap();
        for (seconds, wanted) in [
            (-62_167_219_201, false),
            (-62_167_219_200, true),
            (253_402_300_799, true),
            (253_402_300_800, false),
        ] {
            assert_eq!(has_rfc_3339(edge(seconds)), wanted);
        }
    }

    /// The contrast of two colours with these channels, by WCAG 2.
    fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
        let luminance = |colour: [f64; 3]| {
            let linear = colour.map(|channel| {
                let part = channel / 255.0;
                if part <= 0.03928 {
                    part / 12.92
                } else {
                    ((part + 0.055) / 1.055).powf(2.4)
                }
            });
            let weights = [0.2126, 0.7152, 0.0722];
            linear
                .iter()
                .zip(weights)
                .map(|(part, weight)| part * weight)
                .sum::<f64>()
        };
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    }

    #[test]
    fn colours_are_legible_on_black_and_white() {
        let levels = [0.0, 95.0, 135.0, 175.0, 215.0, 255.0];
        for colour in COLOURS {
            let place = colour.parse::<usize>().unwrap() - 16;
            let rgb = [place / 36, place / 6 % 6, place % 6].map(|level| levels[level]);
            for background in [[0.0; 3], [255.0; 3]] {
                let contrast = contrast(rgb, background);
                assert!(contrast >= 4.0, "{colour}: {contrast}");
            }
        }
    }
}
