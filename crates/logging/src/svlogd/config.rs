//! The file `config` in a log directory of svlogd.

use std::ffi::CString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use daemontools_core::number::scan_decimal;

use super::pattern::PlusPattern;
use crate::policy::{LogDirConfig, LogPolicy};

/// The settings of a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// `s`, `n`, `N`, `t` and `!`: rotation, old files and processor.
    pub log_dir: LogDirConfig,
    /// `uADDRESS` or `UADDRESS`: the receiver of selected lines.
    pub peer: Option<SocketAddrV4>,
    /// `U…`: whether selected lines are sent but not written.
    pub sent_only: bool,
    /// `pPREFIX`: the text before each line.
    pub prefix: Vec<u8>,
    /// The patterns, in order.
    pub rules: Vec<PatternRule>,
}

/// A line with a pattern. The last matching rule counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternRule {
    /// The pattern.
    pub pattern: PlusPattern,
    /// The effect on lines that match.
    pub effect: RuleEffect,
}

/// The effect of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleEffect {
    /// `+` and `-`: whether lines are written to the directory.
    Write(bool),
    /// `e` and `E`: whether lines are written to standard error.
    Alert(bool),
}

/// An invalid line; the other lines count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogConfigWarning {
    /// An invalid address.
    Address(Vec<u8>),
    /// An invalid port.
    Port(Vec<u8>),
}

/// The default port: syslog.
const SYSLOG: u16 = 514;

