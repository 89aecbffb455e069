//! The program `gannet`: from a command line to an exit code. What it does stands here from left to right; how it is
//! done, in the rooms beside.

mod args;
mod demo;
mod doctor;
mod dry_run;
mod exit;
mod input;
mod job;
mod limits;
mod pen;
mod plan;
mod report;
mod run;
mod say;
mod signals;
mod tell;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;

use tokio::time::Instant;

use crate::args::{Command, NoCommand, SharedArgs, Surroundings};
use crate::exit::Exit;
use crate::job::{Job, JobTo, NotGoneOn, Refused, Start};
use crate::plan::Plan;
use crate::say::{Complaint, Ink, Voice};

/// A request makes some thirty small allocations and one of 4 KiB; this allocator does them in a third of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let begun = Instant::now();
    match args::parse(std::env::args_os(), &Surroundings::of_this_process()) {
        Ok(Command::Get(args)) => fetch(&args.shared, begun, |voice| Plan::get(&args, begun, voice)),
        Ok(Command::Race(args)) => fetch(&args.shared, begun, |voice| Plan::race(&args, begun, voice)),
        Ok(Command::Check(args)) => fetch(&args.shared, begun, |voice| Plan::check(&args, begun, voice)),
        Ok(Command::Resume { words }) => go_on(&words, Start::Resume, begun),
        Ok(Command::Retry { words }) => go_on(&words, Start::Retry, begun),
        Ok(Command::Jobs) => tell::telling(|_, out| Ok(job::jobs(out))),
        Ok(Command::Explain { job, url }) => tell::telling(|_, out| job::explain(&job, &url, out)),
        Ok(Command::Verify { job }) => tell::telling(|voice, out| job::verify(&job, voice, out)),
        Ok(Command::Demo { act }) => demo::run(act),
        Ok(Command::Doctor) => doctor::run(),
        Ok(Command::Config { config }) => tell::config(config.as_deref()),
        Ok(Command::Completions { shell }) => tell::completions(shell),
        Ok(Command::Man) => tell::man(),
        Err(none) => explain(none),
    }
}

/// `gannet resume` and `gannet retry`: the command of a job once more.
fn go_on(words: &[OsString], start: Start, begun: Instant) -> ExitCode {
    match job::command(words, start) {
        Ok(args) => fetch(&args.shared, begun, |voice| Ok(Plan::get(&args, begun, voice)?.started_by(start))),
        Err(NotGoneOn::Words(none)) => explain(none),
        Err(NotGoneOn::Journal(Refused { complaint, exit })) => {
            refuse(&complaint);
            exit.into()
        }
    }
}

/// Says why there is nothing to do.
fn explain(none: NoCommand) -> ExitCode {
    match none {
        NoCommand::Clap(message) => show(&message),
        NoCommand::Refused(complaint) => refuse(&complaint),
    }
}

/// Makes a plan, runs or shows it, and gives its exit code.
fn fetch(
    shared: &SharedArgs,
    begun: Instant,
    plan: impl FnOnce(&Voice) -> Result<Plan, Complaint>,
) -> ExitCode {
    let outcome = Voice::of(plan::level(shared), plan::ink(shared)).and_then(|voice| {
        if plan::is_logged(shared) {
            voice.log();
        }
        match plan(&voice) {
            Ok(plan) => carry_out(plan, &voice, begun),
            Err(complaint) => Ok(voice.refuse(&complaint)),
        }
    });
    match outcome {
        Ok(exit) => exit.into(),
        Err(cause) => refuse(&Complaint::new("the system lets gannet not start").why(cause.to_string())),
    }
}

/// Runs a plan, or shows it in the place of that.
fn carry_out(mut plan: Plan, voice: &Voice, begun: Instant) -> io::Result<Exit> {
    if let Some(shown) = plan.shown.take() {
        return dry_run::show(plan, &shown, voice);
    }
    let mut job = match plan.job.take().map(JobTo::open).transpose() {
        Ok(job) => job.flatten(),
        Err(Refused { complaint, exit }) => {
            voice.refuse(&complaint);
            return Ok(exit);
        }
    };
    // Last, so that a run that is refused leaves its files as they were.
    match std::mem::take(&mut plan.records).open(voice) {
        Ok(records) => {
            if let Some(Err(Refused { complaint, exit })) = job.as_mut().map(Job::begin) {
                voice.refuse(&complaint);
                return Ok(exit);
            }
            run::run(plan, (records, job), voice, begun)
        }
        Err(complaint) => {
            job.into_iter().for_each(Job::abandon);
            Ok(voice.refuse(&complaint))
        }
    }
}

/// Prints help or version.
fn show(message: &clap::Error) -> ExitCode {
    // If nobody can read it, there is nowhere else to say it.
    let _ = message.print();
    Exit::Obtained.into()
}

/// Says what is wrong with the command line, before there is a voice.
fn refuse(complaint: &Complaint) -> ExitCode {
    let _ = io::stderr().write_all(Ink::chosen().error(complaint).as_bytes());
    Exit::Refused.into()
}
