//! Runs a program under ptrace(2) and decides, at each of its system calls that touches a file below a folder, whether
//! it is let through, fails, is cut short, or is the last thing that the program does. Only that one call is hit,
//! whichever thread makes it: strace counts the calls of each thread by itself, and cannot tell a write to a part,
//! whose name is drawn by lot, from one that wakes a thread.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// A call that touches a file below the folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    /// From the folder's own name on; the drawn part of a part's name is a `*`.
    pub(crate) path: String,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed {
    LetThrough,
    /// It is not made, and gives this.
    Fail(Errno),
    /// Half of the bytes are written.
    Shorten,
    /// It is not made: the process dies by SIGKILL.
    Kill,
}

/// How a traced program ended.
pub(crate) struct Traced {
    /// As shells have it.
    pub(crate) code: i32,
    /// It was killed for being too slow.
    pub(crate) hung: bool,
    pub(crate) calls: Vec<Call>,
}

/// The program, held by a shell until it is traced.
pub(crate) fn held(program: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "read -r _; exec \"$0\" \"$@\" < /dev/null", program]);
    shell
}

/// Runs what is [`held`] to its end.
#[expect(clippy::zombie_processes, reason = "waitpid waits for it, as for its threads")]
pub(crate) fn trace(
    mut shell: Command,
    below: &Path,
    limit: Duration,
    deed: impl FnMut(&Call) -> Deed,
) -> Traced {
    let mut child = shell.stdin(Stdio::piped()).spawn().expect("a shell starts");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).expect("this machine lets a parent trace its child");
    drop(child.stdin.take());
    let (over, told) = mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        let hung = told.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
        hung && kill(pid, Signal::SIGKILL).is_ok()
    });
    let (above, name) = (below.parent().expect("a folder"), below.file_name().expect("a name"));
    let above = above.canonicalize().expect("the folder above is there");
    let below = above.join(name);
    let mut tracer = Tracer { leader: pid, above, below, deed, calls: Vec::new(), amid: HashMap::new() };
    let code = tracer.run();
    drop(over);
    Traced { code, hung: guard.join().expect("the guard does not panic"), calls: tracer.calls }
}

struct Tracer<F> {
    leader: Pid,
    above: PathBuf,
    below: PathBuf,
    deed: F,
    calls: Vec<Call>,
    /// The threads that are amid a call, and what it is to give.
    amid: HashMap<Pid, Option<Errno>>,
}

