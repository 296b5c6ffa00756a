//! A child process with everything it says captured; killed on drop.

use super::eventually;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

/// A running program.
pub struct Program {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    said: Arc<Mutex<Said>>,
}

/// The lines of both streams, and how many of the two are still open.
#[derive(Default)]
struct Said {
    lines: Vec<String>,
    open: usize,
}

impl Program {
    /// Starts it. Standard input stays open until [`Program::close_stdin`] or drop.
    pub fn start(command: &mut Command) -> Program {
        Program::start_reading(command, Stdio::piped())
    }

    /// Starts it with this as its standard input.
    pub fn start_reading(command: &mut Command, stdin: Stdio) -> Program {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let said = Arc::<Mutex<Said>>::default();
        listen(child.stdout.take().unwrap(), &said);
        listen(child.stderr.take().unwrap(), &said);
        Program { name, stdin: child.stdin.take(), child, said }
    }

    /// Writes a line to its standard input.
    pub fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("standard input is open");
        writeln!(stdin, "{line}").unwrap();
        stdin.flush().unwrap();
    }

    /// Ends its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for a line that `find` makes something of. Panics, with all that was said, if the program ends first.
    pub async fn hear<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        eventually(what, async || {
            let (found, silent) = {
                let said = self.said.lock().unwrap();
                (said.lines.iter().find_map(|line| find(line)), said.open == 0)
            };
            // An ended program may still have lines in the pipe: the last word is spoken when both streams closed.
            assert!(found.is_some() || !silent, "{} ended before {what}:\n{}", self.name, self.output());
            found
        })
        .await
    }

    /// Everything it said so far on both streams.
    pub fn output(&self) -> String {
        self.said.lock().unwrap().lines.join("\n")
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill -s {name} failed");
    }

    /// Waits until it has ended and all that it said is heard.
    pub async fn ended(&mut self) -> ExitStatus {
        let name = self.name.clone();
        let status = eventually(&format!("the end of {name}"), async || self.child.try_wait().unwrap()).await;
        let silent = async || (self.said.lock().unwrap().open == 0).then_some(());
        eventually(&format!("the last word of {name}"), silent).await;
        status
    }

    /// Kills it (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn listen(stream: impl Read + Send + 'static, said: &Arc<Mutex<Said>>) {
    let said = Arc::clone(said);
    said.lock().unwrap().open += 1;
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            said.lock().unwrap().lines.push(line);
        }
        said.lock().unwrap().open -= 1;
    });
}
