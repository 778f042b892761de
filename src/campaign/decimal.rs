//! Ranges of an axis, in decimal: 0.1 to 0.3 by 0.1 is 0.1, 0.2, 0.3.
//!
//! Knows nothing of TOML; a number comes in as the file spelled it.

mod product;

use crate::campaign::model::Value;
use product::{DOUBLE_DIGITS, Product, digits};

/// Values that one range may have.
pub const MAX_VALUES: usize = 1_000_000;
/// Digits behind the point that a number may have: three times as many as the smallest double needs.
const SCALE_MAX: u32 = 1_000;
/// Digits that a quotient keeps when it does not end.
const QUOTIENT_DIGITS: u32 = 12;

/// Why a range has no values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// A number with more digits than can be computed with.
    #[error("has a number with too many digits")]
    Digits,
    /// `step = 0`, or `factor = 1`.
    #[error("never reaches its end: `step` is 0 or `factor` is 1")]
    Still,
    /// `from` is beyond `to` in the direction of the steps.
    #[error("has no values: it runs away from its end")]
    Away,
    /// `factor` or an end of its range is not above 0.
    #[error("multiplies, which takes `from`, `to` and `factor` above 0")]
    Sign,
    /// `count` below 2 with two ends.
    #[error("has two ends, so `count` is at least 2")]
    Count,
    /// More than [`MAX_VALUES`].
    #[error("has more than 1,000,000 values")]
    TooMany,
}

/// How a range goes on from `from` to `to`, which is included when it is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Adds.
    Step(Decimal),
    /// Multiplies.
    Factor(Decimal),
    /// So many values, evenly.
    Count(i64),
}

/// `mantissa · 10^-scale`, with the style it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
    style: Style,
}

/// How results are written: as the widest of what went in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Style {
    Integer,
    Point,
    Exponent,
}

impl Decimal {
    /// Reads a number as TOML spells it, without `_`.
    pub fn parse(text: &str) -> Result<Self, RangeError> {
        let text = text.strip_prefix('+').unwrap_or(text);
        let (number, exponent) =
            text.split_once(['e', 'E']).map_or((text, None), |(n, e)| (n, Some(e)));
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let style = match (exponent, number.contains('.')) {
            (Some(_), _) => Style::Exponent,
            (None, true) => Style::Point,
            (None, false) => Style::Integer,
        };
        let exponent: i64 = exponent.map_or(Ok(0), str::parse).map_err(|_| RangeError::Digits)?;
        let mantissa: i128 = format!("{whole}{part}").parse().map_err(|_| RangeError::Digits)?;
        let length = i64::try_from(part.len()).map_err(|_| RangeError::Digits)?;
        let scale = length.checked_sub(exponent).ok_or(RangeError::Digits)?;
        let number = if scale >= 0 {
            let scale = u32::try_from(scale).ok().filter(|scale| *scale <= SCALE_MAX);
            Self { mantissa, scale: scale.ok_or(RangeError::Digits)?, style }
        } else {
            let zeros = u32::try_from(scale.unsigned_abs()).map_err(|_| RangeError::Digits)?;
            let mantissa = power(zeros)?.checked_mul(mantissa).ok_or(RangeError::Digits)?;
            Self { mantissa, scale: 0, style }
        };
        Ok(number.trimmed())
    }

    /// The same number with the smallest scale.
    fn trimmed(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }

    fn at_scale(self, scale: u32) -> Result<i128, RangeError> {
        power(scale - self.scale)?.checked_mul(self.mantissa).ok_or(RangeError::Digits)
    }

    /// As a value of an axis.
    fn value(self, style: Style) -> Result<Value, RangeError> {
        let number = self.trimmed();
        if style == Style::Integer && number.scale == 0 {
            return i64::try_from(number.mantissa).map(Value::Int).map_err(|_| RangeError::Digits);
        }
        let spelled = match style {
            Style::Exponent => number.with_exponent(),
            Style::Integer | Style::Point => number.with_point(),
        };
        let value = spelled.parse().map_err(|_| RangeError::Digits)?;
        Ok(Value::Float { value, spelled })
    }

    fn with_point(self) -> String {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let width = self.scale as usize + 1;
        let digits = format!("{:0>width$}", self.mantissa.unsigned_abs());
        let (whole, part) = digits.split_at(digits.len() - self.scale as usize);
        format!("{sign}{whole}.{}", if part.is_empty() { "0" } else { part })
    }

