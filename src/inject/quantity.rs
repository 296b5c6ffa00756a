//! Quantities of CPU and memory, as Kubernetes writes them (apimachinery, `resource.Quantity`): `50m`, `1.5`, `256Mi`, `1e3`.

/// A quantity in billionths, rounded down. `None`: it is none, or beyond all reason.
pub(super) fn billionths(text: &str) -> Option<u128> {
    let end = text.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = whole.len() + fraction.len();
    if fraction.contains('.') || !(1..=LONGEST).contains(&digits) {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let scaled = scale(digits, suffix)?;
    scaled.checked_div(10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?)
}

/// Digits times what the suffix means, in billionths.
fn scale(digits: u128, suffix: &str) -> Option<u128> {
    let power_of_ten = |exponent: u32| digits.checked_mul(10_u128.checked_pow(exponent)?);
    if let Some(at) = BINARY.iter().position(|known| *known == suffix) {
        let kibis = 1_024_u128.checked_pow(u32::try_from(at).ok()? + 1)?;
        return digits.checked_mul(kibis)?.checked_mul(1_000_000_000);
    }
    if let Some(at) = DECIMAL.iter().position(|known| *known == suffix) {
        return power_of_ten(u32::try_from(at).ok()? * 3);
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E']).filter(|e| e.len() <= 3)?.parse().ok()?;
    power_of_ten(u32::try_from(exponent.checked_add(9)?).ok()?)
}

const BINARY: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// From billionths on.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// Digits of a number: more than any machine has bytes.
const LONGEST: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let cases = [
            ("50m", 50_000_000),
            ("1.5", 1_500_000_000),
            (".5", 500_000_000),
            ("1.", 1_000_000_000),
            ("0", 0),
            ("1Ki", 1_024_000_000_000),
            ("1.5Ki", 1_536_000_000_000),
            ("1e3", 1_000_000_000_000),
            ("1E-3", 1_000_000),
            ("1E", 1_000_000_000_000_000_000_000_000_000),
            ("3n", 3),
        ];
        for (text, expected) in cases {
            assert_eq!(billionths(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        let none = [
            "",
            ".",
            "-1",
            "+1",
            "1.2.3",
            "Mi",
            "1mi",
            "1KB",
            "1 Mi",
            " 1",
            "1e",
            "1e99",
            "1e-10",
            "0x10",
            "1Mi\n",
            "$(X)",
            "9999999999999999999",
        ];
        for text in none {
            assert_eq!(billionths(text), None, "{text}");
        }
    }
}
