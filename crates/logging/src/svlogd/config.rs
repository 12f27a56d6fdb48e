//! The file `config` in a log directory.

use std::ffi::CString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use daemontools_core::number::scan_decimal;

use super::pattern::Pattern;
use crate::policy::{Policy, Terms};

/// How a log directory is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `s`, `n`, `N`, `t` and `!`: how its files are kept.
    pub terms: Terms,
    /// `uADDRESS` or `UADDRESS`: where selected lines are sent.
    pub peer: Option<SocketAddrV4>,
    /// `U…`: whether they are not written to the directory.
    pub sent_only: bool,
    /// `pPREFIX`: what comes before each line.
    pub prefix: Vec<u8>,
    /// The patterns, in order.
    pub rules: Vec<Rule>,
}

/// A line with a pattern. Of those that match, the last counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which lines.
    pub pattern: Pattern,
    /// What about them.
    pub verdict: Verdict,
}

/// What a pattern says of the lines that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `+` and `-`: whether they are written to the directory.
    Written(bool),
    /// `e` and `E`: whether they are written to standard error.
    Alerted(bool),
}

/// What cannot be understood; the rest counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// An address that is none.
    Address(Vec<u8>),
    /// A port that is none.
    Port(Vec<u8>),
}

/// Where lines go that are sent to no port: that of syslog.
const SYSLOG: u16 = 514;

