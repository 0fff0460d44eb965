//! The witness of `tools/witness` as a process of its own, and how to talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use strongroom::audit::Witness;

/// Ends with its owner.
#[derive(Debug)]
pub(crate) struct WitnessProcess {
    child: Child,
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
    /// Its key, as it told it.
    pub(crate) key: Witness,
}

/// What it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The type of its content.
    pub(crate) kind: String,
    pub(crate) body: String,
}

impl WitnessProcess {
    /// Keeps its memory in a directory, and knows the logs with these verifier keys.
    pub(crate) fn start(dir: &Path, name: &str, log_keys: &[String]) -> Self {
        let python = std::env::var("STRONGROOM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/witness/tlog_witness.py");
        let mut child = Command::new(python)
            .arg(program)
            .arg(dir)
            .arg(name)
            .args(log_keys)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut tell = |what: &str| {
            let line = told.next().ok_or("the witness did not start").unwrap().unwrap();
            line.strip_prefix(what).unwrap().to_owned()
        };
        let (key, port) = (tell("KEY ").parse().unwrap(), tell("LISTENING ").parse().unwrap());
        Self { child, port, key }
    }
}

impl Drop for WitnessProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Asks the witness at that port, over a connection of its own.
pub(crate) fn add_checkpoint(port: u16, body: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST /add-checkpoint HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let kind = lines.find_map(|line| line.strip_prefix("Content-Type: ")).unwrap_or_default();
    Answer { status, kind: kind.to_owned(), body: body.to_owned() }
}
