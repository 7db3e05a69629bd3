//! Numbers as people write them on a command line, and as they read them in a table.

use std::time::Duration;

use steadfast_token_bucket::Rate;

/// `100/s`, `90/m`, `5/h`, `1/d`, `33/100s`, `0.5/s`: exactly.
///
/// # Errors
///
/// In words.
pub fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("{text:?} is no rate: 100/s, 90/m, 5/h, 1/d or 33/100s, for example");
    let (tokens, period) = text.split_once('/').ok_or_else(wrong)?;
    let period = match period.trim() {
        "s" | "sec" | "second" => Duration::from_secs(1),
        "m" | "min" | "minute" => Duration::from_secs(60),
        "h" | "hour" => Duration::from_secs(3_600),
        "d" | "day" => Duration::from_secs(86_400),
        other => humantime::parse_duration(other).map_err(|_| wrong())?,
    };
    if period.is_zero() {
        return Err(format!(
            "{text:?} is a rate over no time at all: give a longer one, as 5/s has"
        ));
    }
    // Not even where they are counted: what is behind the point.
    let tokens = tokens.replace('_', "");
    let (whole, part) = tokens.trim().split_once('.').unwrap_or((tokens.trim(), ""));
    let tokens = format!("{whole}{part}").parse().map_err(|_| wrong())?;
    // A tenth of a token in a second is a token in ten.
    let tenths = u32::try_from(part.len()).ok().and_then(|digits| 10u32.checked_pow(digits));
    let period = tenths.and_then(|tenths| period.checked_mul(tenths)).ok_or_else(wrong)?;
    Ok(Rate::new(tokens, period))
}

/// How many a second.
pub fn per_second(rate: Rate) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "of made-up traffic, or to be drawn")]
    let tokens = rate.tokens() as f64;
    tokens / rate.period().as_secs_f64()
}

/// `0.05` or `5%`, from 0 to 1.
///
/// # Errors
///
/// In words.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, unit) = text.strip_suffix('%').map_or((text, 1.0), |number| (number, 100.0));
    match number.trim().parse::<f64>() {
        Ok(number) if (0.0..=unit).contains(&number) => Ok(number / unit),
        _ => Err(format!("{text:?} is no share: 0.05 or 5%, for example, from 0 to 1")),
    }
}

/// A share in percent, as it was given: `0.07` is `7 %`.
pub fn share_of(share: f64) -> String {
    // A hundred times it may be off in the last digits.
    let percent = format!("{:.11e}", share * 100.0);
    format!("{} %", percent.parse().unwrap_or(share * 100.0))
}

/// `2s`, or any other duration but that of nothing.
///
/// # Errors
///
/// In words.
pub fn period(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(period) if period.is_zero() => {
            Err("nothing comes back after no time at all: give a longer one, as 2s is".to_owned())
        }
        Ok(period) => Ok(period),
        Err(error) => Err(error.to_string()),
    }
}

/// So many times a duration; the longest, if there is none so long.
pub fn times(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// `10s..20s`.
///
/// # Errors
///
/// In words.
pub fn span(text: &str) -> Result<(Duration, Duration), String> {
    let ends = text.split_once("..").and_then(|(from, to)| {
        Some((humantime::parse_duration(from).ok()?, humantime::parse_duration(to).ok()?))
    });
    ends.filter(|(from, to)| from < to)
        .ok_or_else(|| format!("{text:?} is no span of time: 10s..20s, for example"))
}

/// A rate in words: `100 messages a second`.
pub fn rate_of(rate: Rate, what: &str) -> String {
    let period = match rate.period().as_nanos() {
        1_000_000_000 => "a second".to_owned(),
        60_000_000_000 => "a minute".to_owned(),
        3_600_000_000_000 => "an hour".to_owned(),
        86_400_000_000_000 => "a day".to_owned(),
        _ => format!("in {}", duration(rate.period())),
    };
    let what = if what.is_empty() { String::new() } else { format!(" {what}") };
    format!("{}{what} {period}", count(rate.tokens()))
}

/// A count with its thousands set apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole, as a count and in percent.
pub fn part(number: u64, of: u64) -> String {
    if of == 0 {
        return count(number);
    }
    format!("{}  ({})", count(number), percent(number, of))
}

/// A part of a whole in percent; only nothing is 0 %, and only everything 100 %.
pub fn percent(number: u64, of: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "to be read")]
    let percent = number as f64 * 100.0 / of.max(1) as f64;
    match percent {
        p if number > 0 && p < 0.01 => "under 0.01 %".to_owned(),
        p if number < of && p > 99.99 => "over 99.99 %".to_owned(),
        p if !(1.0..=99.0).contains(&p) => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}

