//! The values of a range that multiplies.

use std::cmp::Ordering;

use super::{Decimal, RangeError, Style, power, rounded};
use crate::campaign::model::Value;

/// Significant digits that always tell two doubles apart; source: IEEE 754-2019, table 5.2 (`Pmin` of binary64).
pub(super) const DOUBLE_DIGITS: u32 = 17;

/// A product of decimals above 0, `mantissa · 10^-scale`: exact as long as 128 bits hold its digits, then rounded to those
/// that they hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    mantissa: i128,
    scale: i64,
}

impl Product {
    pub(super) fn of(number: Decimal) -> Self {
        Self { mantissa: number.mantissa, scale: i64::from(number.scale) }
    }

    pub(super) fn times(mut self, factor: Decimal) -> Self {
        let mantissa = loop {
            if let Some(mantissa) = self.mantissa.checked_mul(factor.mantissa) {
                break mantissa;
            }
            self.mantissa = rounded(self.mantissa, 10);
            self.scale -= 1;
        };
        let mut product = Self { mantissa, scale: self.scale + i64::from(factor.scale) };
        while product.mantissa % 10 == 0 {
            product.mantissa /= 10;
            product.scale -= 1;
        }
        product
    }

    /// Compares by the place of the first digit, then by the first 37 digits, which fit whatever the number.
    pub(super) fn compare(self, other: Self) -> Ordering {
        let place = |number: Self| i64::from(digits(number.mantissa)) - number.scale;
        let leading = |number: Self| match digits(number.mantissa) {
            many @ 38.. => number.mantissa / 10i128.pow(many - 37),
            few => number.mantissa * 10i128.pow(37 - few),
        };
        place(self).cmp(&place(other)).then_with(|| leading(self).cmp(&leading(other)))
    }

    /// As a value of an axis. A fraction with more digits than a double tells apart is written with the fewest that do.
    pub(super) fn value(self, style: Style) -> Result<Value, RangeError> {
        let number = if let Ok(scale) = u32::try_from(self.scale) {
            Decimal { mantissa: self.mantissa, scale, style }
        } else {
            let zeros = u32::try_from(-self.scale).map_err(|_| RangeError::Digits)?;
            let mantissa = power(zeros)?.checked_mul(self.mantissa);
            Decimal { mantissa: mantissa.ok_or(RangeError::Digits)?, scale: 0, style }
        };
        match number.value(style)? {
            Value::Float { value, .. }
                if number.scale > 0 && digits(self.mantissa) > DOUBLE_DIGITS =>
            {
                Decimal::parse(&format!("{value:e}"))?.value(style)
            }
            exact => Ok(exact),
        }
    }
}

/// Number of decimal digits of a number above 0.
pub(super) fn digits(number: i128) -> u32 {
    number.checked_ilog10().unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::run;

    #[test]
    fn a_factor_goes_on_to_its_end() {
        for (from, to, factor, count, last) in [
            ("1", "100", "1.1", 49, "97.01723378487216"),
            ("1", "1000", "1.1", 73, "955.5938177273215"),
            ("1e-6", "1e6", "1.05", 567, ""),
            ("1", "9223372036854775807", "2", 63, "4611686018427387904"),
            ("1.0", "2e18", "2", 61, "1.152921504606846976e18"),
            ("1.0", "1e-9", "0.5", 30, "1.862645149230957e-9"),
            ("100", "1", "0.9", 44, ""),
            ("1", "2", "1.00001", 69_316, ""),
            ("1", "1e38", "1.9", 137, ""),
            ("3", "3", "1.5", 1, "3.0"),
        ] {
            let values = run(from, to, "factor", factor);
            let values: Vec<&str> = values.split(' ').collect();
            assert_eq!(values.len(), count, "{from} {to} {factor}: {values:?}");
            assert!(last.is_empty() || *values.last().unwrap() == last, "{values:?}");
        }
        assert!(run("1", "100", "factor", "1.123456789012345678").contains("too many digits"));
    }

    proptest! {
        /// The end lies between two values, so that a double can say on which side of it each is.
        #[test]
        fn a_factor_has_as_many_values_as_logarithms_say(
            from in 1i32..1000, factor in 1001i32..30_000, most in 1i32..400, decades in 0.0..33.0,
        ) {
            let factor = f64::from(factor) / 1000.0;
            let count = (1..most).take_while(|count| factor.powi(*count) < f64::powf(10.0, decades)).count() + 1;
            let end = f64::from(from) * factor.powf(f64::from(u32::try_from(count).unwrap()) - 0.5);
            let text = run(&from.to_string(), &format!("{end:e}"), "factor", &factor.to_string());
            let values: Vec<f64> = text.split(' ').map(|value| value.parse().unwrap()).collect();
            prop_assert_eq!(values.len(), count);
            for (at, value) in (0i32..).zip(values) {
                let wanted = f64::from(from) * factor.powi(at);
                prop_assert!((value / wanted - 1.0).abs() < 1e-12, "{at}: {value} {wanted}");
            }
        }
    }
}
