//! Signing a command line in.

use super::*;

pub fn command_line() -> Vec<(String, String)> {
    let choice = |value: &str, label: &str, chosen| Choice { value: value.into(), label: label.into(), chosen };
    let browser = CommandLinePage {
        shell: shell(Nav::Account),
        client: "tokenward (command line)".into(),
        host: NASTY.into(),
        waiting: None,
        action: "/console/command-line".into(),
        fields: vec![("port".into(), "41234".into()), ("host".into(), NASTY.into())],
        cancel: Some("http://127.0.0.1:41234/?error=access_denied&state=s".into()),
        organizations: vec![choice("", "All of mine", true), choice(&id(1), "Acme", false)],
        hours: vec![choice("1", "1 hour", false), choice("12", "12 hours", true)],
        password: proof_fields(),
        provers: vec![ProviderLink {
            name: "Acme Login".into(),
            href: "/console/account/prove/acme?next=%2F".into(),
            icon: String::new(),
        }],
        account: "owner@acme.example".into(),
        error: None,
    };
    let waiting = |own: &str| WaitingMachine {
        address: "203.0.113.9".into(),
        own_address: own.into(),
        elsewhere: own != "203.0.113.9",
    };
    let device = |own| CommandLinePage {
        waiting: Some(waiting(own)),
        action: "/console/device".into(),
        fields: vec![("code".into(), "BCDF-GHJK".into())],
        cancel: None,
        password: None,
        ..browser.clone()
    };
    let typed = |code| DevicePage { shell: shell(Nav::Account), code, error: None };
    let handed = |href: Option<&str>| HandedPage {
        shell: shell(Nav::Account),
        host: "build-7".into(),
        href: href.map(str::to_owned),
    };
    let rendered = |name: &str, page: Result<String, askama::Error>| (name.to_owned(), page.unwrap());
    vec![
        rendered("command-line-device", device("203.0.113.9").render()),
        rendered("command-line-elsewhere", device("192.0.2.1").render()),
        rendered("command-line-done", handed(Some("http://127.0.0.1:41234/?code=c&state=s")).render()),
        rendered("command-line-machine", handed(None).render()),
        rendered("device", typed(FormField::default()).render()),
        rendered("device-wrong", typed(FormField::new("XXXX-XXXX").refused("It is no code.")).render()),
        rendered("command-line", browser.render()),
    ]
}
