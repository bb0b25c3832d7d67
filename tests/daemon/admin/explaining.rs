//! `banyan explain`, asked of a running process.

use super::{Admin, configuration};

#[test]
fn the_command_explains_a_request_of_the_running_process() {
    let admin = Admin::of(&configuration(), "");
    let run = |words: &str| {
        let output = admin.home.command(words).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };

    let words =
        "explain --listener web --method POST --host shop.example --path /a&b?c=1 --header x-a:1";
    let (code, told, said) = run(words);

    assert_eq!((code, said.as_str()), (Some(0), ""));
    for line in [
        "  router r",
        "    route 0, prefix /a&b",
        "    POST /a&b?c=1 HTTP/1.1",
        "    Host: shop.example",
        "    x-a: 1",
        "cluster api: 100 % of the requests, by LB_ROUNDROBIN",
        "  host 127.0.0.1:10 may be chosen (weight 2, 0 connections, 0 requests)",
    ] {
        assert!(told.lines().any(|found| found == line), "{line}: {told}");
    }
    let (code, told, _) = run(&format!("{words} --format json"));
    let told: serde_json::Value = serde_json::from_str(&told).expect("it is JSON");
    assert_eq!(code, Some(0));
    assert_eq!(told["clusters"][0]["hosts"][1]["weight"], 2);

    let (code, _, said) = run("explain --path /");
    assert_eq!(code, Some(1));
    assert_eq!(said, "say which listener: `web`, `bytes`\n");
    let (code, _, said) = run("explain --header x");
    assert_eq!(code, Some(64));
    assert_eq!(said, "--header x: a field is written NAME:VALUE\n");
}
