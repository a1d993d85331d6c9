//! Every kind of setting from every layer: what is understood, what is refused, and with which words.

use super::*;
use tokenward_core::time::{DAY, HOUR};
use tracing_subscriber::filter::{LevelFilter, Targets};

/// Each setting by its name, as one layer gives it.
#[derive(Clone, Copy, Debug)]
enum Layer {
    File,
    Variable,
    Flag,
}

fn variables(all: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    all.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn load(all: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(None, &variables(all), &Flags::default())
}

fn load_file(text: &str) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokenward.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file), &[], &Flags::default())
}

/// The configuration with one setting, a text, from a layer.
fn with(layer: Layer, name: &'static str, value: &str) -> Result<Config, ConfigError> {
    match layer {
        Layer::File => load_file(&format!("{name} = {}", toml::Value::from(value))),
        Layer::Variable => load(&[(&format!("TOKENWARD_{}", name.to_uppercase()), value)]),
        Layer::Flag => Config::load(None, &[], &Flags::default().with(name, Some(value))),
    }
}

/// What is said about the one mistake.
#[track_caller]
fn fault(loaded: Result<Config, ConfigError>) -> String {
    let faults = loaded.unwrap_err().0;
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.into_iter().next().unwrap()
}

/// The one mistake names the setting where it was written, and what is right.
#[track_caller]
fn refused(name: &'static str, value: &str, right: &str) {
    let upper = format!("TOKENWARD_{}", name.to_uppercase());
    let flag = format!("--{}", name.replace('_', "-"));
    for (layer, place) in [(Layer::File, "tokenward.toml, line 1"), (Layer::Variable, &upper), (Layer::Flag, &flag)] {
        let fault = fault(with(layer, name, value));
        assert!(fault.contains(place) && fault.contains(right), "{layer:?} `{value}`: {fault}");
        assert!(matches!(layer, Layer::Variable | Layer::Flag) || fault.starts_with(name), "{fault}");
    }
}

fn understood<T>(name: &'static str, value: &str, read: impl Fn(Config) -> T) -> T {
    for layer in [Layer::File, Layer::Flag] {
        with(layer, name, value).unwrap();
    }
    read(with(Layer::Variable, name, value).unwrap())
}

#[test]
fn the_default_file_is_the_default() {
    let config = load(&[]).unwrap();
    assert_eq!(listens(&config), ["127.0.0.1:8080"]);
    assert_eq!(config.database, "sqlite:tokenward-data/tokenward.db");
    assert_eq!((config.public_url, config.tls_cert, config.envoy_listen, config.pepper), (None, None, None, None));
    assert_eq!(config.trusted_gateways.len(), 2);
    assert_eq!(config.poll_interval, Duration::from_secs(1));
    assert_eq!((config.log, config.log_format), (Targets::new().with_default(LevelFilter::INFO), LogFormat::Text));
}

#[test]
fn every_setting_of_the_default_file_is_described() {
    let mut described = false;
    for line in DEFAULTS.lines() {
        match line.split_once(" = ") {
            Some((name, _)) if !line.starts_with('#') => assert!(described, "{name} has no comment above it"),
            // A comment goes on for the settings below it until the next empty line.
            _ => described = line.starts_with("# "),
        }
    }
}

#[test]
fn each_layer_counts_over_the_one_below() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokenward.toml");
    let text =
        "listen = \"127.0.0.1:1\"\nlog = \"debug\"\npoll_interval_ms = 70\npublic_url = \"https://file.example/\"";
    std::fs::write(&file, text).unwrap();
    let environment = variables(&[
        ("TOKENWARD_LISTEN", "127.0.0.1:2"),
        ("TOKENWARD_PUBLIC_URL", "https://b.example"),
        ("TOKENWARD_LOG", ""),
    ]);
    let flags = Flags::default().with("data_dir", Some("d")).with("public_url", Some("https://c.example"));
    let config = Config::load(Some(&file), &environment, &flags).unwrap();
    assert_eq!((listens(&config), config.poll_interval), (vec!["127.0.0.1:2".to_owned()], Duration::from_millis(70)));
    assert_eq!(config.log, Targets::new().with_default(LevelFilter::DEBUG), "an empty variable says nothing");
    assert_eq!(config.public_url.as_deref(), Some("https://c.example"));
    assert_eq!(config.database, "sqlite:d/tokenward.db");
}

#[test]
fn all_mistakes_are_told_at_once_with_the_place_of_each() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokenward.toml");
    let text =
        "listen = 8080\n\ntrusted_proxies = \"10.0.0.0/8\"\nlog_format = \"xml\"\nport = 1\nmisses_per_minute = 1\n";
    std::fs::write(&file, text).unwrap();
    let environment = variables(&[
        ("TOKENWARD_TLS_CERT", "c.pem"),
        ("TOKENWARD_TOKEN_PREFIXES", "Bad"),
        ("TOKENWARD_POLL_INTERVAL_MS", "soon"),
        ("TOKENWARD_DATBASE", "x"),
    ]);
    let flags = Flags::default().with("public_url", Some("tokens.acme.example"));
    let faults = Config::load(Some(&file), &environment, &flags).unwrap_err().0;
    let file = file.display();
    for expected in [
        format!("listen ({file}, line 1): must be a text in quotation marks"),
        format!("trusted_proxies ({file}, line 3): must be a list of texts"),
        format!("log_format ({file}, line 4): `xml` is neither text nor json"),
        format!("port ({file}, line 5) is no setting"),
        format!("misses_per_minute ({file}, line 6) is no setting"),
        "TOKENWARD_TLS_CERT is set without tls_key".to_owned(),
        "TOKENWARD_TOKEN_PREFIXES: prefix `Bad`".to_owned(),
        "TOKENWARD_POLL_INTERVAL_MS: `soon` is not a whole number".to_owned(),
        "TOKENWARD_DATBASE is no setting; did you mean TOKENWARD_DATABASE?".to_owned(),
        "--public-url: `tokens.acme.example` is no origin; write https://HOST".to_owned(),
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(&expected)), "{expected}\n{faults:#?}");
    }
    assert_eq!(faults.len(), 10, "{faults:#?}");
}

