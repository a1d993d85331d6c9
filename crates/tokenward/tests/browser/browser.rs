//! A browser of our own: Chromium, driven through its driver, with a fresh profile each.

use std::io::{BufRead, BufReader};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// How long to wait for a page.
const PATIENCE: Duration = Duration::from_secs(20);
/// The height of pictures, unless the page is higher.
const HEIGHT: u32 = 860;

/// Two browsers at a time: more of them only wait for each other.
static TURNS: Semaphore = Semaphore::const_new(2);

/// The driver's process, ended when dropped.
struct Driver {
    process: Child,
    port: u16,
}

impl Driver {
    fn start() -> Self {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: `./scripts/test --install` installs it");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok());
        // What it says further must go somewhere, or it stops when the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        Self { port: port.expect("chromedriver says on which port it listens"), process }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A browser.
#[derive(Clone)]
pub struct Browser {
    driver: WebDriver,
    /// Where the console is.
    pub url: String,
    /// Do scripts run?
    javascript: bool,
}

/// Runs a test with a browser, which is closed whatever comes of it.
pub async fn with_browser<F: Future<Output = ()> + Send + 'static>(
    url: &str,
    javascript: bool,
    test: impl FnOnce(Browser) -> F,
) {
    let _turn = TURNS.acquire().await;
    let profile = TempDir::new().unwrap();
    let process = Driver::start();
    let mut options = DesiredCapabilities::chrome();
    for argument in [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        "--no-proxy-server",
        // What another machine would type.
        "--host-resolver-rules=MAP tokens.example.com 127.0.0.1",
        "--window-size=1280,860",
    ] {
        options.add_arg(argument).unwrap();
    }
    options.add_arg(&format!("--user-data-dir={}", profile.path().display())).unwrap();
    if !javascript {
        let off = json!({ "profile.managed_default_content_settings.javascript": 2 });
        options.add_experimental_option("prefs", off).unwrap();
    }
    let driver = WebDriver::new(format!("http://127.0.0.1:{}", process.port), options).await.unwrap();
    let browser = Browser { driver: driver.clone(), url: url.to_owned(), javascript };
    let outcome = tokio::spawn(test(browser.clone())).await;
    if outcome.is_err() {
        let name = format!("failed-{}", std::thread::current().name().unwrap_or_default().replace(':', "-"));
        let _ = driver.screenshot(&output().join(format!("{name}.png"))).await;
        if let (Ok(at), Ok(source)) = (driver.current_url().await, driver.source().await) {
            eprintln!("the browser is at {at}\n{source}");
        }
    }
    let _ = driver.quit().await;
    drop(process);
    if let Err(error) = outcome {
        resume_unwind(error.into_panic());
    }
}

/// Where pictures are kept, to be looked at.
pub fn output() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/test-output/screenshots");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

impl Browser {
    /// Opens a path, or a whole address.
    pub async fn open(&self, path: &str) {
        let address = if path.starts_with('/') { format!("{}{path}", self.url) } else { path.to_owned() };
        self.driver.goto(address).await.unwrap();
    }

    /// The path that is open, with its query.
    pub async fn path(&self) -> String {
        let url = self.driver.current_url().await.unwrap();
        url.as_str().strip_prefix(&self.url).unwrap_or(url.as_str()).to_owned()
    }

    /// The element with this CSS selector, as soon as it is there.
    #[track_caller]
    pub fn find(&self, css: &str) -> impl Future<Output = WebElement> {
        let (driver, css) = (self.driver.clone(), css.to_owned());
        async move {
            let begun = Instant::now();
            loop {
                match driver.find(By::Css(css.as_str())).await {
                    Ok(element) => return element,
                    Err(_) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(50)).await,
                    Err(error) => panic!("there is no `{css}`: {error}"),
                }
            }
        }
    }

    /// How many elements fit a CSS selector.
    pub async fn count(&self, css: &str) -> usize {
        self.driver.find_all(By::Css(css)).await.unwrap().len()
    }

