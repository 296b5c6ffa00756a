//! One event put at the end of a journal, by any of several processes.
//!
//! Under the lock: a compaction that comes before has left a new file at the path, which is opened instead; one that
//! comes after copies the line. Whichever file a crash leaves, the line was synchronised in it.

use super::lock;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

/// Where an event was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// To a journal that was there.
    Existing,
    /// To one that was made for it, which perhaps nobody reads.
    Created,
}

/// Appends one event, and waits until it is on the disk.
///
/// # Errors
/// Those of the file; also if only a part of the line could be written, or if another process has held the journal's
/// lock for five seconds. `event` is one line, without its newline.
pub fn append(path: &Path, event: &str) -> io::Result<Appended> {
    if event.contains('\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an event is one line"));
    }
    let (mut file, appended) = locked(path)?;
    let mut line = format!("{event}\n");
    if ends_within_a_line(&mut file)? {
        line.insert(0, '\n');
    }
    file.write_all(line.as_bytes())?;
    // Nobody waits for the disk but us. Where there are no locks there is nothing to undo.
    let _ = file.unlock();
    file.sync_data()?;
    if appended == Appended::Created {
        // The event is published whether or not that works.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let _ = File::open(directory.unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all());
    }
    Ok(appended)
}

/// The file that the path names, and nobody else's until it is closed.
fn locked(path: &Path) -> io::Result<(File, Appended)> {
    let deadline = Instant::now() + lock::PATIENCE;
    let mut appended = Appended::Existing;
    loop {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                appended = Appended::Created;
                options.create(true).open(path)?
            }
            opened => opened?,
        };
        lock::exclusively(&file, deadline)?;
        if lock::is_at(&file, path)? {
            return Ok((file, appended));
        }
        if Instant::now() >= deadline {
            return Err(lock::held());
        }
    }
}

/// Somebody died while writing: what follows must not become a part of that.
fn ends_within_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}
