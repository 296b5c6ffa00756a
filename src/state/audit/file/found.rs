//! The file as the process before left it: gone on with, closed because it ends within a record, or set aside because it
//! can't be believed.

use super::super::chain::{End, NOTHING};
use super::super::names::Names;
use super::super::tail::{self, Head, Tail};
use super::super::vouched::{self, Contents, Doubt, Vouched};
use super::{LogFile, Opened, is_at, sync_folder, touched};
use anyhow::{Context, bail};
use aws_lc_rs::signature::Ed25519KeyPair;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

/// Goes on with the log whose open file this is.
pub(super) fn go_on(names: Names, file: File, key: Option<&Ed25519KeyPair>) -> anyhow::Result<Opened> {
    let name = names.open();
    let read = || Ok::<_, io::Error>((tail::head(&file)?, tail::tail(&file)?, file.metadata()?.len()));
    let (head, tail, length) = read().with_context(|| name.display().to_string())?;
    let believed = match key {
        Some(key) => Some(believe(&names, &file, length, tail, key)?),
        None => None,
    };
    let touched = touched::at_the_start(&names, head, length)?;
    let replica = writer(&names, &file)?;
    let (first, begun) = (head.map_or(1, |head| head.sequence), begun(head));
    let file = LogFile { names, file, length, first, begun, aside: None };
    match (believed, tail.end) {
        (Some(Err(doubt)), _) => set_aside(file, doubt),
        (Some(Ok(vouched)), end) => continued(file, end, tail.cut, Some(vouched)),
        (None, end) => continued(file, end, tail.cut, None),
    }
    .map(|opened| match opened.end {
        NOTHING => opened,
        _ => Opened { touched, replica, ..opened },
    })
}

/// Who wrote the last record of the open file, or where it has none, of the one before.
fn writer(names: &Names, open: &File) -> io::Result<Option<String>> {
    let closed = || match names.newest_closed()? {
        Some(newest) => tail::replica(&File::open(newest)?),
        None => Ok(None),
    };
    tail::replica(open)?.map_or_else(closed, |replica| Ok(Some(replica)))
}

/// How far signatures vouch for the open file, or where it has none, for the one before.
fn believe(
    names: &Names,
    file: &File,
    length: u64,
    Tail { end, cut }: Tail,
    key: &Ed25519KeyPair,
) -> anyhow::Result<Result<Vouched, Doubt>> {
    let open = match end {
        Some(_) => match vouched::read(file, length - cut, key)? {
            Ok(open) if open.vouched.is_signed() => return Ok(Ok(open.vouched)),
            Ok(open) if open.before == NOTHING => return Ok(Err(Doubt::Unsigned)),
            Ok(open) => Some(open),
            Err(doubt) => return Ok(Err(doubt)),
        },
        None => None,
    };
    let Some(newest) = names.newest_closed()? else {
        return Ok(open.map_or(Ok(Vouched::default()), |_| Err(Doubt::Unsigned)));
    };
    let closed = of_file(&newest, key).with_context(|| newest.display().to_string())?;
    Ok(closed.and_then(|closed| match open {
        _ if !closed.vouched.is_signed() => Err(Doubt::Unsigned),
        Some(open) if open.before != closed.end => Err(Doubt::Broken),
        Some(open) => Ok(closed.vouched.then(open.vouched)),
        None => Ok(closed.vouched),
    }))
}

fn of_file(path: &PathBuf, key: &Ed25519KeyPair) -> io::Result<Result<Contents, Doubt>> {
    let file = File::open(path)?;
    let cut = tail::tail(&file)?.cut;
    vouched::read(&file, file.metadata()?.len() - cut, key)
}

