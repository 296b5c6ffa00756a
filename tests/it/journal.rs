//! One journal, several processes: writers, readers, and whoever compacts it.

use crate::support::clinch::{Clinch, command, finish};
use crate::support::eventually;
use crate::support::pki::Pki;
use crate::support::temporary::Folder;
use crate::support::wire::plain_get;
use crate::support::world::{config, write};
use clinch::pop::Timestamp;
use clinch::state::revocation::feed::file::{Compaction, append};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

const ISSUER: &str = "https://127.0.0.1:1";
const JOURNAL: &str = "revocations.jsonl";

/// Two replicas that read one journal. Their issuer can't be reached, which is nothing to the feed.
fn configured(folder: &Folder) -> (PathBuf, PathBuf) {
    let journal = folder.at(JOURNAL);
    let feed = format!(
        "revocation:\n  feed: {{ kind: file, path: '{}' }}\n  accept_plain: true\n",
        journal.display()
    );
    (write(folder, &Pki::new(), &(config(ISSUER, "127.0.0.1:1") + &feed)), journal)
}

fn now() -> i64 {
    Timestamp::from_system(SystemTime::now()).as_secs()
}

fn event(jti: &str, until: i64) -> String {
    json!({ "id": jti, "iss": ISSUER, "revoke": { "jti": jti }, "at": now() - 7200, "until": until })
        .to_string()
}

/// An event that ended an hour ago, and is long enough to be worth something.
fn over(n: usize) -> String {
    event(&format!("over-{n}-{}", "x".repeat(200)), now() - 3600)
}

async fn status(replica: &Clinch) -> Value {
    let answer = plain_get(replica.admin, "/status").await.expect("the admin port answers");
    serde_json::from_str(&answer.body).unwrap()
}

async fn has_entries(replica: &Clinch, wanted: usize) {
    let mut last = Value::Null;
    let all = async || {
        last = status(replica).await;
        (last["entries"] == wanted).then_some(())
    };
    eventually(&format!("{wanted} entries"), all).await;
    assert_eq!((&last["feed"]["state"], &last["events"]["rejected"]), (&"current".into(), &json!({})));
}