    /// The text of an element.
    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    /// Waits until the page says something.
    pub async fn sees(&self, text: &str) {
        let begun = Instant::now();
        loop {
            let body = match self.driver.find(By::Tag("body")).await {
                Ok(body) => body.text().await.unwrap_or_default(),
                Err(_) => String::new(),
            };
            if body.contains(text) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the page does not say `{text}`, but:\n{body}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Writes into an input, in place of what is there.
    pub async fn fill(&self, name: &str, text: &str) {
        let input = self.find(&format!("main [name=\"{name}\"]")).await;
        input.clear().await.unwrap();
        input.send_keys(text).await.unwrap();
    }

    /// Clicks.
    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        element.scroll_into_view().await.unwrap();
        element.click().await.unwrap();
    }

    /// Clicks a link or a button by what it says.
    pub async fn press(&self, label: &str) {
        let script = "return [...document.querySelectorAll('main a, main button, main label')]\
             .find(it => it.offsetParent && it.innerText.trim().startsWith(arguments[0]))";
        let begun = Instant::now();
        loop {
            let found = self.driver.execute(script, vec![json!(label)]).await.and_then(|it| it.element());
            match found {
                Ok(element) => {
                    element.scroll_into_view().await.unwrap();
                    return element.click().await.unwrap();
                }
                Err(_) if begun.elapsed() < PATIENCE => sleep(Duration::from_millis(50)).await,
                Err(error) => panic!("there is no `{label}` to press: {error}"),
            }
        }
    }

    /// Presses keys, wherever the focus is.
    pub async fn keys(&self, keys: impl Into<TypingData>) {
        match self.driver.action_chain().send_keys(keys).perform().await {
            // What comes next is looked at anyway.
            Err(error) if page_changed(&error.to_string()) => {}
            result => result.unwrap(),
        }
    }

    /// Presses Tab until an element with this selector has the focus.
    pub async fn tab_to(&self, css: &str) {
        for _ in 0..60 {
            let script = "return document.activeElement.matches(arguments[0])";
            if self.run(script, vec![json!(css)]).await == json!(true) {
                return;
            }
            self.keys(Key::Tab + "").await;
        }
        panic!("Tab does not lead to `{css}`");
    }

    /// What a script returns.
    pub async fn script(&self, script: &str) -> Value {
        self.run(script, Vec::new()).await
    }

    /// What a script returns, on the page that is there once one page has made room for the next.
    async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        let begun = Instant::now();
        loop {
            match self.driver.execute(script, arguments.clone()).await {
                Ok(returned) => return returned.json().clone(),
                Err(error) if page_changed(&error.to_string()) && begun.elapsed() < PATIENCE => {
                    sleep(Duration::from_millis(50)).await;
                }
                Err(error) => panic!("`{script}`: {error}"),
            }
        }
    }