impl<F: FnMut(&Call) -> Deed> Tracer<F> {
    fn run(&mut self) -> i32 {
        // Children of other threads are other tests'.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let (pid, signal) = match waitpid(None, Some(flags)).expect("the program was not yet waited for")
            {
                WaitStatus::Exited(pid, code) if pid == self.leader => return code,
                WaitStatus::Signaled(pid, signal, _) if pid == self.leader => return 128 + signal as i32,
                WaitStatus::PtraceSyscall(pid) => {
                    self.at_call(pid);
                    (pid, None)
                }
                WaitStatus::PtraceEvent(pid, _, event) => {
                    if event == libc::PTRACE_EVENT_EXEC {
                        self.amid.insert(pid, None);
                    }
                    (pid, None)
                }
                WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
                _ => continue,
            };
            // A thread that is killed meanwhile cannot go on, and its end comes by itself.
            let _ = ptrace::syscall(pid, signal);
        }
    }

    fn at_call(&mut self, pid: Pid) {
        let Ok(mut registers) = ptrace::getregs(pid) else { return };
        if let Some(given) = self.amid.remove(&pid) {
            if let Some(errno) = given {
                registers.rax = (-i64::from(errno as i32)).cast_unsigned();
                let _ = ptrace::setregs(pid, registers);
            }
            return;
        }
        let mut given = None;
        if let Some(call) = self.call(pid, &registers) {
            match (self.deed)(&call) {
                Deed::LetThrough => {}
                Deed::Fail(errno) => {
                    registers.orig_rax = u64::MAX;
                    given = Some(errno);
                    let _ = ptrace::setregs(pid, registers);
                }
                Deed::Shorten => {
                    registers.rdx = registers.rdx.div_ceil(2);
                    let _ = ptrace::setregs(pid, registers);
                }
                Deed::Kill => {
                    let _ = kill(self.leader, Signal::SIGKILL);
                }
            }
            self.calls.push(call);
        }
        self.amid.insert(pid, given);
    }

    /// The call that is being entered, if it touches a file below the folder.
    fn call(&self, pid: Pid, registers: &libc::user_regs_struct) -> Option<Call> {
        let here = libc::AT_FDCWD;
        let by_name = |folder: u64, name: u64| {
            // The kernel takes the lower half.
            let folder = folder as i32;
            path_at(pid, if folder == here { None } else { Some(folder) }, name)
        };
        let by_descriptor = |descriptor: u64| fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok();
        let (rdi, rsi, rdx, r10) = (registers.rdi, registers.rsi, registers.rdx, registers.r10);
        let cwd = i64::from(here).cast_unsigned();
        let (name, path) = match i64::try_from(registers.orig_rax).ok()? {
            libc::SYS_write => ("write", by_descriptor(rdi)),
            libc::SYS_writev => ("writev", by_descriptor(rdi)),
            libc::SYS_pwrite64 => ("pwrite64", by_descriptor(rdi)),
            libc::SYS_fsync => ("fsync", by_descriptor(rdi)),
            libc::SYS_fdatasync => ("fdatasync", by_descriptor(rdi)),
            libc::SYS_syncfs => ("syncfs", by_descriptor(rdi)),
            libc::SYS_ftruncate => ("ftruncate", by_descriptor(rdi)),
            libc::SYS_open => ("open", by_name(cwd, rdi)),
            libc::SYS_openat => ("openat", by_name(rdi, rsi)),
            libc::SYS_mkdir => ("mkdir", by_name(cwd, rdi)),
            libc::SYS_mkdirat => ("mkdirat", by_name(rdi, rsi)),
            libc::SYS_unlink => ("unlink", by_name(cwd, rdi)),
            libc::SYS_unlinkat => ("unlinkat", by_name(rdi, rsi)),
            libc::SYS_rename => ("rename", by_name(cwd, rsi)),
            libc::SYS_renameat => ("renameat", by_name(rdx, r10)),
            libc::SYS_renameat2 => ("renameat2", by_name(rdx, r10)),
            libc::SYS_linkat => ("linkat", by_name(rdx, r10)),
            _ => return None,
        };
        let path = path.filter(|path| path.starts_with(&self.below))?;
        let path = path.strip_prefix(&self.above).ok()?;
        Some(Call { name, path: without_lot(&path.to_string_lossy()) })
    }
}

/// The path that a name at this address in the memory of a thread stands for.
fn path_at(pid: Pid, folder: Option<i32>, name: u64) -> Option<PathBuf> {
    let mut bytes = [0; 4096];
    // Up to the end of a page, behind which there may be nothing.
    let length = 4096 - usize::try_from(name % 4096).ok()?;
    let memory = File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut found = memory.read_at(&mut bytes[..length], name).ok()?;
    if !bytes[..found].contains(&0) {
        found += memory.read_at(&mut bytes[found..], name + found as u64).ok()?;
    }
    let end = bytes[..found].iter().position(|byte| *byte == 0)?;
    let name = Path::new(std::str::from_utf8(&bytes[..end]).ok()?);
    let folder = match folder {
        Some(descriptor) => format!("/proc/{pid}/fd/{descriptor}"),
        None => format!("/proc/{pid}/cwd"),
    };
    let whole = fs::read_link(folder).ok()?.join(name);
    Some(whole.components().filter(|part| *part != Component::CurDir).collect())
}

/// `NAME.LABEL.part` without its label, which is drawn by lot.
fn without_lot(path: &str) -> String {
    match path.strip_suffix(".part").and_then(|path| path.rsplit_once('.')) {
        Some((name, _)) => format!("{name}.*.part"),
        None => path.to_owned(),
    }
}
