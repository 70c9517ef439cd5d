//! Amounts as the API server writes them back: `1.5` cores are stored as
//! `1500m`, `1024Mi` as `1Gi`. Only the forms the spec allows are known.

use std::fmt;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Thousandths of a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MilliCores(u64);

impl MilliCores {
    /// From thousandths.
    pub const fn new(millis: u64) -> Self {
        Self(millis)
    }

    /// Read `2`, `1.5` or `500m`. None is no such amount, or more than a
    /// quantity holds.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(millis) = text.strip_suffix('m') {
            return digits(millis).map(Self);
        }
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        if part.len() > 3 {
            return None;
        }
        let scale = [1_000, 100, 10, 1].get(part.len())?;
        digits(whole)?.checked_mul(1_000)?.checked_add(digits(part)? * scale).map(Self)
    }
}

impl From<MilliCores> for Quantity {
    fn from(MilliCores(millis): MilliCores) -> Self {
        let (number, thousands) = divided(millis, 1_000, 6);
        let unit = ["m", "", "k", "M", "G", "T", "P"].get(thousands).copied().unwrap_or_default();
        Self(if number == 0 { "0".to_owned() } else { format!("{number}{unit}") })
    }
}

/// Bytes, and in which kind of unit they were written: that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes {
    bytes: u64,
    base: Base,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    Decimal,
    Binary,
}

impl Bytes {
    /// From mebibytes.
    pub const fn mebi(number: u64) -> Self {
        Self { bytes: number * 1024 * 1024, base: Base::Binary }
    }

    /// How many.
    pub fn get(self) -> u64 {
        self.bytes
    }

    /// Read `512Mi`, `1G` or `1000`. None is no such amount, or more than a
    /// quantity holds.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at_checked(text.len() - end)?;
        let (base, factor) = match unit {
            "" => (Base::Decimal, 1),
            "k" => (Base::Decimal, 1_000),
            "M" => (Base::Decimal, 1_000_000),
            "G" => (Base::Decimal, 1_000_000_000),
            "T" => (Base::Decimal, 1_000_000_000_000),
            "Ki" => (Base::Binary, 1 << 10),
            "Mi" => (Base::Binary, 1 << 20),
            "Gi" => (Base::Binary, 1 << 30),
            "Ti" => (Base::Binary, 1 << 40),
            _ => return None,
        };
        let bytes = digits(number)?.checked_mul(factor)?;
        // A quantity is a signed number.
        i64::try_from(bytes).is_ok().then_some(Self { bytes, base })
    }
}

impl From<Bytes> for Quantity {
    fn from(amount: Bytes) -> Self {
        let (divisor, units) = match amount.base {
            Base::Decimal => (1_000, ["", "k", "M", "G", "T", "P", "E"]),
            Base::Binary => (1_024, ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]),
        };
        let (number, power) = divided(amount.bytes, divisor, 6);
        let unit = units.get(power).copied().unwrap_or_default();
        Self(if number == 0 { "0".to_owned() } else { format!("{number}{unit}") })
    }
}

impl fmt::Display for MilliCores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Quantity::from(*self).0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Quantity::from(*self).0)
    }
}

/// The number without its factors of `divisor`, and how many those were.
fn divided(mut number: u64, divisor: u64, most: usize) -> (u64, usize) {
    let mut times = 0;
    while number != 0 && times < most && number.is_multiple_of(divisor) {
        number /= divisor;
        times += 1;
    }
    (number, times)
}

/// Only digits, and at least one.
fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_the_api_server_writes_them() {
        let cores = [
            ("2", "2"),
            ("1.5", "1500m"),
            ("1.500", "1500m"),
            ("0.25", "250m"),
            ("500m", "500m"),
            ("2000m", "2"),
            ("1000", "1k"),
            ("007", "7"),
            ("0", "0"),
            ("0m", "0"),
        ];
        for (given, stored) in cores {
            assert_eq!(MilliCores::parse(given).unwrap().to_string(), stored, "{given}");
        }
        let bytes = [
            ("512Mi", "512Mi"),
            ("1024Mi", "1Gi"),
            ("1536Mi", "1536Mi"),
            ("1048576Ki", "1Gi"),
            ("1000M", "1G"),
            ("1G", "1G"),
            ("1073741824", "1073741824"),
            ("128000", "128k"),
            ("0Mi", "0"),
            ("1024Ti", "1Pi"),
        ];
        for (given, stored) in bytes {
            assert_eq!(Bytes::parse(given).unwrap().to_string(), stored, "{given}");
        }
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for bad in ["", "m", ".5", "1.", "1.2345", "two", "-1", "+1", "1,5", "99999999999999999999"]
        {
            assert!(MilliCores::parse(bad).is_none(), "{bad}");
        }
        for bad in ["", "Mi", "1mi", "1.5Gi", "-1", "1 Gi", "9223372036854775808", "99999999Ti"] {
            assert!(Bytes::parse(bad).is_none(), "{bad}");
        }
    }
}