impl Default for Config {
    fn default() -> Self {
        Config {
            terms: Policy::Svlogd.terms(),
            peer: None,
            sent_only: false,
            prefix: Vec::new(),
            rules: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the text of the file, and tells of mistakes. Lines that mean
    /// nothing are ignored. A NUL ends what a line says.
    pub fn parse(text: &[u8], mut mistaken: impl FnMut(Mistake)) -> Self {
        let mut config = Config::default();
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let said = line.split_inclusive(|&byte| byte == 0).next();
            let line = said.unwrap_or_default();
            // One letter at the end of the file is no line.
            let [letter, rest @ .., last] = line else {
                continue;
            };
            let ended = matches!(last, b'\n' | 0);
            let rest = if ended {
                rest
            } else {
                line.get(1..).unwrap_or_default()
            };
            let terms = &mut config.terms;
            match letter {
                b'p' | b'!' if rest.is_empty() => {}
                b's' => terms.size = count(scaled(rest, &[(b'k', 1 << 10), (b'm', 1 << 20)])),
                b'n' => terms.files = count(scan_decimal(rest).0),
                b'N' => terms.floor = count(scan_decimal(rest).0),
                b't' => {
                    let age = scaled(rest, &[(b'm', 60), (b'h', 3600)]);
                    terms.age = Some(Duration::from_secs(age)).filter(|age| !age.is_zero());
                }
                b'!' => terms.processor = CString::new(rest).ok(),
                b'p' => config.prefix = rest.to_vec(),
                b'u' | b'U' => {
                    // A later line does not take it back.
                    config.sent_only |= *letter == b'U';
                    match peer(rest) {
                        Ok(peer) => config.peer = peer,
                        Err(mistake) => mistaken(mistake),
                    }
                }
                b'+' | b'-' => config.rule(rest, Verdict::Written(*letter == b'+')),
                b'e' | b'E' => config.rule(rest, Verdict::Alerted(*letter == b'e')),
                _ => {}
            }
        }
        config
    }

    fn rule(&mut self, pattern: &[u8], verdict: Verdict) {
        let pattern = Pattern::new(pattern);
        self.rules.push(Rule { pattern, verdict });
    }

    /// Whether a line is written to the directory, and to standard error.
    #[must_use]
    pub fn judge(&self, head: &[u8]) -> (bool, bool) {
        let (mut written, mut alerted) = (true, false);
        for Rule { pattern, verdict } in &self.rules {
            match verdict {
                Verdict::Written(so) if *so != written && pattern.matches(head) => written = *so,
                Verdict::Alerted(so) if *so != alerted && pattern.matches(head) => alerted = *so,
                Verdict::Written(_) | Verdict::Alerted(_) => {}
            }
        }
        (written, alerted)
    }
}

/// A number, and what the letter after it multiplies it with.
fn scaled(text: &[u8], units: &[(u8, u64)]) -> u64 {
    let (number, rest) = scan_decimal(text);
    let unit = units
        .iter()
        .find(|(letter, _)| rest.first() == Some(letter));
    number.wrapping_mul(unit.map_or(1, |(_, unit)| *unit))
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// `A.B.C.D` or `A.B.C.D:PORT`. Numbers wrap, and what follows them does not
/// matter. None if the port wraps to 0: to send is not even tried.
fn peer(text: &[u8]) -> Result<Option<SocketAddrV4>, Mistake> {
    let mut parts = text.splitn(2, |&byte| byte == b':');
    let address = parts.next().unwrap_or_default();
    let octets = octets(address).ok_or_else(|| Mistake::Address(address.to_vec()))?;
    let port = match parts.next() {
        None => SYSLOG,
        Some(port) => match scan_decimal(port).0 {
            0 => return Err(Mistake::Port(port.to_vec())),
            number => {
                let [low, high, ..] = number.to_le_bytes();
                u16::from_le_bytes([low, high])
            }
        },
    };
    let address = Ipv4Addr::from(octets);
    Ok((port != 0).then(|| SocketAddrV4::new(address, port)))
}

fn octets(mut text: &[u8]) -> Option<[u8; 4]> {
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

    fn config(text: &str) -> Config {
        Config::parse(text.as_bytes(), |mistake| panic!("{mistake:?}"))
    }

    #[test]
    fn numbers_may_have_units() {
        assert_eq!(config("s3k\n").terms.size, 3072);
        assert_eq!(config("s2m").terms.size, 2 << 20);
        assert_eq!(config("s7x").terms.size, 7);
        assert_eq!(config("sx").terms.size, 0);
        assert_eq!(config("s5\ns\n").terms.size, 0);
        assert_eq!(config("s5\ns").terms.size, 5);
        assert_eq!(config("t2m\n").terms.age, Some(Duration::from_secs(120)));
        assert_eq!(config("t1h\n").terms.age, Some(Duration::from_secs(3600)));
        assert_eq!(config("n3").terms.files, 3);
        assert_eq!(config("N2").terms.floor, 2);
        assert_eq!(config("\n#s5\n s5\nx\n"), Config::default());
    }

    #[test]
    fn the_last_pattern_that_matches_counts() {
        let config = config("-*\n+a*\n-ab*\nea*\nEac*\n");
        assert_eq!(config.judge(b"ad"), (true, true));
        assert_eq!(config.judge(b"ab"), (false, true));
        assert_eq!(config.judge(b"ac"), (true, false));
        assert_eq!(config.judge(b"b"), (false, false));
    }

    #[test]
    fn an_address_may_have_a_port() {
        let peer = |text: &str| config(text).peer.map(|peer| peer.to_string());
        assert_eq!(peer("u10.0.0.1").as_deref(), Some("10.0.0.1:514"));
        assert_eq!(peer("U1.2.3.4x:99999").as_deref(), Some("1.2.3.4:34463"));
        assert_eq!(peer("u300.1.1.1.7:5x").as_deref(), Some("44.1.1.1:5"));
        assert_eq!(peer("u1.2.3.4:65536"), None);
        assert!(config("U1.2.3.4\nu1.2.3.4\n").sent_only);
        for (text, mistake) in [
            ("u1.2.3", Mistake::Address(b"1.2.3".to_vec())),
            ("u\n", Mistake::Address(Vec::new())),
            ("U1.2.3.4:0", Mistake::Port(b"0".to_vec())),
            ("U1.2.3.4:", Mistake::Port(Vec::new())),
        ] {
            let mut seen = Vec::new();
            let config = Config::parse(text.as_bytes(), |mistake| seen.push(mistake));
            assert_eq!((config.peer, seen), (None, vec![mistake]));
            assert_eq!(config.sent_only, text.starts_with('U'));
        }
    }
}
