//! The five rows of the chapter's table: execution, runtime, cancellation, state machine, size. C#'s `Task` stands
//! beside Rust's `Future` and gannet's `Fetch`.
//!
//! Claim: each cell names an example of this folder that shows it; the row of sizes is shown here. A future is as
//! large as what it holds across its awaits, until it is boxed; a `Fetch` is at most 4 KiB, and in fact a few words,
//! since what it drives is boxed within it.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::path::Path;

/// What the chapter says about one of the three, and the example that shows it.
struct Cell {
    says: &'static str,
    shown_by: &'static str,
}

const fn cell(says: &'static str, shown_by: &'static str) -> Cell {
    Cell { says, shown_by }
}

/// Row, C#'s Task, Rust's Future, gannet's Fetch.
const TABLE: [(&str, [Cell; 3]); 5] = [
    (
        "execution",
        [
            cell("starts at once", "compute"),
            cell("lazy until polled", "lazy_and_spawned"),
            cell("lazy: no socket, no timer", "compute"),
        ],
    ),
    (
        "runtime",
        [
            cell("built in: the CLR", "fetch_data"),
            cell("chosen by the program", "fetch_data"),
            cell("any tokio; else an error", "fetch_data"),
        ],
    ),
    (
        "cancellation",
        [
            cell("by token", "process"),
            cell("by drop or select!", "run_with_timeout"),
            cell("by drop, token or deadline", "background_work"),
        ],
    ),
    (
        "state machine",
        [
            cell("compiled", "make_future"),
            cell("compiled", "make_future"),
            cell("written by hand", "make_future"),
        ],
    ),
    (
        "size",
        [
            cell("an object on the heap", "comparison"),
            cell("on the stack until boxed", "comparison"),
            cell("at most 4 KiB", "comparison"),
        ],
    ),
];

/// The limit of a `Fetch`, in bytes.
const LARGEST_FETCH: usize = 4096;

mod plain {
    use std::pin::Pin;

    /// A future that holds `N` bytes across an await.
    pub(super) async fn holds<const N: usize>() -> usize {
        let held = [1_u8; N];
        tokio::task::yield_now().await;
        held.iter().map(|byte| usize::from(*byte)).sum()
    }

    /// The same behind a pointer, as every C# Task is.
    pub(super) fn boxed<const N: usize>() -> Pin<Box<dyn Future<Output = usize> + Send>> {
        Box::pin(holds::<N>())
    }

    /// Holds nothing across its await: the bytes are gone before it.
    pub(super) async fn lets_go<const N: usize>() -> usize {
        let sum = [1_u8; N].iter().map(|byte| usize::from(*byte)).sum();
        tokio::task::yield_now().await;
        sum
    }
}

mod with_gannet {
    use gannet::Client;

    /// Each lazy builder with its size in bytes.
    pub(super) fn sizes(client: &Client) -> [(&'static str, usize); 5] {
        let url = "http://localhost/";
        let urls = ["http://localhost/a", "http://localhost/b"];
        [
            ("client.get(url)", size_of_val(&client.get(url))),
            ("client.get(url).text()", size_of_val(&client.get(url).text())),
            ("client.fetch_first(urls)", size_of_val(&client.fetch_first(urls))),
            ("client.fetch_all(urls)", size_of_val(&client.fetch_all(urls))),
            ("client.fetch_each(urls)", size_of_val(&client.fetch_each(urls))),
        ]
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    each_cell_names_an_example();
    a_future_is_as_large_as_what_it_holds().await;
    a_fetch_is_small();
    Ok(())
}

fn each_cell_names_an_example() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/chapter");
    println!("{:<14} {:<44} {:<44} {:<44}", "", "C# Task", "Rust Future", "gannet Fetch");
    for (row, cells) in TABLE {
        print!("{row:<14}");
        for Cell { says, shown_by } in cells {
            assert!(folder.join(shown_by).with_extension("rs").is_file(), "there is no example {shown_by}");
            print!(" {:<44}", format!("{says} ({shown_by})"));
        }
        println!();
    }
}

async fn a_future_is_as_large_as_what_it_holds() {
    let (small, large) = (plain::holds::<16>(), plain::holds::<4096>());
    let (boxed, frugal) = (plain::boxed::<4096>(), plain::lets_go::<4096>());
    println!("an async fn that holds 16 bytes across an await: {} bytes", size_of_val(&small));
    println!("one that holds 4096: {} bytes; boxed: {}", size_of_val(&large), size_of_val(&boxed));
    println!("one that lets go of them before the await: {} bytes", size_of_val(&frugal));

    assert!((16..256).contains(&size_of_val(&small)));
    assert!(size_of_val(&large) >= 4096);
    assert_eq!(size_of_val(&boxed), 2 * size_of::<usize>(), "a pointer and a table of functions");
    assert!(size_of_val(&frugal) < 256);
    assert_eq!((small.await, large.await, boxed.await, frugal.await), (16, 4096, 4096, 4096));
}

fn a_fetch_is_small() {
    for (name, size) in with_gannet::sizes(&gannet::Client::new()) {
        println!("{name}: {size} bytes");
        assert!(size <= LARGEST_FETCH, "{name} has {size} bytes, over its limit of {LARGEST_FETCH}");
    }
}
