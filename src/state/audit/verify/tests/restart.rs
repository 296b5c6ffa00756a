//! What a process signs on top of when it starts: honest crashes are in order, and no later signature launders a forgery.

use super::*;

/// A log of one file, whose records have the times that they are given.
struct Told {
    writer: Writer,
    text: Vec<u8>,
}

impl Told {
    fn new() -> Told {
        Told { writer: Writer::new("a", true), text: Vec::new() }
    }

    fn tell(mut self, minute: u64, kind: &str, members: &str) -> Told {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(1_795_000_000 + minute * 60);
        let time = humantime::format_rfc3339_micros(time);
        let mut line = Vec::new();
        self.writer.end.begin(&mut line);
        line.extend_from_slice(
            format!(r#","time":"{time}","kind":"{kind}","replica":"r"{members}"#).as_bytes(),
        );
        let signed = self.writer.signed && kind == "checkpoint";
        self.writer.seal(&mut line, signed);
        self.text.append(&mut line);
        self
    }

    /// As a process begins: it tells what it goes on after, and signs that.
    fn start(self, minute: u64, continues: Option<End>) -> Told {
        let end = self.writer.end;
        let unsigned = end.sequence - continues.map_or(0, |end| end.sequence);
        let continues = continues.map(|end| format!(r#","continues":"{}""#, named(end))).unwrap_or_default();
        self.tell(minute, "start", &format!(r#","log":"a"{continues},"unsigned":{unsigned}"#))
            .checkpoint(minute)
    }

    fn decision(self, minute: u64) -> Told {
        self.tell(minute, "decision", r#","verdict":"granted""#)
    }

    fn checkpoint(self, minute: u64) -> Told {
        self.tell(minute, "checkpoint", "")
    }

    fn stop(self, minute: u64) -> Told {
        self.tell(minute, "stop", "").checkpoint(minute)
    }

    fn end(&self) -> End {
        self.writer.end
    }

    /// Somebody without the key goes on with it.
    fn forged(mut self) -> Told {
        self.writer.signed = false;
        self
    }

    fn genuine(mut self) -> Told {
        self.writer.signed = true;
        self
    }

    fn log(&self, demands: &Demands) -> Log {
        verified(&Files::from([("audit.jsonl".to_owned(), self.text.clone())]), demands).logs.remove(0)
    }

    /// What is wrong, and from which record on.
    fn fault(&self) -> Option<(u64, What)> {
        self.log(&strict()).fault.map(|fault| (fault.record, fault.what))
    }
}

fn strict() -> Demands {
    Demands { max_unsigned: None, ..demands(vec![key()]) }
}

fn named(end: End) -> String {
    format!("{}:{}", end.sequence, String::from_utf8_lossy(&end.hash))
}

const DAY: u64 = 24 * 60;
const fn too_long(minutes: u64) -> What {
    What::SignedTooLongAgo { seconds: minutes * 60 }
}

#[test]
fn a_crash_and_a_start_days_later_are_in_order() {
    let run = Told::new().start(0, None).decision(1).checkpoint(60);
    let signed = run.end();
    let crashed = run.decision(61).decision(119);
    assert_eq!(crashed.fault(), None);
    let again = crashed.start(9 * DAY, Some(signed)).decision(9 * DAY + 59).stop(9 * DAY + 60);
    assert_eq!(again.fault(), None);
    assert!(again.log(&Demands { closed: true, ..strict() }).fault.is_none());
    let recovered = Told::new().start(0, None);
    let signed = recovered.end();
    let recovered = recovered.decision(1).tell(DAY, "recovered", r#","bytes":7"#);
    let start = format!(r#","continues":"{}","unsigned":1"#, named(signed));
    let recovered = recovered.tell(DAY, "start", &start).checkpoint(DAY);
    assert_eq!(recovered.fault(), None);
}

#[test]
fn a_log_that_was_replaced_before_a_start_is_not_made_good_by_it() {
    let forged = |minutes: u64| {
        let begun = Told::new().forged().tell(0, "start", r#","log":"a""#);
        (1..=10).fold(begun, |told, at| told.decision(at * minutes / 10)).genuine()
    };
    assert_eq!(forged(2 * DAY).start(2 * DAY, None).stop(2 * DAY + 1).fault(), Some((1, too_long(2 * DAY))));
    // With all times of one hour, and even if it does not say that it stopped.
    assert_eq!(forged(50).start(51, None).stop(52).fault(), Some((1, What::NeverSigned)));
    // The first signature of a log comes soon, whatever is said of restarts in between.
    let idle = Told::new().forged().tell(0, "start", "").genuine().start(2 * DAY, None);
    assert_eq!(idle.fault(), Some((1, too_long(2 * DAY))));
}

#[test]
fn records_that_were_put_after_an_orderly_stop_are_not_made_good_by_a_start() {
    let stopped = || Told::new().start(0, None).decision(1).stop(2);
    let end = stopped().end();
    let put = stopped().forged().decision(3).genuine().start(4, Some(end));
    assert_eq!(put.fault(), Some((6, What::AfterStop)));
    let put = stopped().forged().tell(3, "start", "").decision(4).genuine().start(5, Some(end));
    assert_eq!(put.fault(), Some((6, What::NeverSigned)));
    let runs = (1..=30).fold(stopped().forged(), |told, at| told.tell(at * 60, "start", ""));
    assert_eq!(
        runs.genuine().start(1801, Some(end)).fault(),
        Some((6, too_long(120))),
        "as soon as it is too long"
    );
    let marked = stopped().forged().tell(3, "start", "").checkpoint(3).genuine().start(5, Some(end));
    assert_eq!(marked.fault(), Some((6, What::Unsigned { checkpoint: 7 })));
}

#[test]
fn a_gap_in_the_middle_is_named_and_nothing_after_it_is_called_sound() {
    let begun = Told::new().start(0, None).decision(1).checkpoint(2);
    let sound = begun.end();
    let gap = begun.decision(3).decision(70).checkpoint(71).decision(72).stop(73);
    assert_eq!(gap.fault(), Some((5, too_long(67))));
    let log = gap.log(&strict());
    assert_eq!((log.last, log.records, log.signed, log.unsigned), (sound, 4, Some(4), 0));
    // What was noted elsewhere later vouches for it, and what was noted before does not.
    let anchored = |end| gap.log(&Demands { anchors: vec![end], ..strict() }).fault.is_none();
    assert!(anchored(gap.end()) && !anchored(sound));
    assert!(
        gap.log(&Demands { max_unsigned: Some(Duration::from_secs(67 * 60)), ..strict() }).fault.is_none()
    );
    assert!(gap.log(&demands(Vec::new())).fault.is_none(), "without a key nothing is said of signatures");
}

/// Nobody has to be told how often the log is signed: it says so itself, and only what is signed is believed.
#[test]
fn the_last_signature_says_how_long_records_wait_for_the_next() {
    let signed = |every: &str| Told::new().tell(0, "start", "").tell(0, "checkpoint", every);
    let forged = |told: Told| (1..=6).fold(told.forged(), |told, at| told.decision(at * 10));
    assert_eq!(forged(signed("")).fault(), None, "an older version does not say it");
    let found = forged(signed(r#","every_ms":1000"#));
    assert_eq!(found.fault(), Some((3, too_long(50))));
    let own_word = signed(r#","every_ms":1000"#).forged().tell(1, "checkpoint", r#","every_ms":3600000"#);
    assert!(forged(own_word).fault().is_some());
    let end = signed(r#","every_ms":1000"#).end();
    let again = found.genuine().start(61, Some(end)).stop(62);
    assert_eq!(again.fault(), Some((3, too_long(50))), "nor does a start make it good");
    let long = Demands { max_unsigned: Some(Duration::from_secs(3600)), ..strict() };
    let log = again.log(&long);
    assert_eq!((log.fault, log.unsigned_starts), (None, vec![UnsignedStart { record: 9, unsigned: 6 }]));
    let late = signed(r#","every_ms":60000"#).decision(1).decision(3).checkpoint(60);
    assert_eq!(late.fault(), None, "it may have waited for the disk");
    assert!(signed(r#","every_ms":18446744073709551615"#).decision(1).decision(70).fault().is_some());
}

#[test]
fn the_earliest_and_the_latest_time_count() {
    let days =
        |last| (1..=29).fold(Told::new().start(0, None), |told, day| told.decision(day * DAY)).decision(last);
    assert_eq!(days(29 * DAY).fault(), Some((3, too_long(28 * DAY))));
    let backdated = days(DAY);
    assert_eq!(backdated.fault(), Some((3, too_long(28 * DAY))));
    let log = backdated.log(&demands(Vec::new()));
    assert_eq!((log.back, log.first_back), (1, Some(32)));
    let log = Told::new().start(10, None).decision(5).decision(9).decision(3).log(&strict());
    assert_eq!((log.back, log.first_back), (1, Some(5)));
}

#[test]
fn what_a_start_goes_on_after_is_checked() {
    let run = || Told::new().start(0, None).decision(1).checkpoint(2);
    let (first, last) = (Told::new().start(0, None).end(), run().end());
    let crashed = || run().decision(3).decision(4);
    let faulty = |text: &str| crashed().tell(5, "start", text).checkpoint(5).fault();
    let right = format!(r#","continues":"{}","unsigned":2"#, named(last));
    assert_eq!(faulty(&right), None);
    let other = End { hash: [b'B'; 43], ..last };
    for wrong in [
        format!(r#","continues":"{}","unsigned":4"#, named(first)),
        format!(r#","continues":"{}","unsigned":2"#, named(other)),
        format!(r#","continues":"{}","unsigned":1"#, named(End { sequence: 5, ..last })),
        format!(r#","continues":"{}","unsigned":3"#, named(last)),
        format!(r#","continues":"{}""#, named(last)),
        format!(r#","continues":"{}","unsigned":{}"#, named(last), u64::MAX),
        format!(r#","continues":"99:{}","unsigned":2"#, "A".repeat(43)),
        r#","continues":"\u001b[2J","unsigned":2"#.to_owned(),
        r#","unsigned":7"#.to_owned(),
    ] {
        assert_eq!(faulty(&wrong), Some((7, What::Continues)), "{wrong}");
    }
}

#[test]
fn numbers_at_their_end_and_sums_do_not_overflow() {
    let sum = Told::new().start(0, None);
    let lost = format!(r#","records":{}"#, u64::MAX);
    let log = sum.tell(1, "lost", &lost).tell(1, "lost", &lost).log(&strict());
    assert_eq!((log.lost, log.fault), (u64::MAX, None));
    for before in [u64::MAX - 1, u64::MAX - 2, super::super::super::chain::LAST - 2] {
        let mut told = Told::new();
        told.writer.end.sequence = before;
        let told = told.decision(0).decision(0).decision(0).decision(0);
        for anchor in [before, u64::MAX] {
            let end = End { sequence: anchor, hash: [b'A'; 43] };
            let wanted = Demands { partial: true, anchors: vec![end], from: vec![end], ..strict() };
            assert!(told.log(&wanted).fault.is_some());
        }
    }
}

/// What only has to be said again after an orderly stop opens no door to anything else.
#[test]
fn after_an_orderly_stop_nothing_is_decided_before_a_start() {
    let stopped = || Told::new().start(0, None).stop(1);
    let unsynced = |told: Told| told.tell(2, "unsynced", r#","from":1,"to":4"#);
    let end = stopped().end();
    let put = unsynced(stopped().forged()).decision(2).genuine();
    assert_eq!(put.start(3, Some(end)).fault(), Some((6, What::AfterStop)));
    let put = stopped().forged().tell(2, "recovered", r#","bytes":7"#).decision(2).genuine();
    assert_eq!(put.start(3, Some(end)).fault(), Some((6, What::AfterStop)));
    let told = || unsynced(stopped()).checkpoint(2);
    let end = told().end();
    assert_eq!(told().decision(2).fault(), Some((7, What::AfterStop)));
    assert_eq!(unsynced(told()).fault(), Some((7, What::AfterStop)));
    assert_eq!(told().start(9, Some(end)).decision(9).stop(10).fault(), None);
    let end = stopped().end();
    assert_eq!(unsynced(stopped()).start(9, Some(end)).fault(), None, "it crashed before it could sign that");
}
