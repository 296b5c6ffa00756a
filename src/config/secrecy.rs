//! What is never shown of a configuration, whatever is wrong with it.
//!
//! A file has no place for secrets but the URLs of servers: the others are in files of their own. Somebody may write one
//! down all the same, and the message about that must not carry it into a log.

/// Blanks passwords of URLs, and what stands behind keys that are called secret, keeping the length in bytes.
pub(super) fn without_secrets(text: &str) -> String {
    without_passwords(text).split_inclusive('\n').map(without_secret).collect()
}

/// To the end of the line, for who knows where a secret ends.
fn without_secret(line: &str) -> String {
    let mut bytes = line.as_bytes().to_vec();
    for (colon, _) in line.match_indices(':') {
        let before = line.get(..colon).unwrap_or("").trim_end().trim_end_matches(['"', '\'']);
        let start =
            before.rfind(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').map_or(0, |at| at + 1);
        let key = before.get(start..).unwrap_or("").to_ascii_lowercase();
        if SECRETS.iter().any(|name| key.ends_with(name)) {
            let kept = |byte: &u8| byte.is_ascii_whitespace();
            bytes[colon + 1..].iter_mut().filter(|byte| !kept(byte)).for_each(|byte| *byte = b'*');
            break;
        }
    }
    String::from_utf8(bytes).unwrap_or_default()
}

/// Blanks the password of every `scheme://user:password@host`, keeping the length in bytes. A password may
/// hold what ends a URL elsewhere; where that leaves a doubt, too much is blanked.
pub(super) fn without_passwords(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (at, _) in text.match_indices("://") {
        let rest = text.get(at + 3..).unwrap_or("");
        let word = rest.get(..rest.find(char::is_whitespace).unwrap_or(rest.len())).unwrap_or("");
        let authority = word.get(..word.find('/').unwrap_or(word.len())).unwrap_or("");
        let within = if authority.contains(['@', ':']) { word } else { authority };
        let Some(end) = within.rfind('@') else { continue };
        let start = within.get(..end).and_then(|userinfo| userinfo.find(':')).map_or(0, |colon| colon + 1);
        bytes[at + 3 + start..at + 3 + end].fill(b'*');
    }
    // Whole characters were replaced by as many asterisks as they had bytes.
    String::from_utf8(bytes).unwrap_or_default()
}

/// How keys end whose value is one.
const SECRETS: &[&str] = &[
    "secret",
    "secrets",
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "credentials",
    "seed",
    "nkey",
    "apikey",
    "api_key",
    "api-key",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_blanked_and_the_rest_is_not() {
        let text = "a nats://user:secrét@h:4222/x 'nats://token@h' http://h/a:b@c";
        let blanked = without_passwords(text);
        assert_eq!(blanked, "a nats://user:*******@h:4222/x 'nats://*****@h' http://h/a:b@c");
        assert_eq!(blanked.len(), text.len());
    }

    #[test]
    fn a_password_may_hold_what_ends_a_url() {
        for secret in ["s,cret", "s/cret", "s'cret", "s}cret", "s@cret", "s:c]r`et", "//cret"] {
            let text = format!("url: 'nats://user:{secret}@host:4222', stream: a");
            let blanked = without_passwords(&text);
            assert!(!blanked.contains("cret") && blanked.contains("@host:4222', stream: a"), "{blanked}");
        }
    }

    #[test]
    fn what_is_called_secret_is_blanked_to_the_end_of_its_line() {
        let text = "a: 1\n    client_secret: s3cr3t é\n  { user: u, \"Password\" : 'x, y' }\ntoken_types: [at+jwt]\n";
        let blanked = without_secrets(text);
        assert_eq!(blanked.len(), text.len());
        assert!(!blanked.contains("s3cr3t") && !blanked.contains("'x"), "{blanked}");
        assert!(
            blanked.contains("client_secret: ***") && blanked.contains("{ user: u, \"Password\" :"),
            "{blanked}"
        );
        assert!(blanked.contains("a: 1\n") && blanked.ends_with("token_types: [at+jwt]\n"), "{blanked}");
        let named = "client_secret_file: a.txt, max_token_lifetime: 1h, url: nats://h";
        assert_eq!(without_secrets(named), named);
    }
}
