//! Numbers as people read them.

use std::time::Duration;

/// `part / whole` with so many decimal places, rounded down: nothing looks better than it is.
pub(crate) fn ratio(part: u128, whole: u128, places: usize) -> String {
    let scale = (0..places).fold(1, |scale, _| scale * 10);
    match (part * scale).checked_div(whole) {
        Some(scaled) => format!("{}.{:0places$}", scaled / scale, scaled % scale),
        None => "-".to_owned(),
    }
}

pub(crate) fn per_second(count: u64, time: Duration) -> String {
    ratio(u128::from(count) * 1_000_000_000, time.as_nanos(), 1)
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{} ms", ratio(time.as_nanos(), 1_000_000, 2))
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_rounded_up() {
        assert_eq!(ratio(1_999, 1_000, 2), "1.99");
        assert_eq!(ratio(1, 0, 2), "-");
        assert_eq!(per_second(3, Duration::from_secs(2)), "1.5");
        assert_eq!(millis(Duration::from_micros(1_239)), "1.23 ms");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(999), "999");
    }
}
