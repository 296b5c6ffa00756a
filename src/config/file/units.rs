//! Durations and sizes as operators write them: `60s`, `32KiB`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::borrow::Cow;
use std::time::Duration;

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Span(pub(in crate::config) Duration);

/// A size: a whole number of bytes, or of `KiB` or `MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) struct Size(pub(in crate::config) u64);

impl Span {
    pub(in crate::config) const fn secs(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }

    /// Reads a duration; `None` if it is not one.
    pub(in crate::config) fn parse(text: &str) -> Option<Span> {
        let (number, unit) = split(text)?;
        let millis = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?.1;
        number.checked_mul(millis).filter(|ms| *ms <= LONGEST).map(|ms| Span(Duration::from_millis(ms)))
    }
}

impl Size {
    /// Reads a size; `None` if it is not one.
    pub(in crate::config) fn parse(text: &str) -> Option<Size> {
        let (number, unit) = split(text)?;
        let bytes = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?.1;
        number.checked_mul(bytes).map(Size)
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

/// The duration or size in its largest whole unit.
fn largest(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| value.is_multiple_of(*factor) && (value > 0 || *factor == 1000);
    let (unit, factor) = units.iter().rev().find(fits).copied().unwrap_or(("", 1));
    format!("{}{unit}", value / factor)
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        f.write_str(&largest(millis, DURATION_UNITS))
    }
}
impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&largest(self.0, SIZE_UNITS))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Span::parse(&text).ok_or_else(|| D::Error::custom("not a duration"))
    }
}
impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Size::parse(&text).ok_or_else(|| D::Error::custom("not a size"))
    }
}
impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "clinch-duration", "pattern": "^[0-9]+(ms|s|m|h|d)$" })
    }
}
impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "clinch-size", "pattern": "^[0-9]+(B|KiB|MiB)$" })
    }
}

/// Each unit in milliseconds.
const DURATION_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// Each unit in bytes.
const SIZE_UNITS: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20)];
/// Ten years, in milliseconds: beyond that a duration is a slip of the pen.
const LONGEST: u64 = 3650 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_read_back_as_written() {
        for text in ["0s", "1ms", "1500ms", "60m", "1d"] {
            let span = Span::parse(text).unwrap();
            assert_eq!(Span::parse(&span.to_string()), Some(span), "{text}");
        }
        assert_eq!(Span::parse("90s").unwrap().to_string(), "90s");
        assert_eq!(Span::parse("60s").unwrap().to_string(), "1m");
        assert_eq!(Size::parse("32KiB"), Some(Size(32768)));
        assert_eq!(Size(32768).to_string(), "32KiB");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "s", "60", "60 s", "-1s", "1.5s", "1w", "99999999999999999999s", "9999999d", "١s"] {
            assert_eq!(Span::parse(text), None, "{text}");
        }
        for text in ["", "32", "32kb", "32 KiB", "18446744073709551615MiB"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
    }
}
