//! What is found at the start: gone on with if our signatures vouch for it, and else left as it is.

use super::super::chain::{End, NOTHING, unseal};
use super::super::scribe::Scribe;
use super::*;
use aws_lc_rs::signature::Ed25519KeyPair;
use std::io::Write as _;

/// Records as anybody can make them who has this key, or none.
fn forged(after: End, key: Option<Ed25519KeyPair>, records: usize) -> Vec<u8> {
    let (mut scribe, mut text) =
        (Scribe::new(after, "a".to_owned(), key.map(Arc::new), Duration::MAX), Vec::new());
    scribe.start(1, &[0; 16], None);
    (0..records).for_each(|_| scribe.stop());
    scribe.checkpoint();
    scribe.write(|bytes| text.write(bytes)).unwrap();
    text
}

fn end(text: &[u8]) -> End {
    let line = text.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
    let seal = unseal(line).unwrap();
    End { sequence: seal.sequence, hash: seal.hash }
}

fn named(end: End) -> String {
    format!("{}:{}", end.sequence, std::str::from_utf8(&end.hash).unwrap())
}

/// One run of a process: the `start` that it writes.
async fn run(folder: &Folder) -> Value {
    let before = fs::read(folder.at("audit.jsonl")).map_or(0, |text| text.len());
    stop(start(&config(&folder.at("audit.jsonl")))).await;
    let text = fs::read(folder.at("audit.jsonl")).unwrap();
    let lines = text.get(before..).filter(|more| more.starts_with(b"{\"seq\"")).unwrap_or(&text);
    let records: Vec<Value> =
        lines.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    records.into_iter().find(|record| record["kind"] == "start").unwrap()
}

/// Nothing of that which nobody signed is signed by the next process.
#[tokio::test]
async fn a_log_that_was_replaced_is_not_signed_by_the_next_process() {
    let folder = Folder::new();
    run(&folder).await;
    let ours = fs::read(folder.at("audit.jsonl")).unwrap();
    let broken = [&ours[..], &ours].concat();
    let in_our_name =
        String::from_utf8(forged(NOTHING, Some(Ed25519KeyPair::generate().unwrap()), 3)).unwrap();
    let in_our_name = as_if_ours(&in_our_name, &ours);
    let keyless = forged(NOTHING, None, 1500);
    for (again, text) in [keyless, broken, in_our_name].into_iter().enumerate() {
        fs::write(folder.at("audit.jsonl"), &text).unwrap();
        let start = run(&folder).await;
        let mark = if again == 0 { String::new() } else { format!("-{}", again + 1) };
        let aside = format!("audit.000000000001.unverified{mark}.jsonl");
        assert_eq!((&start["seq"], &start["set_aside"]), (&1.into(), &aside.as_str().into()));
        assert!(start.get("continues").is_none() && start["unsigned"] == 0);
        assert_eq!(fs::read(folder.at(&aside)).unwrap(), text, "untouched");
        assert_eq!(kinds(&folder.records()), ["start", "checkpoint", "stop", "checkpoint"]);
    }
}