    /// Waits until a script returns `true`.
    pub async fn until(&self, script: &str) {
        let begun = Instant::now();
        while self.script(script).await != json!(true) {
            assert!(begun.elapsed() < PATIENCE, "it never comes true: {script}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the browser is at an address that has this in it: its path.
    pub async fn comes_to(&self, part: &str) -> String {
        let begun = Instant::now();
        loop {
            let path = self.path().await;
            if path.contains(part) {
                return path;
            }
            assert!(begun.elapsed() < PATIENCE, "the browser does not come to `{part}`, but to {path}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// A command to the browser itself.
    pub async fn command(&self, method: &str, parameters: Value) -> Value {
        self.driver.cdp().send_raw(method, parameters).await.unwrap()
    }

    /// What the clipboard holds.
    pub async fn clipboard(&self) -> String {
        let script = "navigator.clipboard.readText().then(arguments[0], error => arguments[0](String(error)))";
        let text = self.driver.execute_async(script, Vec::new()).await.unwrap();
        text.json().as_str().unwrap_or_default().to_owned()
    }

    /// The cookies that the browser keeps for the console.
    pub async fn cookies(&self) -> Vec<Value> {
        let all = self.command("Network.getCookies", json!({ "urls": [self.url] })).await;
        all["cookies"].as_array().cloned().unwrap_or_default()
    }

    /// What axe-core finds wrong for people who do not see, or use no mouse: nothing may be.
    async fn accessible(&self, look: &str) {
        if !self.javascript {
            return;
        }
        let path =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/node_modules/axe-core/axe.min.js");
        let axe = std::fs::read_to_string(path).expect("axe-core is missing: `./scripts/test --install` installs it");
        // A page that is looked at in several ways has it from the first time.
        if self.script("return typeof axe").await == "undefined" {
            self.script(&axe).await;
        }
        let run = "const done = arguments[0]; const say = node => `${node.target.join(' ')} (${node.any.concat(node.all, node.none).map(it => it.message).join('; ')})`; \
             axe.run(document, { resultTypes: ['violations'] }).then( \
             found => done(found.violations.map(it => `${it.id}: ${it.nodes.slice(0, 4).map(say).join(' | ')}`)), error => done([String(error)]))";
        let found = self.driver.execute_async(run, Vec::new()).await.unwrap().json().clone();
        assert_eq!(found, json!([]), "{look}: axe-core has findings");
        // The server takes no form of which anything comes before it.
        let late = "return [...document.forms].filter(it => it.method === 'post' && it.elements[0]?.name !== 'csrf').map(it => it.action)";
        assert_eq!(self.script(late).await, json!([]), "{look}: a form does not begin with `csrf`");
    }

    /// A picture of what a window of this size shows of the page.
    pub async fn window(&self, name: &str, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        sleep(Duration::from_millis(250)).await;
        self.driver.screenshot(&output().join(format!("{name}.png"))).await.unwrap();
        self.command("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }

    /// Nothing of the page stands outside of a window of this width.
    pub async fn fits(&self, name: &str, width: u32) {
        let metrics = json!({ "width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        sleep(Duration::from_millis(100)).await;
        let outside = "const w = innerWidth, out = it => it.getBoundingClientRect().right > w + 1; \
             return [document.documentElement.scrollWidth, [...document.querySelectorAll('body *')] \
             .filter(it => (out(it) || (it.scrollWidth > it.clientWidth + 1 && it.clientWidth > 0 \
                 && getComputedStyle(it).overflowX === 'visible')) && ![...it.children].some(out)) \
             .slice(0, 6).map(it => it.outerHTML.slice(0, 120))]";
        let found = self.script(outside).await;
        assert!(found[0].as_u64().unwrap() <= u64::from(width), "{name} at {width} px scrolls sideways: {found}");
        self.command("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }

    /// In this look of the page axe-core finds nothing.
    pub async fn looks_right(&self, name: &str, width: u32, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        let metrics = json!({ "width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", metrics).await;
        // Colours change over a moment.
        sleep(Duration::from_millis(250)).await;
        self.accessible(&format!("{name}, {scheme}, {width} px")).await;
        self.command("Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.command("Emulation.setEmulatedMedia", json!({ "features": [] })).await;
    }

    /// A picture of the page: its name, its width, dark or light. As high as the page, up to a limit.
    pub async fn picture(&self, name: &str, width: u32, dark: bool) -> PathBuf {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.command("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        let metrics =
            |height: u32| json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.command("Emulation.setDeviceMetricsOverride", metrics(HEIGHT)).await;
        // Colours change over a moment.
        sleep(Duration::from_millis(250)).await;
        let sizes = self.script("const it = document.documentElement; return [it.scrollWidth, it.scrollHeight]").await;
        assert!(sizes[0].as_u64().unwrap() <= u64::from(width), "{name} at {width} px scrolls sideways: {sizes}");
        let height = u32::try_from(sizes[1].as_u64().unwrap()).unwrap().clamp(HEIGHT, 2_400);
        self.command("Emulation.setDeviceMetricsOverride", metrics(height)).await;
        let path = output().join(format!("{name}-{scheme}-{width}.png"));
        self.driver.screenshot(&path).await.unwrap();
        self.accessible(&format!("{name}, {scheme}, {width} px")).await;
        self.command("Emulation.clearDeviceMetricsOverride", json!({})).await;
        self.command("Emulation.setEmulatedMedia", json!({ "features": [] })).await;
        path
    }

    /// The three pictures of a page that matter.
    pub async fn pictures(&self, name: &str) {
        self.picture(name, 1280, false).await;
        self.picture(name, 1280, true).await;
        self.picture(name, 380, false).await;
    }
}

/// Whether the driver says that one page made room for the next before it was done with the first: one thing, which it
/// words by the moment that it was surprised in.
fn page_changed(error: &str) -> bool {
    ["aborted by navigation", "no such execution context", "Cannot find context with specified id"]
        .iter()
        .any(|words| error.contains(words))
}
