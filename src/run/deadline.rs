//! When the night must be over: at a time that the clocks show, or so long from now.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::base::Clock;

/// The end of the night.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// By the wall clock, also where that is set anew meanwhile.
    Wall(Timestamp),
    /// By the steady clock, `Clock::elapsed`.
    Steady(Duration),
}

impl Deadline {
    /// The next moment at which the clocks here show `time`.
    pub fn until(time: Time, clock: &dyn Clock) -> Deadline {
        Deadline::Wall(next(time, clock.now(), &TimeZone::system()))
    }

    pub fn after(length: Duration, clock: &dyn Clock) -> Deadline {
        Deadline::Steady(clock.elapsed().saturating_add(length))
    }

    /// Zero once it has come.
    pub fn left(&self, clock: &dyn Clock) -> Duration {
        match self {
            Deadline::Wall(at) => {
                Duration::try_from(at.duration_since(clock.now())).unwrap_or(Duration::ZERO)
            }
            Deadline::Steady(at) => at.saturating_sub(clock.elapsed()),
        }
    }
}

/// The first moment after `now` at which the clocks of `zone` show `time` or jump over it. In the night in
/// which an hour comes twice, a time within it comes twice too: the next one is meant.
fn next(time: Time, now: Timestamp, zone: &TimeZone) -> Timestamp {
    let today = Zoned::new(now, zone.clone()).date();
    let days =
        [Some(today), today.tomorrow().ok(), today.tomorrow().and_then(|day| day.tomorrow()).ok()];
    let moments = days.into_iter().flatten().flat_map(|day| {
        let shown = zone.to_ambiguous_timestamp(day.to_datetime(time));
        let both = [shown.earlier(), shown.later()];
        match (shown.offset(), both) {
            // The clocks jump over it: the moment of the jump lies between the two readings.
            (jiff::tz::AmbiguousOffset::Gap { .. }, [Ok(before), _]) => {
                let jump = zone.following(before).next().map(|jump| jump.timestamp());
                [jump, None]
            }
            (_, both) => both.map(Result::ok),
        }
    });
    // A time zone without a tomorrow is none; the end of time then is no deadline.
    moments.flatten().filter(|moment| *moment > now).min().unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;

    use super::*;

    /// The rule of central Europe since 1996 (directive 2000/84/EC), without the system's tables.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_night_has_its_real_length_when_the_clocks_change() {
        let six = time(6, 0, 0, 0);
        let hours = |evening: &str| {
            let evening = at(evening);
            next(six, evening, &berlin()).duration_since(evening).as_secs() as f64 / 3600.0
        };
        assert_eq!(hours("2026-02-10T22:00:00+01:00"), 8.0);
        assert_eq!(hours("2026-03-28T22:00:00+01:00"), 7.0, "spring: 02:00 is 03:00");
        assert_eq!(hours("2026-10-24T22:00:00+02:00"), 9.0, "autumn: 03:00 is 02:00");
        assert_eq!(hours("2026-02-10T06:00:00+01:00"), 24.0, "now is not later");
    }

    #[test]
    fn a_time_that_is_jumped_over_ends_the_night_at_the_jump() {
        let half_past_two = time(2, 30, 0, 0);
        let jump = next(half_past_two, at("2026-03-28T22:00:00+01:00"), &berlin());
        assert_eq!(jump, at("2026-03-29T03:00:00+02:00"));
        let after = next(half_past_two, at("2026-03-29T03:00:00+02:00"), &berlin());
        assert_eq!(after, at("2026-03-30T02:30:00+02:00"));
    }

    #[test]
    fn a_time_that_comes_twice_is_the_next_one() {
        let half_past_two = time(2, 30, 0, 0);
        let first = next(half_past_two, at("2026-10-24T22:00:00+02:00"), &berlin());
        assert_eq!(first, at("2026-10-25T02:30:00+02:00"));
        assert_eq!(next(half_past_two, first, &berlin()), at("2026-10-25T02:30:00+01:00"));
    }

    #[test]
    fn what_is_left_runs_out_and_stays_out() {
        let clock = crate::base::FixedClock(at("2026-02-10T05:59:00Z"));
        let left = |at| Deadline::Wall(at).left(&clock);
        assert_eq!(left(at("2026-02-10T06:00:00Z")), Duration::from_secs(60));
        assert_eq!(left(at("2026-02-10T05:00:00Z")), Duration::ZERO);
        assert_eq!(Deadline::after(Duration::from_secs(5), &clock).left(&clock).as_secs(), 5);
    }
}
