//! `fetch_data(url)`: a URL's text. C# awaits `GetStringAsync`, which the CLR's scheduler runs; here the program
//! chooses its runtime, with `#[tokio::main]` or otherwise.
//!
//! Claim: the text comes, on either kind of runtime; outside of one, gannet gives an error that says so.
//!
//! The usual version shows the text's first bytes and unwraps. It panics on a short text and on one that is cut amid
//! a character, and a failure does not say which URL it was.

#![expect(clippy::print_stdout, reason = "an example talks")]

use std::any::Any;
use std::error::Error;
use std::panic::catch_unwind;

use gannet::{Client, ErrorKind, Phase};
use gannet_origin::{Origin, refusing_addr};
use tokio::runtime::Builder;

#[path = "plain_http.rs"]
mod plain_http;

mod plain {
    use std::io;

    use super::plain_http::get_text;

    pub(super) async fn fetch_data(url: &str) -> io::Result<String> {
        get_text(url).await
    }

    /// How a text is usually cut short for printing: by bytes.
    pub(super) fn usual_preview(text: &str) -> &str {
        &text[..10]
    }

    /// By characters, at most ten of them.
    pub(super) fn preview(text: &str) -> &str {
        text.char_indices().nth(10).map_or(text, |(end, _)| &text[..end])
    }
}

mod with_gannet {
    use gannet::Client;

    pub(super) async fn fetch_data(client: &Client, url: &str) -> Result<String, gannet::Error> {
        client.get(url).text().await
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let origin = Origin::start_in_thread(Origin::builder())?;
    the_text_comes(&origin).await?;
    either_kind_of_runtime_will_do(&origin)?;
    without_a_runtime_gannet_says_so(&origin.url("/"))?;
    the_usual_preview_panics(&origin).await?;
    an_unwrap_forgets_the_url().await
}

async fn the_text_comes(origin: &Origin) -> Result<(), Box<dyn Error>> {
    let url = origin.url("/?text=hello");
    assert_eq!(plain::fetch_data(&url).await?, "hello");
    assert_eq!(with_gannet::fetch_data(&Client::new(), &url).await?, "hello");
    assert_eq!(gannet::get(&url).text().await?, "hello");
    println!("plain and gannet: {url} says hello");
    Ok(())
}

/// One client, built outside of both, serves two runtimes in turn.
fn either_kind_of_runtime_will_do(origin: &Origin) -> Result<(), Box<dyn Error>> {
    let (client, url) = (Client::new(), origin.url("/?text=hello"));
    let before = origin.counts().connections;
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.enable_all().build()?;
        let fetch = with_gannet::fetch_data(&client, &url);
        let text = std::thread::scope(|threads| threads.spawn(|| runtime.block_on(fetch)).join());
        // Who waits for nothing may let go of a runtime within another one.
        runtime.shutdown_background();
        assert_eq!(text.map_err(|panic| said(&*panic))??, "hello");
    }
    assert_eq!(origin.counts().connections, before + 2, "no connection crosses from one runtime to another");
    println!("gannet: the same client works in a current-thread and in a multi-thread runtime");
    Ok(())
}

fn without_a_runtime_gannet_says_so(url: &str) -> Result<(), Box<dyn Error>> {
    let by_gannet = outside_of_any_runtime(gannet::get(url).text()).map_err(|panic| said(&*panic))?;
    let error = by_gannet.expect_err("nothing is fetched outside of a runtime");
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    println!("gannet, no runtime: {error}");

    println!("plain, no runtime: panics, as standard error shows");
    let url = url.to_owned();
    let panic = outside_of_any_runtime(async move { plain::fetch_data(&url).await });
    let panic = panic.expect_err("tokio's socket panics outside of a runtime");
    assert!(said(&*panic).contains("no reactor running"));
    Ok(())
}

async fn the_usual_preview_panics(origin: &Origin) -> Result<(), Box<dyn Error>> {
    let short = plain::fetch_data(&origin.url("/?text=hello")).await?;
    let accents = "%C3%A9".repeat(20);
    let multi_byte = plain::fetch_data(&origin.url(&format!("/?text=a{accents}"))).await?;
    for (text, whole) in [(short, "hello"), (multi_byte, "aééééééééé")] {
        println!("plain: the usual preview of {text:?} panics, as standard error shows");
        assert!(catch_unwind(|| plain::usual_preview(&text).len()).is_err());
        assert_eq!(plain::preview(&text), whole);
    }
    Ok(())
}

async fn an_unwrap_forgets_the_url() -> Result<(), Box<dyn Error>> {
    let host = refusing_addr()?.to_string();
    let url = format!("http://{host}/");
    println!("plain: an unwrap panics, as standard error shows");
    let for_plain = url.clone();
    let panic = tokio::spawn(async move { plain::fetch_data(&for_plain).await.unwrap() });
    let panic = panic.await.expect_err("nobody listens there").into_panic();
    assert!(!said(&*panic).contains(&host), "the panic does not say which URL it was");

    let error = gannet::get(&url).text().retry(0).await.expect_err("nobody listens there");
    assert_eq!((error.kind(), error.phase(), error.url()), (ErrorKind::Refused, Phase::Connect, Some(&*url)));
    println!("gannet: {error} (phase {}; root cause: {})", error.phase().as_str(), error.root_cause());
    Ok(())
}

/// Polls a future to its end in a thread that knows of no runtime; `Err` is what it panicked with.
fn outside_of_any_runtime<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> std::thread::Result<T> {
    std::thread::spawn(move || futures::executor::block_on(future)).join()
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