/// Leaves every file of the log as it is, under a name that says so, and begins a new chain.
fn set_aside(mut file: LogFile, doubt: Doubt) -> anyhow::Result<Opened> {
    let names = file.names.clone();
    let mut aside = None;
    for first in names.all_closed()? {
        let name = free(&names, &file.file, |again| names.unverified(first, again))?;
        fs::rename(names.folder().join(names.closed(first)), names.folder().join(&name))
            .with_context(|| format!("{} can't be set aside", names.closed(first)))?;
        aside = Some(name);
    }
    if file.length > 0 {
        let name = free(&names, &file.file, |again| names.unverified(file.first, again))?;
        file.aside = Some(name.clone());
        aside = Some(name);
    }
    sync_folder(&names)?;
    let next = file.next_if_aside()?;
    tracing::error!(
        why = doubt.text(),
        set_aside = aside.as_deref(),
        "the audit log that was found can't be believed to be ours: it is left under another name, and a new one begins"
    );
    let vouched = Some(Vouched { set_aside: aside, ..Vouched::default() });
    let file = LogFile { first: 1, ..file };
    Ok(Opened { file, next, end: NOTHING, cut: None, vouched, touched: None, replica: None })
}

fn continued(
    mut file: LogFile,
    end: Option<End>,
    cut: u64,
    vouched: Option<Vouched>,
) -> anyhow::Result<Opened> {
    let Some(end) = end else {
        let (end, before) = of_closed(&file.names)?;
        if file.length > 0 && end == NOTHING && !begins_like_ours(&file.file)? {
            bail!(
                "{}: this is no audit log: move it away, or name another file",
                file.names.open().display()
            );
        }
        file.first = end.sequence + 1;
        if file.length > 0 {
            let aside = free(&file.names, &file.file, |again| file.names.aside(end.sequence + 1, again))?;
            file.aside = Some(aside);
        }
        let next = file.next_if_aside()?;
        let cut = Some(cut.max(before)).filter(|cut| *cut > 0);
        return Ok(Opened { file, next, end, cut, vouched, touched: None, replica: None });
    };
    if cut > 0 {
        file.aside = Some(file.names.closed(file.first));
    }
    let next = file.next_if_aside()?;
    Ok(Opened {
        file,
        next,
        end,
        cut: Some(cut).filter(|cut| *cut > 0),
        vouched,
        touched: None,
        replica: None,
    })
}

impl LogFile {
    /// Where this file is left as it is, under another name: the one that the log goes on in.
    fn next_if_aside(&self) -> anyhow::Result<Option<File>> {
        let next = self.aside.as_ref().map(|_| self.prepare()).transpose();
        next.with_context(|| format!("{} can't be closed", self.names.open().display()))
    }
}

/// The first of these names that no other file has.
fn free(names: &Names, file: &File, name: impl Fn(usize) -> String) -> io::Result<String> {
    for again in 0..MOST_AGAIN {
        let name = name(again);
        let path = names.folder().join(&name);
        if fs::symlink_metadata(&path).is_err() || is_at(file, &path)? {
            return Ok(name);
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{} and many more are there already", name(0))))
}

/// The end of the newest closed file that has a record, and the bytes of half a record behind it.
fn of_closed(names: &Names) -> anyhow::Result<(End, u64)> {
    let all = names.all_closed()?;
    for first in all.iter().rev() {
        let closed = names.folder().join(names.closed(*first));
        let tail = File::open(&closed).and_then(|file| tail::tail(&file));
        if let Tail { end: Some(end), cut } = tail.with_context(|| closed.display().to_string())? {
            return Ok((end, cut));
        }
    }
    match names.newest_closed()? {
        Some(newest) => bail!("{}: there is no record in it to continue after", newest.display()),
        None => Ok((NOTHING, 0)),
    }
}

/// Whether a file without one whole record may be what a crash left of the first: its beginning, or blocks never written.
fn begins_like_ours(file: &File) -> io::Result<bool> {
    let mut first = [0; 7];
    let count = file.read_at(&mut first, 0)?;
    Ok(first[0] == 0 || br#"{"seq":"#.starts_with(&first[..count]))
}

fn begun(head: Option<Head>) -> Instant {
    let age = head.and_then(|head| SystemTime::now().duration_since(head.time?).ok());
    age.and_then(|age| Instant::now().checked_sub(age)).unwrap_or_else(Instant::now)
}

/// How many files of one name and one number are told apart.
const MOST_AGAIN: usize = 1000;