/// The ids in the journal, in their order.
fn left(journal: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(journal).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with(r#"{"compacted":"#));
    lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Compacts again and again until told to stop: how often it was worth it.
fn compact(journal: &Path, done: &AtomicBool) -> usize {
    let ended = Timestamp::from_secs(now() - 3600);
    let is_over = |line: &[u8]| line.windows(11).any(|part| part == br#""id":"over-"#);
    let ends = |line: &[u8]| is_over(line).then_some(ended);
    let compaction = Compaction { journal, least: 1024, ends: &ends, stop: &AtomicBool::new(false) };
    let mut times = 0;
    while !done.load(Relaxed) {
        times += usize::from(compaction.run().unwrap().is_some());
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_between_processes_that_write_and_compact() {
    const WRITERS: usize = 4;
    const EACH: usize = 500;
    const REVOKED: usize = 30;
    let folder = Folder::new();
    let (config, journal) = configured(&folder);
    let readers = [Clinch::start_unready(&config).await, Clinch::start_unready(&config).await];
    let done = AtomicBool::new(false);
    let compactions = std::thread::scope(|scope| {
        let compactors = [(); 2].map(|()| scope.spawn(|| compact(&journal, &done)));
        let (path, later) = (&journal, now() + 3600);
        let writers = (0..WRITERS).map(|writer| {
            scope.spawn(move || {
                for n in 0..EACH {
                    append(path, &event(&format!("{writer}/{n}"), later)).unwrap();
                    append(path, &over(n)).unwrap();
                }
            })
        });
        let commands = scope.spawn(|| {
            for n in 0..REVOKED {
                let (feed, jti) = (format!("file:{}", path.display()), format!("command/{n}"));
                let arguments = ["revoke", "--feed", &feed, "--jti", &jti, "--issuer", ISSUER];
                let output = command().args(arguments).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
        });
        let working: Vec<_> = writers.chain([commands]).collect();
        let worked: Vec<_> = working.into_iter().map(|thread| thread.join()).collect();
        done.store(true, Relaxed);
        assert!(worked.iter().all(Result::is_ok));
        compactors.into_iter().map(|compactor| compactor.join().unwrap()).sum::<usize>()
    });
    assert!(compactions > 1, "{compactions}");
    for reader in &readers {
        has_entries(reader, WRITERS * EACH + REVOKED).await;
    }
    // One that starts now has the same from what is left, in which every writer's events are in their order.
    has_entries(&Clinch::start_unready(&config).await, WRITERS * EACH + REVOKED).await;
    let left = left(&journal);
    for writer in 0..WRITERS {
        let of = |id: &&String| id.starts_with(&format!("{writer}/"));
        let wanted: Vec<String> = (0..EACH).map(|n| format!("{writer}/{n}")).collect();
        assert!(left.iter().filter(of).eq(&wanted), "writer {writer}");
    }
}

/// A large journal, mostly over, and something in it that nobody can read.
fn grown(journal: &Path, events: usize) -> String {
    let mut text: String = (0..events).map(|n| over(n) + "\n").collect();
    text += "{\"id\":\"kept\", not JSON\n";
    text += &(event("still", now() + 3600) + "\n");
    std::fs::write(journal, &text).unwrap();
    text
}

fn is_compacted(journal: &Path) -> bool {
    std::fs::read_to_string(journal).unwrap().starts_with(r#"{"compacted":"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_clinch_compacts_what_is_over_and_everybody_goes_on() {
    let folder = Folder::new();
    let (config, journal) = configured(&folder);
    let reader = Clinch::start_unready(&config).await;
    let text = grown(&journal, 4000);
    assert!(text.len() > 1024 * 1024);
    std::fs::set_permissions(&journal, std::fs::Permissions::from_mode(0o640)).unwrap();
    // One more, that looks right after it has caught up; the reader has just looked.
    let replica = Clinch::start_unready(&config).await;
    eventually("the compaction", async || is_compacted(&journal).then_some(())).await;
    let compacted = std::fs::read_to_string(&journal).unwrap();
    let kept: Vec<&str> = compacted.lines().skip(1).collect();
    assert_eq!(kept, text.lines().skip(4000).collect::<Vec<_>>());
    assert_eq!(std::fs::metadata(&journal).unwrap().permissions().mode() & 0o7777, 0o640);

    let wait = [&reader, &replica].map(|replica| format!("http://{}", replica.admin)).join(",");
    let feed = journal.to_str().unwrap();
    let arguments = ["revoke", "--feed", feed, "--jti", "new", "--issuer", ISSUER, "--wait", &wait];
    let output = finish(command().args(arguments)).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for replica in [&reader, &replica] {
        let status = status(replica).await;
        // Nobody has read anything twice.
        assert_eq!((&status["entries"], &status["events"]["applied"]), (&2.into(), &2.into()));
        assert_eq!(status["events"]["rejected"], json!({ "not_an_object": 1 }));
    }
    let end = std::fs::metadata(&journal).unwrap().len();
    assert_eq!(status(&replica).await["feed"]["position"], format!("byte {end} of {feed}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_leaves_the_old_journal_whole() {
    let folder = Folder::new();
    let (config, journal) = configured(&folder);
    let text = grown(&journal, 60_000);
    let draft = folder.at(&format!(".{JOURNAL}.compacting"));
    let mut replica = Clinch::start_unready(&config).await;
    eventually("the draft", async || draft.exists().then_some(())).await;
    replica.program.kill();
    assert!(draft.exists(), "it was killed too late");
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), text);

    let _replica = Clinch::start_unready(&config).await;
    eventually("the compaction", async || is_compacted(&journal).then_some(())).await;
    eventually("the end of the draft", async || (!draft.exists()).then_some(())).await;
    assert_eq!(std::fs::read_to_string(&journal).unwrap().lines().count(), 3);
}
