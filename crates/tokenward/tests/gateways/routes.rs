//! Routes of an API behind real gateways: what is decided as one route is never served as another one, however the
//! upstream reads paths.

use super::*;

/// Routes that a path can slip between: a literal beside a parameter, a suffix, characters that some clients escape. The
/// tokens hold the permissions of some of them.
const ROUTES: [(&str, &str); 7] = [
    ("/{page}", "pages:read"),
    ("/pages/{id}", "pages:read"),
    ("/pages/{id}:purge", "pages:purge"),
    ("/pages/export", "exports:read"),
    ("/admin", "admin:read"),
    ("/admin/{*rest}", "admin:read"),
    ("/@staff", "staff:read"),
];

/// All sequences of up to four of these, some only where the last is a word.
fn forms() -> Vec<String> {
    const PIECES: [&str; 20] = [
        "/", "pages", "admin", "export", "@staff", "7", ":purge", "%3Apurge", "%40staff", "%65xport", "%61dmin", "%2f",
        "%2e%2e", "..", ".", ";x", "%5c", "%20", "%C3%A9", "%2540",
    ];
    let mut forms = vec![String::new()];
    let mut last = forms.clone();
    for _ in 0..3 {
        last = last.iter().flat_map(|start| PIECES.iter().map(move |piece| format!("{start}{piece}"))).collect();
        forms.extend(last.iter().cloned());
    }
    // Below a folder and not, and of the longest every fourth.
    let below = forms.iter().enumerate().filter(|(at, _)| *at < 421 || at % 8 == 0);
    let below = below.flat_map(|(_, form)| ["/", "/pages/", "/admin/../"].map(|folder| format!("{folder}{form}")));
    below.collect()
}

/// Which permission the upstream's own routes would need, for each way to read a path; nothing where it has no route.
fn read_by_upstreams(target: &[u8]) -> Vec<&'static str> {
    let raw = String::from_utf8_lossy(target).split('?').next().unwrap().to_owned();
    let once = decoded(&raw);
    let twice = decoded(&once);
    let mut readings = Vec::new();
    for path in [raw, once, twice] {
        let plain = path.replace('\\', "/");
        let segments: Vec<&str> = plain.split('/').map(|it| it.split(';').next().unwrap()).collect();
        let mut tidy: Vec<&str> = Vec::new();
        for segment in segments {
            match segment {
                "" | "." => {}
                ".." => drop(tidy.pop()),
                other => tidy.push(other),
            }
        }
        readings.push(format!("/{}", tidy.join("/")));
        readings.push(path);
    }
    readings.iter().filter_map(|path| upstream_route(path)).collect()
}

/// The upstream's own router, written by hand so that it shares nothing with ours.
fn upstream_route(path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    match segments[..] {
        ["admin"] => Some("admin:read"),
        ["admin", ref rest @ ..] if rest != [""] => Some("admin:read"),
        ["@staff"] => Some("staff:read"),
        ["pages", "export"] => Some("exports:read"),
        ["pages", page] if page.len() > 6 && page.ends_with(":purge") => Some("pages:purge"),
        ["pages", page] if !page.is_empty() => Some("pages:read"),
        [page] if !page.is_empty() => Some("pages:read"),
        _ => None,
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next().unwrap().as_bytes());
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(format!("%{}", part.get(..2).unwrap_or(part)).as_bytes()),
        }
        bytes.extend_from_slice(part.get(2..).unwrap_or_default().as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_upstream_serves_another_route_than_the_one_that_was_decided() {
    let world = World::new().await;
    let routes: Vec<_> = ROUTES
        .iter()
        .map(|(path, permission)| serde_json::json!({ "method": "GET", "path": path, "permission": permission }))
        .collect();
    let api = world.organization.path("api/shop");
    world.server.put(&api, &world.organization.owner, serde_json::json!({ "routes": routes })).await.expect(200);
    // One that may read pages and nothing else, and one that may do the rest and read no page.
    let mut tokens = Vec::new();
    for (name, may) in [("pages", &["pages:read"][..]), ("rest", &["pages:purge", "staff:read"])] {
        tokens.push((token(&world, name, may).await, may));
    }
    let forms = forms();
    assert!(forms.len() >= 2_000, "{}", forms.len());
    let scope = [("organization", world.organization.id.as_str()), ("api", "shop")];
    let envoy = world.server.running.envoy.as_ref().unwrap().address;
    for kind in KINDS {
        let gateway = Gateway::start(kind, world.server.running.address, envoy, world.upstream.port, &scope).await;
        let reader = [("Authorization", tokens[0].0.as_str())];
        for (path, status) in
            [("/home", 200), ("/pages/7", 200), ("/pages/export", 403), ("/admin", 403), ("/a/b", 403)]
        {
            assert_eq!(request(&gateway, path.as_bytes(), &reader).await.status, status, "{kind:?} {path}");
        }
        for (credential, may) in &tokens {
            let headers = [("Authorization", credential.as_str())];
            let (mut passed, mut refused) = (0, 0);
            for batch in forms.chunks(16) {
                let answers = batch.iter().map(async |form| (form, request(&gateway, form.as_bytes(), &headers).await));
                for (form, through) in futures_util::future::join_all(answers).await {
                    let Some((target, _)) = through.served else {
                        assert_ne!(through.status, 200, "{kind:?} {form}");
                        refused += 1;
                        continue;
                    };
                    let other = read_by_upstreams(&target).into_iter().find(|needed| !may.contains(needed));
                    assert_eq!(other, None, "{kind:?} {may:?} {form} was served as {}", target.escape_ascii());
                    passed += 1;
                }
            }
            println!("{kind:?}, {may:?}: {} forms, {passed} served as decided, {refused} refused", forms.len());
            assert!(passed >= 2 && refused >= 1_000, "{kind:?} {passed} {refused}");
        }
    }
    world.server.stop().await;
}

/// The `Authorization` of a token whose role holds these permissions.
async fn token(world: &World, name: &str, permissions: &[&str]) -> String {
    let World { server, organization, .. } = world;
    let role = serde_json::json!({ "name": name });
    let role = server.post(&organization.path("customRole"), &organization.owner, role).await.expect(201);
    let path = organization.path(&format!("customRole/{}", role["id"].as_str().unwrap()));
    let body = serde_json::json!({
        "name": name, "permissions": permissions, "cluster_permissions": [], "project_permissions": [],
    });
    server.put(&path, &organization.owner, body).await.expect(200);
    format!("Token {}", server.token(organization, name, name).await)
}