#[test]
fn an_unknown_name_is_told_with_the_nearest_known_one() {
    for (name, meant) in
        [("lissten", "listen"), ("log_fromat", "log_format"), ("tls-cert", "tls_cert"), ("databaseurl", "database")]
    {
        let fault = fault(load_file(&format!("{name} = \"127.0.0.1:1\"")));
        assert!(fault.contains(&format!("{name} (")) && fault.ends_with(&format!("did you mean {meant}?")), "{fault}");
    }
    assert!(fault(load_file("[server]\nlisten = \"127.0.0.1:1\"")).starts_with("server ("));
    for (name, hint) in [
        ("TOKENWARD_DATBASE", "did you mean TOKENWARD_DATABASE?"),
        ("TOKENWARD_COLOUR", "config.default.toml describes all of them"),
        ("TOKENWARD_LOGLEVEL", "did you mean TOKENWARD_LOG?"),
        ("TOKENWARD_DATABASE_URL", "did you mean TOKENWARD_DATABASE?"),
        ("TOKENWARD_DB", "did you mean TOKENWARD_DATABASE?"),
        ("TOKENWARD_PORT", "did you mean TOKENWARD_LISTEN?"),
        ("TOKENWARD_ORGANISATION", "did you mean TOKENWARD_ORGANIZATION?"),
        ("TOKENWARD_TEST_ANYTHING", "no setting"),
        ("TOKENWARD_SERVICE_HOST", "no setting"),
        ("TOKENWARD_LIMITS_HEAD_MSS", "did you mean TOKENWARD_LIMITS_HEAD_MS?"),
        ("TOKENWARD_listen", "did you mean TOKENWARD_LISTEN?"),
        ("TOKENWARD_Smtp_Url", "did you mean TOKENWARD_SMTP_URL?"),
        ("TOKENWARD_TOKENS", "no setting"),
    ] {
        let fault = fault(load(&[(name, "x")]));
        assert!(fault.starts_with(&format!("{name} is no setting")) && fault.contains(hint), "{fault}");
    }
}

#[test]
fn variables_that_others_read_are_no_mistakes() {
    for (name, value) in [
        ("TOKENWARD_URL", "https://tokens.acme.example"),
        ("TOKENWARD_TOKEN", "twd_x"),
        ("TOKENWARD_ORGANIZATION", "Acme"),
        ("TOKENWARD_CA_CERT", "ca.pem"),
        ("TOKENWARD_BENCH_TOKENS", "1000"),
        ("TOKENWARD_TEST_POSTGRES", "/usr/bin"),
        // What Kubernetes writes for services named `tokenward` and `tokenward-postgres`.
        ("TOKENWARD_SERVICE_HOST", "10.96.0.7"),
        ("TOKENWARD_SERVICE_PORT", "8080"),
        ("TOKENWARD_SERVICE_PORT_HTTP", "8080"),
        ("TOKENWARD_PORT", "tcp://10.96.0.7:8080"),
        ("TOKENWARD_PORT_8080_TCP", "tcp://10.96.0.7:8080"),
        ("TOKENWARD_PORT_8080_TCP_ADDR", "10.96.0.7"),
        ("TOKENWARD_PORT_8080_TCP_PORT", "8080"),
        ("TOKENWARD_PORT_9191_UDP_PROTO", "udp"),
        ("TOKENWARD_POSTGRES_SERVICE_HOST", "fd00::7"),
        ("TOKENWARD_POSTGRES_PORT_5432_TCP", "tcp://[fd00::7]:5432"),
        ("OTHER_LISTEN", "x"),
        ("LISTEN", "x"),
    ] {
        assert!(load(&[(name, value)]).is_ok(), "{name}");
        assert_eq!(unknown_variables(&variables(&[(name, value)])), Vec::<String>::new(), "{name}");
    }
    let unknown =
        unknown_variables(&variables(&[("TOKENWARD_ORG", "Acme"), ("TOKENWARD_LISTEN", "x"), ("TOKENWARD_X", "")]));
    assert_eq!(unknown, ["TOKENWARD_ORG is no setting; did you mean TOKENWARD_ORGANIZATION?"]);
}

#[test]
fn a_variable_that_is_not_utf_8_is_not_passed_over() {
    use std::os::unix::ffi::OsStringExt;
    let environment = [(OsString::from("TOKENWARD_DATA_DIR"), OsString::from_vec(vec![b'd', 0xff]))];
    assert_eq!(fault(Config::load(None, &environment, &Flags::default())), "TOKENWARD_DATA_DIR: is not UTF-8");
}

