//! Settings from files and the environment, and what the program tells about itself, as its users meet them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A home of its own, removed at the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gannet-settings-{}-{number}", std::process::id()));
        std::fs::create_dir_all(path.join("gannet")).expect("a folder can be made");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).expect("a file can be written");
    }

    /// Runs the program here; its exit code, standard output and standard error.
    fn run(&self, line: &str, variables: &[(&str, &str)]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gannet"));
        command.args(line.split_whitespace()).current_dir(&self.0).env("XDG_CONFIG_HOME", &self.0);
        let output = command.envs(variables.iter().copied()).output().expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
    }

    /// Runs it; it must end with 2, say this, and never the secret.
    fn is_refused(&self, line: &str, variables: &[(&str, &str)], said: &str) {
        let (code, _, stderr) = self.run(line, variables);
        assert!(code == 2 && stderr.contains(said), "{line}: {code} {stderr}");
        assert!(!stderr.contains("SEKRET"), "{stderr}");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_variable_counts_for_more_than_the_file() {
    let home = Home::new();
    home.write(
        "gannet/gannet.toml",
        "verbose = true\nheader = [\"A: b\", \"C: d\"]\ndirectory-prefix = \"out\"\n",
    );
    let held = |variables: &[(&str, &str)]| home.run("config", variables).1;
    assert!(
        held(&[]).contains("verbose = true") && held(&[("GANNET_QUIET", "0")]).contains("verbose = true")
    );
    let quiet = held(&[("GANNET_QUIET", "1"), ("GANNET_HEADER", "E: f"), ("GANNET_NO_BODY", "yes")]);
    assert!(!quiet.contains("verbose") && !quiet.contains("directory-prefix"), "{quiet}");
    assert_eq!(quiet.lines().filter(|line| line.starts_with("header")).count(), 1, "{quiet}");
}

#[test]
fn config_shows_what_holds_and_where_it_comes_from_but_no_secret() {
    let home = Home::new();
    home.write(
        "gannet/gannet.toml",
        "max-time = 30\nuser = \"me:SEKRET\"\nheader = [\"A: SEKRET\"]\ntlsv1.2 = true\nmirror = [\"http://u:SEKRET@a/\"]\n",
    );
    let (code, stdout, stderr) = home.run("config", &[("GANNET_MAX_TIME", "20"), ("GANNET_HTTP1_1", "yes")]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in ["max-time = \"20\"  # GANNET_MAX_TIME", "\"http1.1\" = true  # GANNET_HTTP1_1"] {
        assert!(stdout.lines().any(|found| found == line), "{line}: {stdout}");
    }
    assert!(stdout.contains("gannet.toml line 4") && stdout.contains("(5 settings)"), "{stdout}");
    assert!(!stdout.contains("SEKRET"), "{stdout}");
}

#[test]
fn a_file_that_cannot_be_meant_is_refused_with_its_line_and_without_its_values() {
    let home = Home::new();
    for (text, said) in [
        ("\nretyr = 5\n", "t line 2: retyr is no setting"),
        ("retyr = 5\n", "did you mean retry?"),
        ("user = SEKRET\n", "line 1"),
        ("quiet = \"SEKRET\"\n", "quiet is true or false"),
        ("max-time = true\n", "max-time takes a string or a number"),
        ("max-time = [1]\n", "max-time takes one value"),
        ("max-time = \"5x\"\n", "t line 1: max-time cannot be used"),
        ("max-time = 1\nmax_time = 2\n", "t line 2: max_time is there twice"),
        ("progress = \"loud\"\n", "it takes auto, bar, plain, json, none"),
        ("config = \"other\"\n", "config is no setting"),
    ] {
        home.write("t", text);
        home.is_refused("--config t http://a.example/", &[], said);
        home.is_refused("http://a.example/", &[("GANNET_CONFIG", "t")], said);
        home.is_refused("config", &[("GANNET_CONFIG", "t")], said);
    }
    home.is_refused("--config none http://a.example/", &[], "the settings in none cannot be read");
}

#[test]
fn the_command_line_and_k_count_for_more_than_settings() {
    let home = Home::new();
    home.write("gannet/gannet.toml", "if-exists = \"skip\"\nhttp2 = true\nread-timeout = \"1s\"\n");
    home.write("k", "http1.1\r\n# a comment\r\nurl = \"http://127.0.0.1:1/\"\r\nretry: 0\r\n");
    let (code, _, stderr) = home.run("-K k", &[]);
    assert!(
        code == 3 && stderr.contains("http://127.0.0.1:1/ not fetched after 1 attempt"),
        "{code} {stderr}"
    );
    home.write("k", "url = race\n");
    home.is_refused("-K k", &[], "has to come first");
    home.write("k", "-K k\n");
    home.is_refused("-K k", &[], "more than 10 files");
    home.write("k", "\nupload-file = x\n");
    home.is_refused(
        "race -K k",
        &[],
        "k line 2: there is no --upload-file\n  fix: gannet fetches; use curl for this",
    );
    home.is_refused("-K - -i -", &[], "-K - contradicts -i -");
    for body in ["-d @-", "--json @-", "--data-urlencode name@-", "-F a=@-", "-w @-"] {
        home.is_refused(&format!("-K - {body} http://a.example/"), &[], "-K - contradicts a value of @-");
    }
}

#[test]
fn completions_are_made_for_each_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, stdout, _) = home.run(&format!("completions {shell}"), &[]);
        assert!(code == 0 && stdout.contains("parallel-max"), "{shell}");
    }
    home.is_refused("completions ksh", &[], "ksh");
}

#[test]
fn the_doctor_finds_this_machine_fit_and_tells_what_settings_are_wrong() {
    let home = Home::new();
    let (code, stdout, stderr) = home.run("doctor", &[("https_proxy", "http://u:SEKRET@proxy/")]);
    assert_eq!(stderr, "");
    let line =
        |what: &str| stdout.lines().find(|line| line[5..].trim_start().starts_with(what)).map(str::to_owned);
    for what in ["HTTP/1.1", "HTTP/2", "TLS", "temporary files", "clock"] {
        assert!(line(what).is_some_and(|line| line.starts_with("ok ")), "{what}: {stdout}");
    }
    assert!(line("proxies").is_some_and(|line| line.starts_with("warn ")), "{stdout}");
    assert_eq!(code == 1, stdout.lines().any(|line| line.starts_with("fail ")), "{stdout}");
    assert!(!stdout.contains("SEKRET"));
    let (code, stdout, _) = home.run("doctor", &[("GANNET_NONSENSE", "1")]);
    assert!(code == 1 && stdout.contains("fail  settings"), "{stdout}");
}