impl Default for ConfigFile {
    fn default() -> Self {
        ConfigFile {
            log_dir: LogPolicy::Svlogd.default_config(),
            peer: None,
            sent_only: false,
            prefix: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl ConfigFile {
    /// Parses the text of the file and passes invalid lines to `warn`.
    /// Unknown lines are ignored. A NUL ends the content of a line.
    pub fn parse(text: &[u8], mut warn: impl FnMut(LogConfigWarning)) -> Self {
        let mut config = ConfigFile::default();
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let content = line.split_inclusive(|&byte| byte == 0).next();
            let line = content.unwrap_or_default();
            // A single letter at the end of the file does not count as a line.
            let [letter, rest @ .., last] = line else {
                continue;
            };
            let has_end = matches!(last, b'\n' | 0);
            let rest = if has_end {
                rest
            } else {
                line.get(1..).unwrap_or_default()
            };
            let log_dir = &mut config.log_dir;
            match letter {
                b'p' | b'!' if rest.is_empty() => {}
                b's' => {
                    log_dir.size = scan_scaled(rest, &[(b'k', 1 << 10), (b'm', 1 << 20)]);
                }
                b'n' => log_dir.files = to_usize(scan_decimal(rest).0),
                b'N' => log_dir.min_files = to_usize(scan_decimal(rest).0),
                b't' => {
                    let age = scan_scaled(rest, &[(b'm', 60), (b'h', 3600)]);
                    log_dir.age = Some(Duration::from_secs(age)).filter(|age| !age.is_zero());
                }
                b'!' => log_dir.processor = CString::new(rest).ok(),
                b'p' => config.prefix = rest.to_vec(),
                b'u' | b'U' => {
                    // A later `u` does not reset this.
                    config.sent_only |= *letter == b'U';
                    match parse_peer(rest) {
                        Ok(peer) => config.peer = peer,
                        Err(warning) => warn(warning),
                    }
                }
                b'+' | b'-' => config.add_rule(rest, RuleEffect::Write(*letter == b'+')),
                b'e' | b'E' => config.add_rule(rest, RuleEffect::Alert(*letter == b'e')),
                _ => {}
            }
        }
        config
    }

    fn add_rule(&mut self, pattern: &[u8], effect: RuleEffect) {
        let pattern = PlusPattern::new(pattern);
        self.rules.push(PatternRule { pattern, effect });
    }

    /// Whether a line is written to the directory, and to standard error, by
    /// the rules for its head.
    #[must_use]
    pub fn evaluate(&self, head: &[u8]) -> (bool, bool) {
        let (mut written, mut alerted) = (true, false);
        for PatternRule { pattern, effect } in &self.rules {
            match effect {
                RuleEffect::Write(on) if *on != written && pattern.matches(head) => written = *on,
                RuleEffect::Alert(on) if *on != alerted && pattern.matches(head) => alerted = *on,
                RuleEffect::Write(_) | RuleEffect::Alert(_) => {}
            }
        }
        (written, alerted)
    }
}

/// A number multiplied by the unit that follows, if one does.
fn scan_scaled(text: &[u8], units: &[(u8, u64)]) -> u64 {
    let (number, rest) = scan_decimal(text);
    let unit = units
        .iter()
        .find(|(letter, _)| rest.first() == Some(letter));
    number.wrapping_mul(unit.map_or(1, |(_, unit)| *unit))
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// `A.B.C.D` or `A.B.C.D:PORT`. As in runit, numbers wrap and trailing text
/// is ignored. None if the port wraps to 0, which disables sending.
fn parse_peer(text: &[u8]) -> Result<Option<SocketAddrV4>, LogConfigWarning> {
    let mut parts = text.splitn(2, |&byte| byte == b':');
    let address = parts.next().unwrap_or_default();
    let octets =
        parse_octets(address).ok_or_else(|| LogConfigWarning::Address(address.to_vec()))?;
    let port = match parts.next() {
        None => SYSLOG,
        Some(port) => match scan_decimal(port).0 {
            0 => return Err(LogConfigWarning::Port(port.to_vec())),
            number => {
                let [low, high, ..] = number.to_le_bytes();
                u16::from_le_bytes([low, high])
            }
        },
    };
    let address = Ipv4Addr::from(octets);
    Ok((port != 0).then(|| SocketAddrV4::new(address, port)))
}

fn parse_octets(mut text: &[u8]) -> Option<[u8; 4]> {
    let mut octets = [0; 4];
    for (n, octet) in octets.iter_mut().enumerate() {
        if n > 0 {
            text = text.strip_prefix(b".")?;
        }
        let (number, rest) = scan_decimal(text);
        if rest.len() == text.len() {
            return None;
        }
        let [low, ..] = number.to_le_bytes();
        (*octet, text) = (low, rest);
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> ConfigFile {
        ConfigFile::parse(text.as_bytes(), |warning| panic!("{warning:?}"))
    }

    #[test]
    fn numbers_accept_units() {
        assert_eq!(config("s3k\n").log_dir.size, 3072);
        assert_eq!(config("s2m").log_dir.size, 2 << 20);
        assert_eq!(config("s7x").log_dir.size, 7);
        assert_eq!(config("sx").log_dir.size, 0);
        assert_eq!(config("s5\ns\n").log_dir.size, 0);
        assert_eq!(config("s5\ns").log_dir.size, 5);
        assert_eq!(config("t2m\n").log_dir.age, Some(Duration::from_secs(120)));
        assert_eq!(config("t1h\n").log_dir.age, Some(Duration::from_secs(3600)));
        assert_eq!(config("n3").log_dir.files, 3);
        assert_eq!(config("N2").log_dir.min_files, 2);
        assert_eq!(config("\n#s5\n s5\nx\n"), ConfigFile::default());
    }

    #[test]
    fn empty_processor_or_prefix_changes_nothing() {
        let config = config("!gzip -9\n!\npweb: \np\n!");
        assert_eq!(config.log_dir.processor.as_deref(), Some(c"gzip -9"));
        assert_eq!(config.prefix, b"web: ");
    }

    #[test]
    fn last_line_may_lack_its_newline() {
        assert_eq!(config("pweb").prefix, b"web");
        assert_eq!(config("pweb\0more\nn3\n").prefix, b"web");
        assert_eq!(config("pweb\0more\nn3\n").log_dir.files, 3);
        assert_eq!(config("t0\n").log_dir.age, None);
        assert_eq!(config("t7\n").log_dir.age, Some(Duration::from_secs(7)));
    }

    #[test]
    fn last_matching_pattern_counts() {
        let config = config("-*\n+a*\n-ab*\nea*\nEac*\n");
        assert_eq!(config.evaluate(b"ad"), (true, true));
        assert_eq!(config.evaluate(b"ab"), (false, true));
        assert_eq!(config.evaluate(b"ac"), (true, false));
        assert_eq!(config.evaluate(b"b"), (false, false));
    }

    #[test]
    fn address_accepts_a_port() {
        let peer = |text: &str| config(text).peer.map(|peer| peer.to_string());
        assert_eq!(peer("u10.0.0.1").as_deref(), Some("10.0.0.1:514"));
        assert_eq!(peer("U1.2.3.4x:99999").as_deref(), Some("1.2.3.4:34463"));
        assert_eq!(peer("u300.1.1.1.7:5x").as_deref(), Some("44.1.1.1:5"));
        assert_eq!(peer("u1.2.3.4:65536"), None);
        assert!(config("U1.2.3.4\nu1.2.3.4\n").sent_only);
        for (text, warning) in [
            ("u1.2.3", LogConfigWarning::Address(b"1.2.3".to_vec())),
            ("u\n", LogConfigWarning::Address(Vec::new())),
            ("U1.2.3.4:0", LogConfigWarning::Port(b"0".to_vec())),
            ("U1.2.3.4:", LogConfigWarning::Port(Vec::new())),
        ] {
            let mut seen = Vec::new();
            let config = ConfigFile::parse(text.as_bytes(), |warning| seen.push(warning));
            assert_eq!((config.peer, seen), (None, vec![warning]));
            assert_eq!(config.sent_only, text.starts_with('U'));
        }
    }
}