#[test]
fn a_file_that_is_no_toml_is_told_by_line_without_its_text() {
    for text in ["# Ours\npepper = 1:geheim", "\npepper = \"geheim", "\ndatabase = \"geheim\"\ndatabase = \"geheim\""] {
        let fault = fault(load_file(text));
        assert!(fault.contains("tokenward.toml, line ") && !fault.contains("geheim"), "{fault}");
    }
    let absent = Config::load(Some(Path::new("absent.toml")), &[], &Flags::default());
    assert!(fault(absent).starts_with("absent.toml: No such file"));
}

#[test]
fn addresses_to_listen_on() {
    for (value, address) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        (" 192.0.2.7:80 ", "192.0.2.7:80"),
        ("0.0.0.0:8443", "0.0.0.0:8443"),
        ("[::1]:8080", "[::1]:8080"),
        ("localhost:8081", "127.0.0.1:8081"),
    ] {
        assert_eq!(understood("listen", value, |config| listens(&config)), [address]);
        assert_eq!(understood("envoy_listen", value, |config| config.envoy_listen).unwrap().to_string(), address);
    }
    for (value, right) in [
        (":9000", "write 127.0.0.1:9000 for this machine alone, 0.0.0.0:9000 for others too"),
        ("9000", "write 127.0.0.1:9000 for this machine alone, 0.0.0.0:9000 for others too"),
        ("10.0.0.1", "write 10.0.0.1:"),
        ("::1", "write [::1]:"),
        ("http://127.0.0.1:9000", "write 127.0.0.1:9000"),
        ("*:9000", "write 127.0.0.1:9000 for this machine alone, 0.0.0.0:9000 for others too"),
        ("https://localhost:9000/", "write 127.0.0.1:9000"),
        ("localhost", "write 127.0.0.1:"),
        ("tokens.acme.example:8080", "write ADDRESS:PORT"),
        ("127.0.0.1:80800", "write ADDRESS:PORT"),
        ("nowhere", "write ADDRESS:PORT"),
    ] {
        refused("listen", value, right);
        refused("envoy_listen", value, right);
    }
    assert!(fault(load(&[("TOKENWARD_ENVOY_LISTEN", "localhost:8080")])).contains("a port of its own"));
}

/// Where a configuration listens, as texts.
fn listens(config: &Config) -> Vec<String> {
    config.listen.iter().map(ToString::to_string).collect()
}

#[test]
fn several_addresses_and_sockets_to_listen_on() {
    let socket = |path: &str, mode| ListenAddress::Socket { path: path.into(), mode };
    for (value, right) in [
        (
            "unix:/run/t.sock, 127.0.0.1:1",
            vec![socket("/run/t.sock", 0o660), ListenAddress::Address(([127, 0, 0, 1], 1).into())],
        ),
        (
            "127.0.0.1:1,[::1]:1",
            vec![
                ListenAddress::Address(([127, 0, 0, 1], 1).into()),
                ListenAddress::Address("[::1]:1".parse().unwrap()),
            ],
        ),
        (
            "127.0.0.1:1, unix:/t?mode=666",
            vec![ListenAddress::Address(([127, 0, 0, 1], 1).into()), socket("/t", 0o666)],
        ),
    ] {
        assert_eq!(understood("listen", value, |config| config.listen), right, "{value}");
    }
    for value in
        ["unix:", "unix:t.sock", "unix:/run/", "unix:/t?mode=9", "unix:/t?mode=0", "unix:/t?mode=7777", "unix:/t?x=1"]
    {
        refused("listen", &format!("127.0.0.1:1, {value}"), "write unix:/run/tokenward/tokenward.sock");
    }
    refused("listen", &format!("127.0.0.1:1, unix:/{}", "a".repeat(107)), "107 bytes at most");
    refused("listen", "127.0.0.1:1,", "write ADDRESS:PORT");
    refused("listen", "127.0.0.1:1, localhost:1", "a port of its own");
    let only = ("TOKENWARD_LISTEN", "unix:/t.sock");
    assert!(fault(load(&[only])).contains("set public_url"));
    assert!(load(&[only, ("TOKENWARD_PUBLIC_URL", "https://t.example")]).is_ok());
}

#[test]
fn what_is_said_of_tls_for_envoy_fits_together() {
    let [cert, key, ca] = ["CERT", "KEY", "CLIENT_CA"].map(|name| format!("TOKENWARD_ENVOY_TLS_{name}"));
    let listen = ("TOKENWARD_ENVOY_LISTEN", "127.0.0.1:1");
    let all = load(&[listen, (&cert, "c"), (&key, "k"), (&ca, "a")]).unwrap();
    assert_eq!(all.envoy_tls(), Some((Path::new("c"), Path::new("k"))));
    for (set, right) in [
        (&[listen, (cert.as_str(), "c")][..], "set without envoy_tls_key"),
        (&[listen, (key.as_str(), "k")], "set without envoy_tls_cert"),
        (&[listen, (ca.as_str(), "a")], "clients are certified within TLS"),
        (&[(cert.as_str(), "c"), (key.as_str(), "k")], "set without envoy_listen"),
    ] {
        assert!(fault(load(set)).contains(right), "{set:?}");
    }
}

