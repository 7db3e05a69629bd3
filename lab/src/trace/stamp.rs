//! Times as they are written: numbers in some unit, exactly, or RFC 3339.

use super::Reason;

/// What a time is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Unit {
    /// Of the first line: RFC 3339 if it is no number; otherwise by its size. Below 10¹¹ it is in seconds,
    /// below 10¹⁴ in milliseconds, below 10¹⁷ in microseconds, and from there on in nanoseconds: so are
    /// times since 1970.
    Auto,
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
    /// `2026-01-31T23:59:59.999Z`, with any offset.
    Rfc3339,
}

impl Unit {
    /// As a reader says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "any unit",
            Self::S => "seconds",
            Self::Ms => "milliseconds",
            Self::Us => "microseconds",
            Self::Ns => "nanoseconds",
            Self::Rfc3339 => "RFC 3339",
        }
    }

    /// One of it is 10 to so many nanoseconds.
    const fn power(self) -> i32 {
        match self {
            Self::Auto | Self::S | Self::Rfc3339 => 9,
            Self::Ms => 6,
            Self::Us => 3,
            Self::Ns => 0,
        }
    }
}

/// Reads times, and remembers the unit of the first.
#[derive(Debug, Clone)]
pub(super) struct Stamps {
    unit: Unit,
    /// Whether the unit was not given, so that another one is a mistake.
    guesses: bool,
}

impl Stamps {
    pub(super) fn new(unit: Unit) -> Self {
        Self { unit, guesses: unit == Unit::Auto }
    }

    /// The unit, once it is known.
    pub(super) const fn unit(&self) -> Unit {
        self.unit
    }

    /// Nanoseconds since whatever the trace counts from.
    pub(super) fn nanos(&mut self, text: &str) -> Result<i128, Reason> {
        let none = || Reason::NotATime(text.to_owned());
        let (found, nanos) = match decimal(text, self.unit.power()) {
            Some(nanos) if self.guesses => {
                let unit = by_size(text).ok_or_else(none)?;
                (unit, if unit == self.unit { Some(nanos) } else { decimal(text, unit.power()) })
            }
            // RFC 3339 was asked for, and this is a number.
            Some(_) if self.unit == Unit::Rfc3339 => (Unit::Rfc3339, None),
            Some(nanos) => (self.unit, Some(nanos)),
            None if self.guesses || self.unit == Unit::Rfc3339 => (Unit::Rfc3339, rfc3339(text)),
            None => (self.unit, None),
        };
        let nanos = nanos.ok_or_else(none)?;
        if self.unit == Unit::Auto {
            self.unit = found;
        }
        if found != self.unit {
            let (found, unit) = (found.name(), self.unit.name());
            return Err(Reason::OtherUnit { text: text.to_owned(), found, unit });
        }
        Ok(nanos)
    }
}

fn rfc3339(text: &str) -> Option<i128> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_nanosecond)
}

/// The unit in which a number is a time since 1970, more or less.
fn by_size(text: &str) -> Option<Unit> {
    let size = decimal(text, 0)?.unsigned_abs();
    let powers = [(11, Unit::S), (14, Unit::Ms), (17, Unit::Us)];
    let unit = powers.into_iter().find(|(power, _)| size < 10u128.pow(*power));
    Some(unit.map_or(Unit::Ns, |(_, unit)| unit))
}

/// A decimal number times 10 to the power of `power`, rounded down: exactly, as 1,700,000,000.123456789
/// seconds are more digits than an `f64` has. `None` if it is no number, or too large for any time.
fn decimal(text: &str, power: i32) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, mantissa.strip_prefix('+').unwrap_or(mantissa)),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && part.is_empty() {
        return None;
    }
    let mut value: i128 = 0;
    for digit in whole.chars().chain(part.chars()) {
        let digit = digit.to_digit(10)?;
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    if negative {
        value = -value;
    }
    let shift = exponent.checked_add(power)?.checked_sub(i32::try_from(part.len()).ok()?)?;
    let factor = 10i128.checked_pow(shift.unsigned_abs());
    let value = match (shift >= 0, factor) {
        (true, Some(factor)) => value.checked_mul(factor)?,
        (false, Some(factor)) => value.div_euclid(factor),
        (true, None) if value != 0 => return None,
        (_, None) => value.signum().min(0),
    };
    // No sum of two of them overflows.
    (value.unsigned_abs() < 1 << 120).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_read_to_the_last_nanosecond() {
        assert_eq!(decimal("1700000000.123456789", 9), Some(1_700_000_000_123_456_789));
        assert_eq!(decimal("1.7e9", 9), Some(1_700_000_000_000_000_000));
        assert_eq!(decimal("5e-10", 9), Some(0), "half a nanosecond is rounded down");
        assert_eq!(decimal("-0.0000000015", 9), Some(-2), "and down is down below zero, too");
        assert_eq!(decimal("+.5", 3), Some(500));
        assert_eq!(decimal("1e-400", 0), Some(0));
    }

    #[test]
    fn what_is_no_number_or_no_time_is_refused() {
        for text in
            ["", ".", "-", "NaN", "inf", "-Infinity", "1e400", "1_000", "0x10", "١", "1e", "1e1.5"]
        {
            assert_eq!(decimal(text, 9), None, "{text:?}");
        }
        let digits = "9".repeat(60);
        assert_eq!(decimal(&digits, 9), None);
    }

    #[test]
    fn the_unit_of_the_first_line_is_that_of_all() {
        let mut stamps = Stamps::new(Unit::Auto);
        assert_eq!(stamps.nanos("1700000000123"), Ok(1_700_000_000_123_000_000));
        assert_eq!(stamps.unit(), Unit::Ms);
        let other = stamps.nanos("1700000000");
        assert!(matches!(
            other,
            Err(Reason::OtherUnit { found: "seconds", unit: "milliseconds", .. })
        ));
        let other = stamps.nanos("2026-01-31T00:00:00Z");
        assert!(matches!(other, Err(Reason::OtherUnit { found: "RFC 3339", .. })));
        assert_eq!(stamps.nanos("1700000000123.5"), Ok(1_700_000_000_123_500_000));
    }

    #[test]
    fn an_offset_is_the_same_instant() {
        let mut stamps = Stamps::new(Unit::Auto);
        let there = stamps.nanos("2026-01-31T02:00:00.000000001+02:00");
        assert_eq!(there, stamps.nanos("2026-01-31T00:00:00.000000001Z"));
        assert!(stamps.nanos("2026-02-30T00:00:00Z").is_err(), "there is no such day");
    }

    #[test]
    fn a_unit_that_is_given_holds_for_small_numbers() {
        let mut stamps = Stamps::new(Unit::Ns);
        assert_eq!(stamps.nanos("5"), Ok(5));
        assert_eq!(stamps.nanos("1700000000"), Ok(1_700_000_000));
        assert!(Stamps::new(Unit::Rfc3339).nanos("5").is_err());
    }
}
