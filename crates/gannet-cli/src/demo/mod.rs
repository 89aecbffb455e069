//! `gannet demo`: five short acts on a built-in origin, each with its promise beside what plain tokio does. Here are
//! the order of the acts and the exit code; each act has a room of its own. No number is written down in advance:
//! all are computed from outcomes and from what the origin counted.

mod all;
mod cancel;
mod first;
mod hedge;
mod lazy;
mod lines;
mod naive;
mod scene;
mod stage;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use scene::{Scene, Verdict};

/// One act: its name, what happens in it, the Rust lines that gannet runs in it, and how to play it.
struct Act {
    name: &'static str,
    what: &'static str,
    lines: &'static str,
    play: fn() -> io::Result<Scene>,
}

/// In the order in which they are played.
const ACTS: [Act; 5] = [lazy::ACT, all::ACT, first::ACT, cancel::ACT, hedge::ACT];

/// How often an act is played at most: a loaded machine may be late once.
const TAKES: usize = 2;

/// What to type after the demo.
const NEXT: &str = "\
Try next:
  gannet -i urls.txt -P out --deadline 10m --report report.jsonl          a list, by a deadline
  gannet race https://a.example/x.iso https://b.example/x.iso -o x.iso    two mirrors, the first that succeeds
  gannet demo first                                                       one act, with its Rust lines
";

/// Plays one act, or all of them: exit code 0 if every promise held, else 1; 2 for an act that there is not.
///
/// # Panics
/// Inside of a tokio runtime: it brings its own.
pub(crate) fn run(act: Option<String>) -> ExitCode {
    let played = match &act {
        None => play_all(&mut io::stdout().lock()),
        Some(name) => match ACTS.iter().find(|act| act.name == name.as_str()) {
            Some(act) => play_one(act, &mut io::stdout().lock()),
            None => return unknown(name),
        },
    };
    match played {
        Ok(code) => code,
        // As after SIGPIPE: whoever read the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(141),
        Err(error) => {
            // Where standard error is closed too, the exit code has to do.
            let _ = writeln!(io::stderr().lock(), "error: the demo could not be played\n  why: {error}");
            ExitCode::from(1)
        }
    }
}

fn play_all(out: &mut dyn Write) -> io::Result<ExitCode> {
    let began = Instant::now();
    writeln!(
        out,
        "Five acts on a built-in origin on loopback: plain tokio, then gannet, then the origin's count.\n"
    )?;
    out.flush()?;
    let mut broken = Vec::new();
    for act in &ACTS {
        if play(act, out)? != Verdict::Held {
            broken.push(act.name);
        }
        writeln!(out)?;
        out.flush()?;
    }
    let (held, seconds) = (ACTS.len() - broken.len(), scene::seconds(began.elapsed()));
    let which = if broken.is_empty() { String::new() } else { format!("; broken: {}", broken.join(", ")) };
    writeln!(out, "{held} of {} promises held, in {seconds}{which}\n\n{NEXT}", ACTS.len())?;
    out.flush()?;
    Ok(exit_code(&broken))
}

fn play_one(act: &Act, out: &mut dyn Write) -> io::Result<ExitCode> {
    let broken = if play(act, out)? == Verdict::Held { Vec::new() } else { vec![act.name] };
    writeln!(out, "\nThe Rust lines of this act:\n\n{}", scene::shown(act.lines))?;
    out.flush()?;
    Ok(exit_code(&broken))
}

fn exit_code(broken: &[&str]) -> ExitCode {
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Plays an act, and once more if it was only late.
fn play(act: &Act, out: &mut dyn Write) -> io::Result<Verdict> {
    let place = ACTS.iter().position(|other| other.name == act.name).map_or(0, |place| place + 1);
    writeln!(out, "{place} {:<8}{}", act.name, act.what)?;
    let mut take = 1;
    loop {
        out.flush()?;
        let scene = (act.play)()?;
        scene.write(out)?;
        if !matches!(scene.verdict, Verdict::Late(_)) || take == TAKES {
            return Ok(scene.verdict);
        }
        take += 1;
        writeln!(out, "  again     a loaded machine may be late once")?;
    }
}

fn unknown(name: &str) -> ExitCode {
    let acts = ACTS.map(|act| act.name).join(", ");
    let text = format!("error: there is no act {name:?}\n  fix: gannet demo, or one of its acts: {acts}\n");
    // Where standard error is closed, the exit code has to do.
    let _ = io::stderr().lock().write_all(text.as_bytes());
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_act_shows_lines_that_call_gannet() {
        for act in &ACTS {
            let lines = scene::shown(act.lines);
            assert!(
                lines.contains("gannet::{") && !lines.contains("//!") && !lines.contains("pub("),
                "{lines}"
            );
        }
    }

    fn act(play: fn() -> io::Result<Scene>) -> Act {
        Act { name: "act", what: "for a test", lines: "", play }
    }

    fn scene(verdict: Verdict) -> io::Result<Scene> {
        let [naive, gannet, origin, promise] = std::array::from_fn(|_| String::new());
        Ok(Scene { naive, gannet, origin, promise, verdict })
    }

    #[test]
    fn a_broken_promise_is_told_and_gives_exit_code_1() {
        let (mut out, broken) = (Vec::new(), act(|| scene(Verdict::Broken("lost one".to_owned()))));
        let code = play_one(&broken, &mut out).expect("a vector takes all");
        assert_eq!(code, ExitCode::from(1));
        assert!(String::from_utf8_lossy(&out).contains("BROKEN: lost one"));
    }

    #[test]
    fn an_act_that_is_late_is_played_once_more_and_no_oftener() {
        let (mut out, late) = (Vec::new(), act(|| scene(Verdict::Late("it took 51 ms".to_owned()))));
        let verdict = play(&late, &mut out).expect("a vector takes all");
        assert!(matches!(verdict, Verdict::Late(_)));
        assert_eq!(String::from_utf8_lossy(&out).matches("51 ms").count(), TAKES);
    }
}