#[test]
fn one_header_alone_needs_its_name() {
    let only = ("TOKENWARD_CREDENTIAL_HEADER_ONLY", "true");
    let config = load(&[only, ("TOKENWARD_CREDENTIAL_HEADER", "X-Acme-Key")]).unwrap();
    assert_eq!(config.gateways().places().map(|(name, _)| name).collect::<Vec<_>>(), ["x-acme-key"]);
    assert!(fault(load(&[only])).starts_with("TOKENWARD_CREDENTIAL_HEADER_ONLY is true without a credential_header"));
    assert!(fault(load(&[("TOKENWARD_CREDENTIAL_HEADER_ONLY", "yes")])).contains("`yes` is not true or false"));
}

#[test]
fn networks_and_single_addresses_are_trusted() {
    for (value, networks) in [
        ("10.0.0.0/8", &["10.0.0.0/8"][..]),
        ("10.0.0.1", &["10.0.0.1/32"]),
        ("::1, fd00::/8", &["::1/128", "fd00::/8"]),
    ] {
        let networks: Vec<IpNet> = networks.iter().map(|net| net.parse().unwrap()).collect();
        let config = load(&[("TOKENWARD_TRUSTED_PROXIES", value), ("TOKENWARD_TRUSTED_GATEWAYS", value)]).unwrap();
        assert_eq!((&config.trusted_proxies, &config.trusted_gateways), (&networks, &networks), "{value}");
    }
    let config = load_file("trusted_proxies = [\"10.0.0.1\"]\ntrusted_gateways = []").unwrap();
    assert_eq!((config.trusted_proxies.len(), config.trusted_gateways.len()), (1, 0));
    for value in ["everybody", "10.0.0.0/33", "10.0.0", "proxy.acme.example", "10.0.0.1:80"] {
        for name in ["trusted_proxies", "trusted_gateways"] {
            let fault = fault(load_file(&format!("{name} = [\"10.0.0.0/8\", \"{value}\"]")));
            assert!(
                fault.starts_with(name) && fault.contains(&format!("`{value}` is no network; write one such as")),
                "{fault}"
            );
        }
    }
    for unquoted in ["10.0.0.1", "[10.0.0.1]", "10.0.0.0/8"] {
        let fault = fault(load_file(&format!("log = \"info\"\ntrusted_proxies = {unquoted}")));
        assert!(
            fault.contains("line 2")
                && fault.contains(r#"trusted_proxies must be a list of texts, such as ["a", "b"]"#),
            "{fault}"
        );
    }
    assert!(fault(load_file("trusted_proxies = [\"10.0.0.0/8\", 10]")).contains("must be a list of texts"));
}

#[test]
fn the_public_url_becomes_the_origin_that_browsers_send() {
    for (value, origin) in [
        ("https://tokens.acme.example", "https://tokens.acme.example"),
        ("https://tokens.acme.example/", "https://tokens.acme.example"),
        ("HTTPS://Tokens.Acme.example", "https://tokens.acme.example"),
        ("https://tokens.acme.example:443", "https://tokens.acme.example"),
        ("http://tokens.acme.example:80/", "http://tokens.acme.example"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ] {
        assert_eq!(understood("public_url", value, |config| config.public_url).as_deref(), Some(origin), "{value}");
    }
    for value in [
        "tokens.acme.example",
        "tokens.acme.example:8080",
        "ftp://tokens.acme.example",
        "https://",
        "https:///",
        "https://tokens.acme.example/tokens",
        "https://tokens.acme.example?a=b",
        "https://tokens.acme.example#top",
        "https://tokens.acme.example:99999",
        "https://tokens.acme.example:",
        "https://a b",
        "https://ada:geheim@tokens.acme.example",
    ] {
        refused("public_url", value, "is no origin; write https://HOST or https://HOST:PORT, without a path");
        assert!(!fault(with(Layer::Flag, "public_url", value)).contains("geheim"));
    }
}

#[test]
fn certificate_and_key_come_together() {
    let both = load(&[("TOKENWARD_TLS_CERT", "c.pem"), ("TOKENWARD_TLS_KEY", "k.pem")]).unwrap();
    assert_eq!(both.tls(), Some((Path::new("c.pem"), Path::new("k.pem"))));
    refused("tls_cert", "c.pem", "is set without tls_key; set both or neither");
    refused("tls_key", "k.pem", "is set without tls_cert; set both or neither");
}

#[test]
fn the_credential_header_is_one_of_ones_own() {
    for (value, header) in [("X-Acme-Key", Some("x-acme-key")), ("x-api-key", Some("x-api-key")), ("", None)] {
        assert_eq!(load(&[("TOKENWARD_CREDENTIAL_HEADER", value)]).unwrap().gateways().header.as_deref(), header);
    }
    for value in ["Authorization", "cookie", "X-Forwarded-User", "x-tokenward-token", "X-Original-URI"] {
        refused("credential_header", value, "choose one of your own, such as X-Acme-Key");
    }
    for value in ["x_acme_key", "X Acme", "x-acme:", "schlüssel"] {
        refused("credential_header", value, "is no name of a header: letters, digits and `-`");
    }
}

#[test]
fn numbers_outside_their_range_are_refused_and_not_mended() {
    for (value, milliseconds) in [("10", 10), (" 250 ", 250), ("60000", 60_000)] {
        let config = load(&[("TOKENWARD_POLL_INTERVAL_MS", value)]).unwrap();
        assert_eq!(config.poll_interval, Duration::from_millis(milliseconds));
    }
    for value in ["0", "9", "-5", "60001", "9223372036854775807"] {
        let right = format!("{value} is not from 10 to 60000 milliseconds");
        assert!(fault(load(&[("TOKENWARD_POLL_INTERVAL_MS", value)])).ends_with(&right));
        assert!(fault(load_file(&format!("poll_interval_ms = {value}"))).ends_with(&right));
    }
    for (value, milliseconds) in [("2000", 2_000), ("3600000", 3_600_000)] {
        let config = load(&[("TOKENWARD_MAX_STALENESS_MS", value)]).unwrap();
        assert_eq!(config.max_staleness, Duration::from_millis(milliseconds));
    }
    for value in ["0", "1999", "3600001"] {
        let fault = fault(load(&[("TOKENWARD_MAX_STALENESS_MS", value)]));
        assert!(fault.ends_with(&format!("{value} is not from 2000 to 3600000 milliseconds")), "{fault}");
    }
    for value in ["many", "1.5", "1_000", "99999999999999999999"] {
        let fault = fault(load(&[("TOKENWARD_POLL_INTERVAL_MS", value)]));
        assert_eq!(fault, format!("TOKENWARD_POLL_INTERVAL_MS: `{value}` is not a whole number"));
    }
    assert!(fault(load_file("poll_interval_ms = \"100\"")).ends_with("must be a whole number"));
}

#[test]
fn what_has_ended_is_told_for_two_hours_at_least() {
    let told = |value| load(&[("TOKENWARD_ENDED_TOKEN_RETENTION", value)]);
    for (value, length) in [("", None), ("2h", Some(2 * HOUR)), ("120m", Some(2 * HOUR)), ("90d", Some(90 * DAY))] {
        assert_eq!(told(value).unwrap().ended_token_retention, length, "{value}");
    }
    for value in ["0", "1h", "119m", "-2h", "90", "for ever"] {
        let right = format!("`{value}` is no length of at least 2h; write one such as 30d");
        for fault in [fault(told(value)), fault(load_file(&format!("ended_token_retention = \"{value}\"")))] {
            assert!(fault.ends_with(&right) && fault.to_lowercase().contains("ended_token_retention"), "{fault}");
        }
    }
}

#[test]
fn a_node_has_the_name_of_its_machine_unless_it_is_given_one() {
    assert!(!load(&[]).unwrap().node_name.is_empty());
    assert_eq!(load(&[("TOKENWARD_NODE_NAME", " eu-1 ")]).unwrap().node_name, "eu-1");
    assert!(fault(load(&[("TOKENWARD_NODE_NAME", &"x".repeat(65))])).ends_with("no line break"));
}

#[test]
fn limits_are_settings_of_their_own() {
    let head = |config: Config| config.limits.time(&crate::limits::HEAD_TIME);
    assert_eq!(head(load_file("[limits]\nhead_ms = 300").unwrap()), Duration::from_millis(300));
    assert_eq!(head(load(&[("TOKENWARD_LIMITS_HEAD_MS", "400")]).unwrap()), Duration::from_millis(400));
    assert_eq!(head(load(&[]).unwrap()), Duration::from_millis(crate::limits::HEAD_TIME.default));
    for (text, told) in [
        ("[limits]\n\nhead_ms = 0", "line 3): limits.head_ms must be at least 1"),
        ("[limits]\nhead_ms = -1", "limits.head_ms ("),
        ("limits.head_ms = \"soon\"", "must be a whole number"),
        ("limits.head_ms = -1", "must not be below zero"),
        ("[limits]\nhaed_ms = 5", "did you mean limits.head_ms?"),
        ("[limits]\nbody_bytes = 5", "limits.body_bytes ("),
    ] {
        let fault = fault(load_file(text));
        assert!(fault.contains(told), "{fault}");
    }
    let fault = fault(load(&[("TOKENWARD_LIMITS_HAED_MS", "5")]));
    assert_eq!(fault, "TOKENWARD_LIMITS_HAED_MS is no setting; did you mean TOKENWARD_LIMITS_HEAD_MS?");
}

#[test]
fn the_log_takes_levels_and_filters_and_nothing_else() {
    for value in [
        "error",
        "WARN",
        "off",
        "info,tokenward=debug",
        "info, tokenward_server=trace",
        "tokenward=debug",
        "warn,hyper::proto=off",
    ] {
        assert_eq!(understood("log", value, |config| config.log), value.replace(' ', "").parse().unwrap());
    }
    for value in ["verbose", "infos", "info;debug", "tokenward=loud", "tokenward", "info,", "=", "1e3"] {
        refused("log", value, "is no filter; write one of error, warn, info, debug, trace, off, or PART=LEVEL");
    }
    assert_eq!(
        understood("organizations", "operators", |config| config.organizations),
        OrganizationCreators::Operators
    );
    assert_eq!(understood("organizations", "anyone", |config| config.organizations), OrganizationCreators::Anyone);
    refused("organizations", "everybody", "is none of operators, admins, anyone");
    assert_eq!(understood("log_format", "json", |config| config.log_format), LogFormat::Json);
    for value in ["xml", "JSON", "pretty"] {
        refused("log_format", value, "is neither text nor json");
    }
}

#[test]
fn what_is_no_database_never_becomes_a_file() {
    for value in ["tokens.db", "sqlite:data/tokens.db", "postgres://ada@db/tokens", "sqlite:/var/lib/tokens.db"] {
        assert_eq!(understood("database", value, |config| config.database), value);
    }
    for (value, right) in [
        ("host=db user=ada password=geheim", "KEY=VALUE: write it as postgres://"),
        ("sqlite:geheim.db?mode=ro", "takes no options"),
        ("file:geheim.db", "`file:` is no database"),
        (":memory:", "would forget every token"),
        ("mysql://ada:geheim@db/tokens", "`mysql:` is no database"),
    ] {
        refused("database", value, right);
        for layer in [Layer::File, Layer::Variable, Layer::Flag] {
            assert!(!fault(with(layer, "database", value)).contains("geheim"), "{layer:?} {value}");
        }
    }
}

#[test]
fn the_types_of_secrets_are_told_without_them() {
    for name in ["database", "pepper", "smtp_url"] {
        for value in ["[\"geheim\"]", "4711", "{ geheim = 1 }"] {
            let fault = fault(load_file(&format!("{name} = {value}")));
            assert!(fault.starts_with(name) && fault.ends_with("must be a text in quotation marks"), "{fault}");
        }
    }
    for value in ["geheim", "smtp://user:geheim@", "https://geheim"] {
        let fault = fault(load(&[("TOKENWARD_SMTP_URL", value)]));
        assert!(fault.starts_with("TOKENWARD_SMTP_URL: ") && fault.contains("smtps://USER:PASSWORD@HOST"), "{fault}");
        assert!(!fault.contains("geheim"), "{fault}");
    }
}

#[test]
fn mail_needs_a_sender() {
    let server = ("TOKENWARD_SMTP_URL", "smtp://127.0.0.1:25");
    for value in ["nobody", "Tokenward <>", "a@b@c"] {
        let fault = fault(load(&[server, ("TOKENWARD_MAIL_FROM", value)]));
        assert!(fault.starts_with(&format!("TOKENWARD_MAIL_FROM: `{value}`")), "{fault}");
    }
    assert!(load(&[server]).is_ok());
}

#[test]
fn prefixes_that_cannot_be_told_apart_are_named_where_they_were_written() {
    for (value, problem) in
        [("Bad", "prefix `Bad`"), ("twp_", "cannot be told apart"), ("twd_, tws_", "cannot be told apart")]
    {
        let fault = fault(load(&[("TOKENWARD_TOKEN_PREFIXES", value)]));
        assert!(fault.starts_with("TOKENWARD_TOKEN_PREFIXES: ") && fault.contains(problem), "{fault}");
    }
    assert!(load(&[("TOKENWARD_TOKEN_PREFIXES", "acme_,twd_"), ("TOKENWARD_POLICY_TOKEN_PREFIXES", "acmep_")]).is_ok());
}

/// A setting that documentation names must exist; a variable that it names too.
#[test]
fn the_documentation_names_no_setting_that_does_not_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut layers = Layers::default();
    layers.defaults(DEFAULTS, &mut Vec::new());
    let mut named = 0;
    for file in ["README.md", "docs/operations.md", "docs/verification.md", "docs/embedding.md"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        for word in
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("TOKENWARD_"))
        {
            let mut faults = Vec::new();
            // `TOKENWARD_…` stands for all of them.
            if word != "TOKENWARD_" {
                layers.environment(&variables(&[(word, "0")]), &mut faults);
                named += 1;
            }
            let unknown = faults.iter().find(|fault| fault.contains("is no setting"));
            assert_eq!(unknown, None, "{file}");
        }
    }
    assert!(named > 10, "{named}");
}