    fn with_exponent(self) -> String {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let all = self.mantissa.unsigned_abs().to_string();
        let exponent = i64::from(self.mantissa.unsigned_abs().checked_ilog10().unwrap_or(0))
            - i64::from(self.scale);
        let digits = all.trim_end_matches('0');
        match digits.split_at_checked(1) {
            None => "0e0".to_owned(),
            Some((first, "")) => format!("{sign}{first}e{exponent}"),
            Some((first, rest)) => format!("{sign}{first}.{rest}e{exponent}"),
        }
    }
}

fn power(exponent: u32) -> Result<i128, RangeError> {
    10i128.checked_pow(exponent).ok_or(RangeError::Digits)
}

/// The values of a range, in order.
///
/// # Errors
/// See [`RangeError`].
pub fn range(from: Decimal, to: Decimal, rule: &Rule) -> Result<Vec<Value>, RangeError> {
    match rule {
        Rule::Step(step) => by_step(from, to, *step),
        Rule::Factor(factor) => by_factor(from, to, *factor),
        Rule::Count(count) => by_count(from, to, *count),
    }
}

fn by_step(from: Decimal, to: Decimal, step: Decimal) -> Result<Vec<Value>, RangeError> {
    let style = from.style.max(to.style).max(step.style);
    let scale = from.scale.max(to.scale).max(step.scale);
    let (from, to, step) = (from.at_scale(scale)?, to.at_scale(scale)?, step.at_scale(scale)?);
    if step == 0 {
        return Err(RangeError::Still);
    }
    let room = to.checked_sub(from).ok_or(RangeError::Digits)?;
    if room != 0 && (room < 0) != (step < 0) {
        return Err(RangeError::Away);
    }
    let steps = usize::try_from(room / step).map_err(|_| RangeError::TooMany)?;
    if steps >= MAX_VALUES {
        return Err(RangeError::TooMany);
    }
    let mut mantissa = from;
    let mut values = Vec::with_capacity(steps + 1);
    for _ in 0..=steps {
        values.push(Decimal { mantissa, scale, style }.value(style)?);
        mantissa = mantissa.saturating_add(step);
    }
    Ok(values)
}

fn by_factor(from: Decimal, to: Decimal, factor: Decimal) -> Result<Vec<Value>, RangeError> {
    let style = from.style.max(to.style).max(factor.style);
    if from.mantissa <= 0 || to.mantissa <= 0 || factor.mantissa <= 0 {
        return Err(RangeError::Sign);
    }
    let one = power(factor.scale)?;
    if factor.mantissa == one {
        return Err(RangeError::Still);
    }
    // A product keeps what a factor of this length leaves room for: at least 20 digits.
    if digits(factor.mantissa) > DOUBLE_DIGITS {
        return Err(RangeError::Digits);
    }
    let up = factor.mantissa > one;
    let end = Product::of(to);
    let mut values = Vec::new();
    let mut number = Product::of(from);
    loop {
        let order = number.compare(end);
        if if up { order.is_gt() } else { order.is_lt() } {
            break;
        }
        if values.len() == MAX_VALUES {
            return Err(RangeError::TooMany);
        }
        values.push(number.value(style)?);
        number = number.times(factor);
    }
    if values.is_empty() { Err(RangeError::Away) } else { Ok(values) }
}

fn by_count(from: Decimal, to: Decimal, count: i64) -> Result<Vec<Value>, RangeError> {
    let count = usize::try_from(count).map_err(|_| RangeError::Count)?;
    if count < 2 {
        return Err(RangeError::Count);
    }
    if count > MAX_VALUES {
        return Err(RangeError::TooMany);
    }
    let ends = from.scale.max(to.scale);
    let room = to.at_scale(ends)?.checked_sub(from.at_scale(ends)?).ok_or(RangeError::Digits)?;
    if room == 0 {
        return Err(RangeError::Still);
    }
    let parts = i128::try_from(count - 1).map_err(|_| RangeError::Digits)?;
    let even = room % parts == 0;
    let scale = if even { ends } else { ends + QUOTIENT_DIGITS };
    let (start, room) =
        (from.at_scale(scale)?, power(scale - ends)?.checked_mul(room).ok_or(RangeError::Digits)?);
    let mut numbers = Vec::with_capacity(count);
    for at in 0..=parts {
        let product = room.checked_mul(at).ok_or(RangeError::Digits)?;
        let mantissa = start.checked_add(rounded(product, parts)).ok_or(RangeError::Digits)?;
        numbers.push(Decimal { mantissa, scale, style: from.style });
    }
    let whole = numbers.iter().all(|number| number.trimmed().scale == 0);
    let style = from.style.max(to.style);
    let style = if style == Style::Integer && !whole { Style::Point } else { style };
    numbers.into_iter().map(|number| number.value(style)).collect()
}

