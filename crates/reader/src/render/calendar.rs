//! A time zone that is read again after a while.

use logging::tai64::{Calendar, Civil, LocalZone};

/// A time zone that is read before its first use after [`ZoneCalendar::expire`].
#[derive(Debug)]
pub(super) struct ZoneCalendar {
    zone: LocalZone,
    is_utc: bool,
    is_fresh: bool,
}

impl ZoneCalendar {
    pub(super) fn new(zone: LocalZone, is_utc: bool) -> Self {
        ZoneCalendar {
            zone,
            is_utc,
            is_fresh: false,
        }
    }

    /// Lets the next use read the zone again, if it may have changed.
    pub(super) fn expire(&mut self) {
        self.is_fresh = false;
    }
}

impl Calendar for ZoneCalendar {
    fn civil(&mut self, seconds: i64) -> Option<Civil> {
        if !self.is_fresh {
            self.zone.refresh();
            self.is_fresh = true;
        }
        if self.is_utc {
            self.zone.utc(seconds)
        } else {
            self.zone.civil(seconds)
        }
    }
}