#[test]
fn a_file_with_a_secret_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokenward.toml");
    let loaded = |text: &str, mode| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        Config::load(Some(&file), &[], &Flags::default())
    };
    for (name, value) in [
        ("pepper", "1:geheim"),
        ("database", "postgres://ada:geheim@db.internal/tokens"),
        ("smtp_url", "smtps://ada:geheim@mail.example"),
    ] {
        let text = format!("log = \"info\"\n{name} = \"{value}\"");
        let fault = fault(loaded(&text, 0o644));
        let variable = format!("TOKENWARD_{}", name.to_uppercase());
        assert!(
            fault.starts_with(&format!("{name} (")) && fault.contains("line 2") && fault.contains("644"),
            "{fault}"
        );
        assert!(fault.contains("chmod 600") && fault.contains(&variable) && !fault.contains("geheim"), "{fault}");
        assert!(loaded(&text, 0o640).is_ok());
        assert!(load(&[(&variable, value)]).is_ok(), "a variable has no mode");
    }
    let open = "database = \"postgres://db.internal/tokens\"\nsmtp_url = \"smtp://mail.example:25\"";
    assert!(loaded(open, 0o644).is_ok(), "there is no secret in it");
}

#[test]
fn a_value_can_stand_in_a_file_that_a_variable_names() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (listen, smtp) = (write("listen", "127.0.0.1:9\n"), write("smtp", "smtp://ada:geheim@mail\r\n"));
    let limit = write("limit", "7000\n");
    let config = load(&[
        ("TOKENWARD_LISTEN_FILE", &listen),
        ("TOKENWARD_SMTP_URL_FILE", &smtp),
        ("TOKENWARD_LIMITS_HEAD_MS_FILE", &limit),
    ])
    .unwrap();
    assert_eq!(listens(&config), ["127.0.0.1:9"]);
    assert_eq!(config.smtp_url.as_deref(), Some("smtp://ada:geheim@mail"));
    assert_eq!(config.limits.time(&crate::limits::HEAD_TIME), Duration::from_secs(7));

    let (empty, wrong) = (write("empty", "\n"), write("wrong", "geheim"));
    let absent = directory.path().join("absent");
    for (name, file, right) in [
        ("TOKENWARD_SMTP_URL_FILE", empty.as_str(), "is empty"),
        ("TOKENWARD_PEPPER_FILE", absent.to_str().unwrap(), "cannot be read"),
        ("TOKENWARD_LIMITS_HEAD_MS_FILE", &wrong, "does not hold a whole number"),
        ("TOKENWARD_SMTP_URL_FILE", &wrong, "smtp"),
    ] {
        let fault = fault(load(&[(name, file)]));
        let named = fault.starts_with(&format!("{name} ({file})"));
        assert!(named && fault.contains(right) && !fault.contains("geheim"), "{fault}");
    }
    let both = fault(load(&[("TOKENWARD_LISTEN_FILE", &listen), ("TOKENWARD_LISTEN", "127.0.0.1:1")]));
    assert_eq!(both, "TOKENWARD_LISTEN and TOKENWARD_LISTEN_FILE are both set; set one of them");
    assert!(fault(load(&[("TOKENWARD_LISTN_FILE", &listen)])).contains("is no setting"));
    assert_eq!(unknown_variables(&variables(&[("TOKENWARD_PEPPER_FILE", "/run/pepper")])), Vec::<String>::new());
}

