//! Sizes in bytes: `256MiB` is 256 · 2²⁰, `1GB` is 10⁹.

/// Why a text is no size; reads after "the size …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// A number without a unit.
    #[error("has no unit")]
    NoUnit,
    /// A unit that is none of [`UNITS`].
    #[error("has an unknown unit")]
    Unit,
    /// No number in front, or not a plain one.
    #[error("cannot be read")]
    Unreadable,
    /// More than 2⁶³ bytes.
    #[error("is too large")]
    TooLarge,
}

/// Units and the bytes of one.
pub const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// Reads a size as bytes. `K`, `M`, `G` and `T` alone are refused, because tools differ in what they mean.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    if number.is_empty() {
        return Err(SizeError::Unreadable);
    }
    if unit.is_empty() {
        return Err(SizeError::NoUnit);
    }
    let (_, bytes) = UNITS
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .ok_or(SizeError::Unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || part.is_empty() || part.len() > 9 || part.contains('.') {
        return Err(SizeError::Unreadable);
    }
    let whole: u128 = whole.parse().map_err(|_| SizeError::TooLarge)?;
    let scale = 10u128.pow(u32::try_from(part.len()).unwrap_or(9));
    let part: u128 = part.parse().map_err(|_| SizeError::Unreadable)?;
    let total = whole
        .checked_mul(u128::from(bytes))
        .and_then(|total| total.checked_add(part * u128::from(bytes) / scale))
        .ok_or(SizeError::TooLarge)?;
    i64::try_from(total).map(i64::unsigned_abs).map_err(|_| SizeError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_decimal_and_binary_units() {
        for (text, bytes) in [
            ("256MiB", 268_435_456),
            ("1GB", 1_000_000_000),
            ("4KiB", 4096),
            ("4 kib", 4096),
            ("1.5 GiB", 1_610_612_736),
            ("12B", 12),
            ("2kB", 2000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for (text, error) in [
            ("4096", SizeError::NoUnit),
            ("4K", SizeError::Unit),
            ("many", SizeError::Unreadable),
            ("-1GB", SizeError::Unreadable),
            ("1.GB", SizeError::Unreadable),
            ("1.2.3GB", SizeError::Unreadable),
            ("9999999999TB", SizeError::TooLarge),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