/// The signed checkpoint at the end says that it is by our key, and is sealed again.
fn as_if_ours(text: &str, ours: &[u8]) -> Vec<u8> {
    let of = |text: &str| {
        let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        line["key"].as_str().unwrap().to_owned()
    };
    let text = text.replace(&of(text), &of(std::str::from_utf8(ours).unwrap()));
    let (body, _) = text.rsplit_once(r#","hash":""#).unwrap();
    let from = body.rfind('\n').unwrap() + 1;
    let hash = crate::pop::sha256::text(&crate::pop::sha256::of(&body.as_bytes()[from..]));
    format!("{body},\"hash\":\"{}\"}}\n", std::str::from_utf8(&hash).unwrap()).into_bytes()
}

#[tokio::test]
async fn what_was_added_to_our_log_is_counted_before_it_is_gone_on_with() {
    let folder = Folder::new();
    run(&folder).await;
    let ours = fs::read(folder.at("audit.jsonl")).unwrap();
    fs::write(folder.at("audit.jsonl"), [&ours[..], &forged(end(&ours), None, 5)].concat()).unwrap();
    let start = run(&folder).await;
    assert_eq!((&start["seq"], &start["continues"]), (&12.into(), &named(end(&ours)).into()));
    assert_eq!(start["unsigned"], 7);
    assert_eq!(folder.names(), ["audit.jsonl"]);
}

#[tokio::test]
async fn another_key_is_named_and_vouches_for_nothing() {
    let folder = Folder::new();
    let text = forged(NOTHING, Some(Ed25519KeyPair::generate().unwrap()), 3);
    fs::write(folder.at("audit.jsonl"), &text).unwrap();
    let start = run(&folder).await;
    assert!(start["seq"] == 6 && start.get("continues").is_none() && start["unsigned"] == 0);
    assert_eq!(start["other_key"].as_str().unwrap().len(), 43);
    let next = run(&folder).await;
    assert!(next.get("other_key").is_none() && next["continues"].is_string());
}

#[tokio::test]
async fn the_file_before_vouches_for_one_that_has_no_signature_yet_and_is_believed_no_more_than_the_open_one()
{
    let folder = Folder::new();
    run(&folder).await;
    let (open, closed) = (folder.at("audit.jsonl"), folder.at("audit.000000000001.jsonl"));
    fs::rename(&open, &closed).unwrap();
    let ours = fs::read(&closed).unwrap();
    let keyless = forged(end(&ours), None, 2);
    fs::write(&open, &keyless).unwrap();
    let start = run(&folder).await;
    assert_eq!((&start["continues"], &start["unsigned"]), (&named(end(&ours)).into(), &4.into()));
    fs::remove_file(&open).unwrap();
    assert_eq!(run(&folder).await["continues"], named(end(&ours)));
    // Bound to nothing that is there.
    fs::write(&open, forged(End { sequence: 4, hash: [b'x'; 43] }, None, 2)).unwrap();
    assert_eq!(run(&folder).await["set_aside"], "audit.000000000005.unverified.jsonl");
    assert_eq!(
        folder.names(),
        ["audit.000000000001.unverified.jsonl", "audit.000000000005.unverified.jsonl", "audit.jsonl"]
    );
    fs::rename(&open, &closed).unwrap();
    fs::write(&closed, forged(NOTHING, None, 2)).unwrap();
    assert_eq!(run(&folder).await["set_aside"], "audit.000000000001.unverified-2.jsonl");
}

/// What of the log is not there any more is told by the next process, as far as it can be seen.
#[tokio::test]
async fn what_is_missing_at_the_start_is_told() {
    let folder = Folder::new();
    let touched = || {
        let text = fs::read_to_string(folder.at("audit.jsonl")).unwrap();
        let mut records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.rfind(|record| record["kind"] == "touched")
    };
    run(&folder).await;
    run(&folder).await;
    assert_eq!(touched(), None);
    let (open, closed) = (folder.at("audit.jsonl"), folder.at("audit.000000000001.jsonl"));
    // As if it had been cut from the front.
    let whole = fs::read_to_string(&open).unwrap();
    let rest: String = whole.split_inclusive('\n').skip(4).collect();
    fs::write(&open, &rest).unwrap();
    run(&folder).await;
    let told = touched().unwrap();
    assert_eq!((&told["what"], &told["missing"]), (&"not_before".into(), &4.into()));
    // What it begins after is in another file.
    fs::write(&closed, whole.split_inclusive('\n').take(4).collect::<String>()).unwrap();
    fs::write(&open, &rest).unwrap();
    run(&folder).await;
    assert_eq!(touched(), None);
    fs::write(&open, "").unwrap();
    run(&folder).await;
    assert_eq!(touched().unwrap()["what"], "no_open_file");
}