/// Quotient, half away from zero.
fn rounded(number: i128, by: i128) -> i128 {
    let (quotient, rest) = (number / by, number % by);
    if rest.abs() * 2 >= by { quotient + rest.signum() } else { quotient }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::campaign::template::text_of;

    pub(super) fn run(from: &str, to: &str, rule: &str, number: &str) -> String {
        let decimal = |text| Decimal::parse(text).unwrap();
        let rule = match rule {
            "step" => Rule::Step(decimal(number)),
            "factor" => Rule::Factor(decimal(number)),
            _ => Rule::Count(number.parse().unwrap()),
        };
        match range(decimal(from), decimal(to), &rule) {
            Ok(values) => {
                let floats = matches!(values[0], Value::Float { .. });
                assert!(values.iter().all(|v| matches!(v, Value::Float { .. }) == floats));
                values.iter().map(|v| text_of(v).into_owned()).collect::<Vec<_>>().join(" ")
            }
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn counts_in_decimal() {
        assert_eq!(run("0.1", "0.3", "step", "0.1"), "0.1 0.2 0.3");
        assert_eq!(run("1024", "8192", "factor", "2"), "1024 2048 4096 8192");
        assert_eq!(run("1", "10", "step", "4"), "1 5 9");
        assert_eq!(run("3", "-1", "step", "-2"), "3 1 -1");
        assert_eq!(run("0", "1", "step", "0.25"), "0.0 0.25 0.5 0.75 1.0");
        assert_eq!(run("-0.1", "0.1", "step", "0.1"), "-0.1 0.0 0.1");
        assert_eq!(run("1e-5", "1e-3", "factor", "10"), "1e-5 1e-4 1e-3");
        assert_eq!(run("1e-3", "1e-5", "factor", "0.1"), "1e-3 1e-4 1e-5");
        assert_eq!(run("1.5e2", "6e2", "factor", "2"), "1.5e2 3e2 6e2");
        assert_eq!(run("0", "1", "count", "5"), "0.0 0.25 0.5 0.75 1.0");
        assert_eq!(run("0", "10", "count", "3"), "0 5 10");
        assert_eq!(run("0", "1", "count", "4"), "0.0 0.333333333333 0.666666666667 1.0");
        assert_eq!(run("1", "0", "count", "2"), "1 0");
        assert_eq!(run("5", "5", "step", "1"), "5");
    }

    #[test]
    fn refuses_ranges_without_an_end() {
        assert!(run("0", "1", "step", "0").contains("never reaches"));
        assert!(run("1", "8", "factor", "1").contains("never reaches"));
        assert!(run("1", "0", "step", "1").contains("runs away"));
        assert!(run("8", "1", "factor", "2").contains("runs away"));
        assert!(run("0", "8", "factor", "2").contains("above 0"));
        assert!(run("0", "8", "count", "1").contains("at least 2"));
        assert!(run("0", "10000000", "step", "1").contains("1,000,000"));
        for exponent in [
            "400",
            "-4294967295",
            "9223372036854775807",
            "-9223372036854775808",
            "99999999999999999999",
        ] {
            assert_eq!(
                Decimal::parse(&format!("1.5e{exponent}")),
                Err(RangeError::Digits),
                "{exponent}"
            );
        }
        assert!(
            run("1.2e26", "2.00000000000000000000000001e26", "count", "3").contains("too many")
        );
        assert!(run("1", "9223372036854775807", "factor", "10").starts_with("1 10 100"));
    }

    proptest! {
        #[test]
        fn a_step_meets_its_end(start in -10_000i64..10_000, step in 1i64..500, steps in 0i64..60, scale in 0u32..6) {
            let write = |n: i64| {
                let number = Decimal { mantissa: i128::from(n), scale, style: Style::Point };
                number.with_point()
            };
            let end = start + step * steps;
            let text = run(&write(start), &write(end), "step", &write(step));
            let expected: Vec<_> =
                (0..=steps).map(|k| Decimal { mantissa: i128::from(start + step * k), scale, style: Style::Point }
                    .trimmed().with_point()).collect();
            prop_assert_eq!(text, expected.join(" "));
        }

        #[test]
        fn a_number_survives_its_spelling(mantissa in -1_000_000_000i64..1_000_000_000, scale in 0u32..9) {
            let number = Decimal { mantissa: i128::from(mantissa), scale, style: Style::Point }.trimmed();
            prop_assert_eq!(Decimal::parse(&number.with_point()).unwrap(), number);
            let back = Decimal::parse(&number.with_exponent()).unwrap();
            prop_assert_eq!((back.mantissa, back.scale), (number.mantissa, number.scale));
        }
    }
}