#[test]
fn credentials_of_systemd_count_over_the_file_and_below_the_environment() {
    let directory = tempfile::tempdir().unwrap();
    let key = |digit: &str| format!("1:{}", digit.repeat(64));
    for (name, value) in [("pepper", key("a")), ("smtp_url", "smtp://mail".to_owned()), ("other", "x".to_owned())] {
        std::fs::write(directory.path().join(name), value).unwrap();
    }
    let credentials = ("CREDENTIALS_DIRECTORY", directory.path().to_str().unwrap());
    let config = load(&[credentials]).unwrap();
    assert_eq!((config.pepper, config.smtp_url.as_deref()), (Some(key("a")), Some("smtp://mail")));
    let config = load(&[credentials, ("TOKENWARD_PEPPER", &key("b"))]).unwrap();
    assert_eq!(config.pepper, Some(key("b")));
    // Of each provider as well.
    std::fs::write(directory.path().join("oidc_corp_client_secret"), "hush\n").unwrap();
    let provider =
        [("TOKENWARD_OIDC_CORP_ISSUER", "https://login.acme.example"), ("TOKENWARD_OIDC_CORP_CLIENT_ID", "t")];
    let config = load(&[credentials, provider[0], provider[1]]).unwrap();
    assert_eq!(config.oidc["corp"].client_secret.as_str(), "hush");
    let odd = directory.path().join("oidc_Corp_client_secret");
    std::fs::write(&odd, "hush").unwrap();
    let refused = fault(load(&[credentials, provider[0], provider[1]]));
    assert!(refused.contains("is no key of a provider") && !refused.contains("hush"), "{refused}");
    for name in [odd, directory.path().join("oidc_corp_client_secret")] {
        std::fs::remove_file(name).unwrap();
    }
    std::fs::write(directory.path().join("smtp_url"), "geheim").unwrap();
    let fault = fault(load(&[credentials]));
    assert!(fault.starts_with("the credential ") && !fault.contains("geheim"), "{fault}");
    // One that is gone holds nothing; one that is none is told.
    assert!(load(&[("CREDENTIALS_DIRECTORY", directory.path().join("gone").to_str().unwrap())]).is_ok());
    let file = directory.path().join("pepper");
    let refused = load(&[("CREDENTIALS_DIRECTORY", file.to_str().unwrap())]).unwrap_err().0;
    assert!(refused.len() == 1 && refused[0].contains("cannot be read"), "{refused:?}");
}

