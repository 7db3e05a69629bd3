//! From values to pixels, and where the ticks are.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::axis::Kind;

/// An axis that knows its ends.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
    /// Digits behind the point of a tick's label.
    digits: usize,
    /// Seconds in the unit of the labels, and its name.
    unit: (f64, &'static str),
}

/// About how many ticks an axis has.
const TICKS: f64 = 7.0;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;

impl Scale {
    pub(super) fn new(kind: Kind, low: f64, high: f64) -> Self {
        let unit = match (&kind, high - low) {
            (Kind::Time, span) if span > 3.0 * DAY => (DAY, " d"),
            (Kind::Time, span) if span > 3.0 * HOUR => (HOUR, " h"),
            (Kind::Time, span) if span > 5.0 * MINUTE => (MINUTE, " min"),
            (Kind::Time, span) if span > 0.3 => (1.0, " s"),
            (Kind::Time, span) if span > 3e-4 => (1e-3, " ms"),
            (Kind::Time, _) => (1e-6, " µs"),
            _ => (1.0, ""),
        };
        let step = nice((high - low) / unit.0 / TICKS, unit.0 == MINUTE || unit.0 == HOUR);
        let digits = digits_of(step);
        let ticks = match &kind {
            #[expect(clippy::cast_precision_loss, reason = "a few names")]
            Kind::Names(names) => (0..names.len()).map(|place| place as f64).collect(),
            Kind::Log => decades(low, high),
            Kind::Linear | Kind::Time => multiples(step, low / unit.0, high / unit.0)
                .into_iter()
                .map(|tick| tick * unit.0)
                .collect(),
        };
        Self { kind, low, high, ticks, digits, unit }
    }

    pub(super) const fn low(&self) -> f64 {
        self.low
    }

    pub(super) const fn high(&self) -> f64 {
        self.high
    }

    /// Whether a value has a place on it at all.
    pub(super) fn has(&self, value: f64) -> bool {
        self.kind != Kind::Log || value > 0.0
    }

    /// Where between the ends, from 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let share = if self.kind == Kind::Log {
            (value / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if share.is_finite() { share } else { 0.0 }
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `step`; of 15 and 30, too, for what is
/// counted in sixties.
fn nice(step: f64, sixties: bool) -> f64 {
    if !(step > 0.0 && step.is_finite()) {
        return 1.0;
    }
    if sixties && step > 5.0 && step <= 60.0 {
        return [10.0, 15.0, 30.0, 60.0].into_iter().find(|s| step <= *s).unwrap_or(60.0);
    }
    let power = 10f64.powf(step.log10().floor());
    let leading = step / power;
    power * [1.0, 2.0, 5.0].into_iter().find(|s| leading <= s * 1.000_001).unwrap_or(10.0)
}

fn digits_of(step: f64) -> usize {
    // OK: steps are between 1e-300 and 1e300.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    let digits = (-step.log10().floor()).max(0.0) as usize;
    digits.min(9)
}

fn multiples(step: f64, low: f64, high: f64) -> Vec<f64> {
    let first = (low / step - 1e-9).ceil();
    let count = ((high / step + 1e-9).floor() - first).clamp(-1.0, 100.0);
    let mut ticks = Vec::new();
    let mut n = 0.0;
    while n <= count {
        ticks.push((first + n) * step);
        n += 1.0;
    }
    ticks
}

/// Powers of ten, and between few of them 2 and 5 times those.
fn decades(low: f64, high: f64) -> Vec<f64> {
    let count = (high / low).log10();
    let every = (count / 8.0).ceil().max(1.0);
    let leading: &[f64] = if count <= 2.5 { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let mut ticks = Vec::new();
    let mut power = low.log10().floor();
    while power <= high.log10() + 1e-9 {
        ticks.extend(leading.iter().map(|l| l * 10f64.powf(power)));
        power += every;
    }
    ticks.retain(|tick| (low * 0.999_999..=high * 1.000_001).contains(tick));
    ticks
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let pixels = f64::from(to - from) * self.share(*value);
        // OK: the share is at most 1.
        #[expect(clippy::cast_possible_truncation, reason = "see above")]
        let pixels = pixels.round() as i32;
        from + pixels
    }

    fn key_points<H: KeyPointHint>(&self, hint: H) -> Vec<f64> {
        // The light lines between the ticks are not drawn.
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        let named = |names: &[String]| {
            let place = names.iter().zip(0u32..).find(|(_, n)| (f64::from(*n) - value).abs() < 0.1);
            place.map(|(name, _)| name.clone()).unwrap_or_default()
        };
        match &self.kind {
            Kind::Names(names) => named(names),
            Kind::Log => number(*value, digits_of(*value)),
            Kind::Linear => number(*value, self.digits),
            Kind::Time => format!("{}{}", number(value / self.unit.0, self.digits), self.unit.1),
        }
    }
}

/// A number with its thousands set apart; millions and more as such.
pub(super) fn number(value: f64, digits: usize) -> String {
    let large = [(1e12, "T"), (1e9, "G"), (1e6, "M")];
    if let Some((unit, name)) = large.into_iter().find(|(unit, _)| value.abs() >= *unit) {
        let text = format!("{:.3}", value / unit);
        return format!("{}{name}", text.trim_end_matches('0').trim_end_matches('.'));
    }
    let text = format!("{:.digits$}", if value == 0.0 { 0.0 } else { value });
    let point = text.find('.').unwrap_or(text.len());
    let begin = usize::from(text.starts_with('-'));
    if point - begin <= 3 {
        return text;
    }
    let (head, tail) = text.split_at(point - 3);
    format!("{head},{tail}")
}