/// A duration in one unit, to three digits.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let units = [
        (86_400.0 * 2.0, 86_400.0, "d"),
        (3_600.0 * 2.0, 3_600.0, "h"),
        (120.0, 60.0, "min"),
        (1.0, 1.0, "s"),
        (1e-3, 1e-3, "ms"),
        (1e-6, 1e-6, "µs"),
    ];
    let unit = units.into_iter().find(|(from, ..)| seconds >= *from);
    let Some((_, unit, name)) = unit else { return format!("{} ns", duration.as_nanos()) };
    let value = seconds / unit;
    let digits = if value >= 100.0 { 0 } else { 1 + usize::from(value < 10.0) };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {name}")
}

/// Bytes as people say them.
pub fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "to be read")]
    let number = bytes as f64;
    match number {
        n if n >= 1e9 => format!("{:.1} GB", n / 1e9),
        n if n >= 1e6 => format!("{:.1} MB", n / 1e6),
        n if n >= 1e3 => format!("{:.1} kB", n / 1e3),
        _ => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_exactly() {
        assert_eq!(rate("100/s"), Ok(Rate::per_second(100)));
        assert_eq!(rate("0.5/s"), Ok(Rate::new(5, Duration::from_secs(10))));
        assert_eq!(rate("33/100s"), Ok(Rate::new(33, Duration::from_secs(100))));
        assert_eq!(rate("1_000/m"), Ok(Rate::per_minute(1_000)));
        assert_eq!(rate("1.5_0/s"), Ok(Rate::new(150, Duration::from_secs(100))));
        for text in ["", "100", "/s", "-1/s", "1/", "1/fortnight", "NaN/s", "1e3/s", "1/s/s"] {
            assert!(rate(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_share_is_a_fraction_or_a_percentage_from_none_to_all() {
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("1"), Ok(1.0));
        for text in ["-0.1", "1.1", "101%", "NaN", "inf", "%", ""] {
            assert!(share(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_share_is_told_as_it_was_given() {
        for text in ["7", "0", "100", "0.1", "29", "12.5", "0.0000000000001"] {
            let given = share(&format!("{text}%")).expect("it is a share");
            assert_eq!(share_of(given), format!("{text} %"));
        }
    }

    #[test]
    fn a_time_that_is_too_long_is_the_longest() {
        assert_eq!(times(Duration::MAX, 1.5), Duration::MAX);
        assert_eq!(times(Duration::from_secs(3), 0.5), Duration::from_millis(1_500));
    }

    #[test]
    fn only_nothing_is_nought_percent_and_only_all_a_hundred() {
        assert_eq!(percent(0, 7), "0.00 %");
        assert_eq!(percent(1, 1_000_000), "under 0.01 %");
        assert_eq!(percent(999_999, 1_000_000), "over 99.99 %");
        assert_eq!(percent(7, 7), "100.00 %");
        assert_eq!(part(250, 1_000), "250  (25.0 %)");
    }

    #[test]
    fn durations_and_counts_are_short() {
        assert_eq!(duration(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(duration(Duration::from_secs(90)), "90 s");
        assert_eq!(duration(Duration::from_nanos(7)), "7 ns");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(123), "123");
    }
}
