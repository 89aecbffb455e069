//! Draws the bar, through the voice's own pen, so that a terminal that stands still holds up nothing.

use std::io;

use gannet::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::Voice;
use crate::pen::Pen;
use crate::plan::Crowd;

/// A bar at the foot of the terminal.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn draw(voice: &Voice, crowd: Crowd) -> Self {
        let template = match crowd {
            Crowd::One => "{spinner} {wide_msg}{prefix}",
            Crowd::Several | Crowd::Listed => "{bar:24} {wide_msg}{prefix}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is a good one");
        let terminal = Box::new(Terminal(voice.pen().clone()));
        let bar =
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::term_like(terminal)).with_style(style);
        voice.show(bar.clone());
        Self(bar)
    }

    /// `below` are lines that stand below the bar, each cut to the terminal's width.
    pub(super) fn tell(&self, progress: &Progress, text: String, below: &[String]) {
        let width = size().map_or(80, |size| usize::from(size.ws_col)).saturating_sub(1);
        let cut = |line: &String| format!("\n{}", line.chars().take(width).collect::<String>());
        self.0.set_prefix(below.iter().map(cut).collect::<String>());
        self.0.set_length(progress.inputs);
        self.0.set_position(progress.settled);
        self.0.set_message(text);
        self.0.tick();
    }

    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}

/// A terminal at the other end of a pen (ECMA-48 control sequences).
#[derive(Debug)]
struct Terminal(Pen);

impl Terminal {
    fn send(&self, text: &str) -> io::Result<()> {
        self.0.write(text.as_bytes());
        Ok(())
    }

    fn step(&self, count: usize, letter: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.send(&format!("\u{1b}[{count}{letter}")) }
    }
}

fn size() -> Option<rustix::termios::Winsize> {
    rustix::termios::tcgetwinsize(io::stderr()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0)
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        size().map_or(80, |size| size.ws_col)
    }

    fn height(&self) -> u16 {
        size().map_or(24, |size| size.ws_row)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.step(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.step(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.step(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.step(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.send(text)?;
        self.send("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.send(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.send("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush();
        Ok(())
    }
}