#[test]
fn every_setting_can_stand_in_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("value");
    let mut layers = Layers::default();
    layers.defaults(DEFAULTS, &mut Vec::new());
    let defaults = layers.table();
    let limits = crate::limits::ALL.iter().filter(|limit| limit.setting).map(|limit| format!("limits_{}", limit.name));
    let plain = defaults.keys().filter(|name| !["limits", "oidc"].contains(&name.as_str())).cloned();
    let providers = ["oidc_corp_issuer", "oidc_corp_ca_file", "oidc_corp_scopes"].map(str::to_owned);
    let mut seen = 0;
    for name in plain.chain(limits).chain(providers) {
        let text = match defaults.get(&name) {
            Some(toml::Value::Array(_)) => "first,second",
            Some(toml::Value::Boolean(_)) => "true",
            Some(toml::Value::Integer(_)) => "7",
            Some(_) => "text",
            None if name.starts_with("limits_") => "7",
            None => "text",
        };
        std::fs::write(&file, format!("{text}\n")).unwrap();
        let variable = format!("TOKENWARD_{}_FILE", name.to_uppercase());
        let (mut layers, mut faults) = (Layers::default(), Vec::new());
        layers.defaults(DEFAULTS, &mut faults);
        layers.environment(&variables(&[(&variable, file.to_str().unwrap())]), &mut faults);
        assert_eq!(faults, Vec::<String>::new(), "{variable}");
        let setting = match name.strip_prefix("limits_") {
            Some(limit) => format!("limits.{limit}"),
            None => name.replace("oidc_corp_", "oidc.corp."),
        };
        assert_eq!(layers.name(&setting), format!("{variable} ({})", file.display()));
        assert!(unknown_variables(&variables(&[(&variable, "x")])).is_empty(), "{variable}");
        seen += 1;
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn what_is_another_is_told_by_name() {
    let before = load(&[("TOKENWARD_LOG", "info"), ("TOKENWARD_LIMITS_HEAD_MS", "7000")]).unwrap();
    assert_eq!(before.changed_in(&before.clone()), Vec::<String>::new());
    let after = load(&[("TOKENWARD_LOG", "debug"), ("TOKENWARD_LISTEN", "127.0.0.1:1")]).unwrap();
    assert_eq!(before.changed_in(&after), ["listen", "log", "limits.head_ms"]);
}

#[test]
fn a_provider_is_set_up_by_a_file_by_variables_and_by_both() {
    let of_file = load_file(
        "[oidc.corp]\nissuer = \"https://login.acme.example\"\nclient_id = \"tokenward\"\nscopes = [\"openid\", \"groups\"]\n\
         email_domains = [\"Acme.example\", \"bücher.example\"]\nrequired_claims = [\"hd=acme.example\"]\n",
    )
    .unwrap();
    let corp = &of_file.oidc["corp"];
    assert_eq!((corp.issuer.as_str(), corp.client_id.as_str()), ("https://login.acme.example", "tokenward"));
    assert_eq!(corp.scopes, ["openid", "groups"]);
    assert_eq!(corp.email_domains, ["acme.example", "xn--bcher-kva.example"]);
    assert_eq!(corp.required_claims, [("hd".to_owned(), "acme.example".to_owned())]);
    assert_eq!(corp.shown_name("corp"), "corp");

    let directory = tempfile::tempdir().unwrap();
    let (file, secret) = (directory.path().join("tokenward.toml"), directory.path().join("secret"));
    std::fs::write(&file, "[oidc.corp]\nissuer = \"https://login.acme.example\"\nclient_id = \"tokenward\"\n").unwrap();
    std::fs::write(&secret, "hush\n").unwrap();
    let variables = variables(&[
        ("TOKENWARD_OIDC_CORP_CLIENT_SECRET_FILE", secret.to_str().unwrap()),
        ("TOKENWARD_OIDC_CORP_NAME", "Acme Login"),
        ("TOKENWARD_OIDC_OTHER_ISSUER", "http://127.0.0.1:8080"),
        ("TOKENWARD_OIDC_OTHER_CLIENT_ID", "t"),
        ("TOKENWARD_OIDC_OTHER_SCOPES", "openid, email"),
    ]);
    let config = Config::load(Some(&file), &variables, &Flags::default()).unwrap();
    let (corp, other) = (&config.oidc["corp"], &config.oidc["other"]);
    assert_eq!((corp.client_secret.as_str(), corp.shown_name("corp")), ("hush", "Acme Login"));
    assert_eq!(other.scopes, ["openid", "email"]);
    assert!(!format!("{config:?} {corp:?}").contains("hush"));
    assert!(unknown_variables(&variables).is_empty());
    assert!(load(&[]).unwrap().oidc.is_empty());
    assert_eq!(load(&[]).unwrap().changed_in(&config), ["oidc"]);
}

#[test]
fn all_that_is_wrong_with_providers_is_told_at_once() {
    let faults = load_file(
        "[oidc.corp]\nissuer = \"https://login.microsoftonline.com/common/v2.0\"\nclient_secret = \"hush\"\nprompt = \"none\"\n\
         [oidc.google]\nissuer = \"https://accounts.google.com\"\nclient_id = \"t\"\nemail_verified = \"assumed\"\n\
         email_domains = [\"gmail.com\"]\nscopes = [\"email\"]\nissuerr = \"\"\n\
         [oidc.plain]\nissuer = \"http://login.acme.example\"\nclient_id = \"t\"\nemail_verified = \"assumed\"\n\
         auth_method = \"client_secret_post\"\nca_file = \"/nowhere/ca.pem\"\nicon = \"/nowhere/i.svg\"\n\
         required_claims = [\"hd\"]\nrules_for = [\"Acme\"]\n\
         [oidc.Twin]\nissuer = \"\"\n\
         [oidc.one]\nissuer = \"https://a.example\"\nclient_id = \"t\"\n[oidc.two]\nissuer = \"https://a.example\"\nclient_id = \"t\"\n",
    )
    .unwrap_err()
    .0;
    let told = faults.join("\n");
    assert!(!told.contains("hush"), "{told}");
    for right in [
        "use your tenant's issuer",
        "oidc.corp.client_id is missing",
        "`none` is not understood",
        "anybody can have an account at this issuer",
        "must hold `openid`",
        "did you mean oidc.google.issuer?",
        "is not https",
        "without email_domains",
        "needs a client_secret",
        "ca_file",
        "oidc.plain.icon (",
        "`hd` is no claim and value",
        "`Acme` is no id of an organization",
        "`Twin` is no key of a provider",
        "are the same; a provider has one key",
    ] {
        assert!(told.contains(right), "no `{right}` in:\n{told}");
    }
    let of_variables = fault(load(&[("TOKENWARD_OIDC_CORP_ISUER", "https://a.example")]));
    assert!(of_variables.contains("did you mean TOKENWARD_OIDC_CORP_ISSUER?"), "{of_variables}");
}
