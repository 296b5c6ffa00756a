//! Whatever the text of a configuration, the answer is a configuration, or problems that each stand somewhere in
//! the text, can be shown, and give no password away.
#![no_main]

use arbitrary::Arbitrary;
use clinch::config::Config;
use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

#[derive(Arbitrary, Debug)]
enum Story {
    /// A good file, with lines exchanged and pieces pushed in.
    Edited(u8, Vec<Edit>),
    /// A good file with a password in the URL of its broker.
    Secret(String, Vec<Edit>),
    Text(String),
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Cut(u16, u8),
    Insert(u16, String),
    Known(u16, u8),
    /// The value of a line is another one.
    Value(u8, u8),
    Line(u8, u8),
    Drop(u8),
}

const GOOD: [&str; 4] = [
    include_str!("../../../config/clinch.yaml"),
    include_str!("../../../config/minimal.yaml"),
    include_str!("../../../config/mtls.yaml"),
    include_str!("../../../config/feed-nats.yaml"),
];
const PIECES: [&str; 40] = [
    "&a ",
    "*a ",
    "<<: *a",
    "!!str ",
    "\n---\n",
    "\t",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "- ",
    "null",
    "-1",
    "0",
    "1",
    "99999999999999999999",
    "1e9",
    ".5",
    "0x1F",
    "true",
    "no",
    "~",
    "\"",
    "'",
    "|\n  a\n",
    ">-\n",
    "# ",
    "%YAML 1.1\n",
    "? ",
    "\u{feff}",
    "é\u{301}\u{1f980}",
    "10m",
    "32KiB",
    "1h30m",
    "https://a.example",
    "http://127.0.0.1:1",
    "[::1]:80",
    "/a/{*b}",
    "ES256",
];
/// No part of any message or file.
const SECRET: &str = "Zq7Wk2";

/// Where the good files find what they name. Made anew each time, in the one place.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join("clinch-fuzz-config");
    std::fs::create_dir_all(directory.join("tls")).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["api.example.com".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    let certificate = params.self_signed(&key).unwrap().pem();
    let files = [
        ("server.crt", &certificate),
        ("server.key", &key.serialize_pem()),
        ("clients-ca.crt", &certificate),
    ];
    for (name, text) in files {
        use std::os::unix::fs::PermissionsExt;
        let file = directory.join("tls").join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    directory
});

fuzz_target!(|story: Story| {
    let (text, secret) = match &story {
        Story::Edited(which, edits) => (edited(GOOD[usize::from(*which) % GOOD.len()], edits), false),
        Story::Secret(password, edits) => with_password(password, edits),
        Story::Text(text) => (text.clone(), false),
    };
    let file = DIRECTORY.join("clinch.yaml");
    let problems = match Config::parse(&text, &file) {
        Ok(config) => {
            return assert!(!secret || !format!("{config:?}").contains(SECRET), "a password in Debug");
        }
        Err(problems) => problems,
    };
    let json = problems.to_json();
    let list = json.as_array().unwrap();
    assert!(!list.is_empty() && list.len() == problems.count());
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in list {
        let (line, column) =
            (problem["line"].as_u64().unwrap() as usize, problem["column"].as_u64().unwrap() as usize);
        assert!(line >= 1 && line <= lines.len(), "{problem}");
        assert!(column >= 1 && column <= lines[line - 1].chars().count() + 1, "{problem}");
        assert!(!problem["message"].as_str().unwrap().is_empty(), "{problem}");
    }
    let shown = [problems.render(true), problems.to_string(), format!("{problems:?}"), json.to_string()];
    assert!(shown.iter().all(|text| !text.is_empty()));
    assert!(!secret || shown.iter().all(|text| !text.contains(SECRET)), "a password was shown");
});

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut text = text.to_owned();
    for edit in edits.iter().take(8) {
        let place = |text: &str, at: u16| text.floor_char_boundary(usize::from(at) % (text.len() + 1));
        let piece = |index: &u8| PIECES[usize::from(*index) % PIECES.len()];
        match edit {
            Edit::Cut(at, length) => {
                let from = place(&text, *at);
                let to = text.floor_char_boundary((from + usize::from(*length)).min(text.len()));
                text.replace_range(from..to, "");
            }
            Edit::Insert(at, what) => text.insert_str(place(&text, *at), what),
            Edit::Known(at, index) => text.insert_str(place(&text, *at), piece(index)),
            Edit::Value(line, index) => {
                text = by_line(&text, *line, |line| {
                    vec![match line.split_once(": ") {
                        Some((key, _)) => format!("{key}: {}", piece(index)),
                        None => line.to_owned(),
                    }]
                });
            }
            Edit::Line(line, times) => {
                text = by_line(&text, *line, |line| vec![line.to_owned(); 2 + usize::from(times % 2)])
            }
            Edit::Drop(line) => text = by_line(&text, *line, |_| Vec::new()),
        }
    }
    text
}

fn by_line(text: &str, line: u8, change: impl Fn(&str) -> Vec<String>) -> String {
    let count = text.split('\n').count();
    let one = |(at, text): (usize, &str)| {
        if at == usize::from(line) % count { change(text) } else { vec![text.to_owned()] }
    };
    text.split('\n').enumerate().flat_map(one).collect::<Vec<_>>().join("\n")
}

/// The edits come first, so that they never tear the URL apart: what is left of one is no URL any more.
fn with_password(password: &str, edits: &[Edit]) -> (String, bool) {
    let password: String = password
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control() && !"\"\\\u{feff}".contains(*c))
        .collect();
    let text = edited(GOOD[3], edits);
    let url = format!("\"nats://clinch:{password}{SECRET}@127.0.0.1:4222\"");
    let there = "\"nats://127.0.0.1:4222\"";
    (text.replacen(there, &url, 1), text.contains(there))
}
