//! What nobody can guess: the end of a hook's path at the health port, which everybody reaches.
//!
//! Whoever could ask there for `pre-stop` would have the application drain. Probes need none: they change nothing.

/// A new token: 128 random bits, in hexadecimal. `None`: the system has no randomness.
#[must_use]
pub fn token() -> Option<String> {
    let mut bits = [0; 16];
    aws_lc_rs::rand::fill(&mut bits).ok()?;
    Some(bits.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether somebody could have made it here.
pub(super) fn is_token(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_and_another_each_time() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert!(is_token(&one) && is_token(&other) && one != other);
        assert!(!["", "0", &"g".repeat(32), &"0".repeat(33), &"A".repeat(32)].into_iter().any(is_token));
    }
}
