//! One line, one run: installers, codes, heads, forms, lists, and what people mistype.

use gannet_origin::Origin;
use serde_json::Value;

use super::sh;
use crate::fixture::{Folder, origin, start};

fn at(origin: &Origin, path: &str) -> String {
    origin.url(path)
}

#[test]
fn an_installer_is_piped_into_sh() {
    let (folder, origin) = (Folder::new(), origin());
    let url = at(&origin, "/install.sh?text=echo%20installed");
    let ran = sh(&folder, r#"gannet -fsSL "$URL" | sh"#, &[("URL", &url)]);
    assert_eq!((ran.code, ran.out().as_str(), ran.stderr.as_str()), (0, "installed\n", ""));
}

#[test]
fn an_installer_that_is_not_there_runs_nothing() {
    let (folder, origin) = (Folder::new(), origin());
    let url = at(&origin, "/install.sh?status=404&text=echo%20installed");
    let ran = sh(&folder, r#"gannet -fsSL "$URL" | sh"#, &[("URL", &url)]);
    assert_eq!((ran.code, ran.out().as_str()), (3, ""));
    assert!(ran.stderr.starts_with("error: ") && ran.stderr.lines().count() == 3, "{}", ran.stderr);
}

#[test]
fn an_installer_over_https_only_is_piped_into_sh() {
    let (folder, plain) = (Folder::new(), origin());
    let secure = start(Origin::builder().tls(gannet_origin::Tls::Both));
    folder.write("ca.pem", secure.ca_pem());
    let path = "/install.sh?text=echo%20installed";
    let script = r#"gannet --cacert ca.pem --proto '=https' --tlsv1.2 -sSf "$URL" | sh"#;
    let ran = sh(&folder, script, &[("URL", &secure.localhost_url(path))]);
    assert_eq!((ran.code, ran.out().as_str(), ran.stderr.as_str()), (0, "installed\n", ""));
    let ran = sh(&folder, script, &[("URL", &at(&plain, path))]);
    assert_eq!((ran.code, ran.out().as_str()), (2, ""));
    assert!(ran.stderr.contains("--proto"), "{}", ran.stderr);
    assert_eq!(plain.requests_to("/install.sh"), 0, "over plain http nothing is asked");
}

#[test]
fn the_code_of_a_url_is_taken_by_a_script() {
    let (folder, origin) = (Folder::new(), origin());
    let script = r#"code=$(gannet -s -o /dev/null -w '%{http_code}' --retry 0 "$URL"); echo "$code $?""#;
    let none = format!("http://{}/", gannet_origin::refusing_addr().expect("a free port"));
    for (url, expected) in
        [(at(&origin, "/x"), "200 0\n"), (at(&origin, "/x?status=404"), "404 3\n"), (none, "000 3\n")]
    {
        let ran = sh(&folder, script, &[("URL", &url)]);
        assert_eq!((ran.code, ran.out().as_str(), ran.stderr.as_str()), (0, expected, ""), "{url}");
    }
}

#[test]
fn a_head_is_asked_for_and_printed() {
    let (folder, origin) = (Folder::new(), origin());
    let ran = sh(&folder, r#"gannet -I "$URL""#, &[("URL", &at(&origin, "/x?size=1000&header=X-A:b"))]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let out = ran.out();
    assert!(out.starts_with("HTTP/1.1 200 OK\r\n") && out.ends_with("\r\n\r\n"), "{out:?}");
    let lower = out.to_ascii_lowercase();
    assert!(lower.contains("content-length: 1000\r\n") && lower.contains("x-a: b\r\n"), "{out}");
}

#[test]
fn a_head_is_written_before_its_body() {
    let (folder, origin) = (Folder::new(), origin());
    let ran = sh(&folder, r#"gannet --include "$URL""#, &[("URL", &at(&origin, "/x?text=hello"))]);
    let out = ran.out();
    let (head, body) = out.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!((ran.code, body.trim_end()), (0, "hello"));
    let ran = sh(&folder, r#"gannet -D heads -o body "$URL""#, &[("URL", &at(&origin, "/x?text=hello"))]);
    assert_eq!((ran.code, folder.read("body").trim_end()), (0, "hello"));
    assert!(folder.read("heads").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn json_and_forms_are_posted() {
    let (folder, origin) = (Folder::new(), origin());
    folder.write("form.txt", "a=b\nc=d\n");
    folder.write("pic.bin", "\u{1}\u{2}pic");
    let echo = at(&origin, "/echo");
    let run = |script: &str| {
        let ran = sh(&folder, script, &[("URL", &echo)]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{script}: {ran:?}");
        ran.echo()
    };
    let body = |echo: &Value| echo["body"].as_str().unwrap_or_default().to_owned();
    let header = |echo: &Value, name: &str| {
        let fields = echo["headers"].as_array().into_iter().flatten();
        fields
            .filter(|field| field[0] == name)
            .map(|field| field[1].as_str().unwrap_or_default().to_owned())
            .collect::<String>()
    };

    let json = run(r#"gannet --json '{}' "$URL""#);
    assert_eq!((json["method"].as_str(), body(&json).as_str()), (Some("POST"), "{}"));
    assert_eq!(header(&json, "content-type"), "application/json");
    let form = run(r#"gannet -d @form.txt "$URL""#);
    assert_eq!((form["method"].as_str(), body(&form).as_str()), (Some("POST"), "a=bc=d"));
    let raw = run(r#"printf 'x\ny' | gannet --data-binary @- "$URL""#);
    assert_eq!(body(&raw), "x\ny");
    let query = run(r#"gannet -G --data-urlencode 'q=a b&c' -d z=1 "$URL""#);
    assert_eq!(query["method"].as_str(), Some("GET"));
    assert!(
        query["path"].as_str().is_some_and(|target| target.ends_with("/echo?q=a%20b%26c&z=1")),
        "{query}"
    );
    let parts = run(r#"gannet -F name=value -F 'pic=@pic.bin;type=image/png' "$URL""#);
    let kind = header(&parts, "content-type");
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a form").trim_matches('"');
    let text = body(&parts);
    assert_eq!(text.matches(boundary).count(), 3, "{text}");
    assert!(text.contains("name=\"name\"\r\n\r\nvalue\r\n"), "{text}");
    assert!(
        text.contains("filename=\"pic.bin\"\r\nContent-Type: image/png\r\n\r\n\u{1}\u{2}pic\r\n"),
        "{text}"
    );
}

#[test]
fn each_url_has_its_own_o() {
    let (folder, origin) = (Folder::new(), origin());
    let (one, two) = (at(&origin, "/1?text=one"), at(&origin, "/2?text=two"));
    let ran = sh(&folder, r#"gannet -o a "$ONE" -o b "$TWO""#, &[("ONE", &one), ("TWO", &two)]);
    assert_eq!((ran.code, ran.out().as_str()), (0, ""));
    assert_eq!((folder.read("a").trim_end(), folder.read("b").trim_end()), ("one", "two"));
}

#[test]
fn the_same_file_is_fetched_twice() {
    let (folder, origin) = (Folder::new(), origin());
    let url = at(&origin, "/file.txt?text=one");
    for _ in 0..2 {
        let ran = sh(&folder, r#"gannet -sSO "$URL""#, &[("URL", &url)]);
        assert_eq!((ran.code, ran.out().as_str(), ran.stderr.as_str()), (0, "", ""));
    }
    assert_eq!(folder.names("."), ["file.txt"]);
    assert_eq!(origin.requests_to("/file.txt"), 2, "-O overwrites, as curl does");
}

#[test]
fn a_glob_stands_for_a_hundred_files() {
    let (folder, origin) = (Folder::new(), origin());
    let url = at(&origin, "/[1-100].txt");
    let ran = sh(&folder, r#"gannet "$URL" -P d"#, &[("URL", &url)]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(folder.names("d").len(), 100);
    assert!(folder.names("d").contains(&"100.txt".to_owned()));
    let ran = sh(&folder, r#"gannet -o 'x_#1_#2' "$URL""#, &[("URL", &at(&origin, "/{a,b}[1-2]"))]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(folder.names("."), ["d", "x_a_1", "x_a_2", "x_b_1", "x_b_2"]);
}

#[test]
fn options_come_from_a_file_in_curls_format() {
    let (folder, origin) = (Folder::new(), origin());
    let list = format!(
        "# a list\nurl = \"{}\"\noutput = one\n--url {}\n-o two\nsilent\nheader = \"X-A: b\"\n",
        at(&origin, "/1?text=one"),
        at(&origin, "/echo")
    );
    folder.write("list.cfg", &list);
    let ran = sh(&folder, "gannet -K list.cfg", &[]);
    assert_eq!((ran.code, ran.out().as_str(), ran.stderr.as_str()), (0, "", ""));
    assert_eq!(folder.read("one").trim_end(), "one");
    assert!(folder.read("two").contains("x-a"), "the header went along");
}

#[test]
fn a_list_is_fetched_into_a_folder_and_reported_to_jq() {
    let (folder, origin) = (Folder::new(), origin());
    let list: String =
        (0..20).map(|number| format!("{}\n", at(&origin, &format!("/{number}?size=10")))).collect();
    folder.write("urls.txt", &list);
    let script =
        "gannet -i urls.txt -P d --report - | jq -r 'select(.type==\"result\") | .outcome' | sort | uniq -c";
    let ran = sh(&folder, script, &[]);
    assert_eq!((ran.code, ran.out().trim()), (0, "20 ok"), "{ran:?}");
    assert_eq!(folder.names("d").len(), 20);
}

#[test]
fn a_mistyped_subcommand_is_no_host() {
    let ran = sh(&Folder::new(), "gannet chekc http://localhost:1/", &[]);
    assert_eq!((ran.code, ran.out().as_str()), (2, ""));
    assert!(ran.stderr.contains("did you mean `gannet check`?"), "{}", ran.stderr);
}

#[test]
fn a_list_that_is_a_url_is_told_to_be_curls_include() {
    let ran = sh(&Folder::new(), "gannet -i http://localhost:1/", &[]);
    assert_eq!((ran.code, ran.out().as_str()), (2, ""));
    assert!(ran.stderr.contains("lists are read with -i; for headers use --include"), "{}", ran.stderr);
}
