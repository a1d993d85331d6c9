// Comfort only: every page works without this file.
"use strict";

for (const button of document.querySelectorAll("[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("span");
  if (!source || !navigator.clipboard) continue;
  const text = label.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
      label.textContent = "Copied";
    } catch {
      // The browser refuses: select the text, so that the person's own copy key does it.
      getSelection().selectAllChildren(source);
      label.textContent = "Selected";
    }
    setTimeout(() => { label.textContent = text; }, 2000);
  });
}

for (const input of document.querySelectorAll("input[type=password]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn quiet reveal";
  button.textContent = "Show";
  button.setAttribute("aria-label", "Show the password");
  button.addEventListener("click", () => {
    const shown = input.type === "text";
    input.type = shown ? "password" : "text";
    button.textContent = shown ? "Show" : "Hide";
    button.setAttribute("aria-label", shown ? "Show the password" : "Hide the password");
  });
  // A form must never send, or a browser remember, the password as plain text.
  input.form?.addEventListener("submit", () => { input.type = "password"; });
  const frame = document.createElement("span");
  frame.className = "reveals";
  const focused = document.activeElement === input;
  input.replaceWith(frame);
  frame.append(input, button);
  if (focused) input.focus();
}

// A second click must not send a form twice: of two requests for a new token the first would show its text to nobody.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", () => {
    // Afterwards, since a button that is off is not sent with the form.
    setTimeout(() => { for (const button of form.querySelectorAll("button:not([type=button])")) button.disabled = true; });
  });
}
// Back in the history, the page is as it was left.
addEventListener("pageshow", () => { for (const button of document.querySelectorAll("button:disabled")) button.disabled = false; });

for (const input of document.querySelectorAll("[data-filter]")) {
  const table = document.getElementById(input.dataset.filter);
  if (!table) continue;
  const none = document.querySelector(`[data-none="${input.dataset.filter}"]`);
  const searched = input.value;
  // The fields that the server searches, too: no times, states and addresses.
  const texts = new Map([...table.tBodies[0].rows].map((row) => {
    const copy = row.cloneNode(true);
    for (const part of copy.querySelectorAll("time, .nobody, .tag.warn, .acts, td:is([data-label=Used], [data-label=Ends], [data-label='Said by'])")) part.remove();
    return [row, `${copy.textContent} ${row.dataset.more ?? ""}`.toLowerCase()];
  }));
  input.hidden = false;
  input.addEventListener("input", () => {
    // The server has filtered by what was searched for already; a shorter text needs the server again.
    const words = input.value === searched ? [] : input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const row of table.tBodies[0].rows) {
      row.hidden = !words.every((word) => texts.get(row).includes(word));
      if (!row.hidden) left += 1;
    }
    table.parentElement.hidden = left === 0;
    if (none) none.hidden = left > 0;
  });
}

for (const input of document.querySelectorAll("[data-into]")) {
  const target = document.getElementById(input.dataset.into);
  input.parentElement.hidden = false;
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (!file) return;
    input.setCustomValidity(file.size > 5_000_000 ? "The file is larger than 5 MB." : "");
    if (input.reportValidity()) target.value = await file.text();
    // Said once: what is typed in its place is sent.
    else input.value = "", setTimeout(() => input.setCustomValidity(""), 0);
  });
}

// A day that is not chosen is not sent, and what is wrong with it holds nothing up.
for (const box of document.querySelectorAll(".expiry")) {
  const day = box.querySelector("[type=date]");
  const choose = () => { day.disabled = !box.querySelector("[value=date]").checked; };
  box.addEventListener("change", choose);
  choose();
}

// Enter in the request that is tried tries it. Elsewhere in that form it saves.
for (const field of document.querySelectorAll(".try input[type=text]")) {
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    field.closest(".try").querySelector("button").click();
  });
}

// Rego in colours: comments, texts, keywords, numbers.
const REGO = /(#.*)|("(?:[^"\\\n]|\\.)*"?|`[^`]*`?)|\b(allow|contains|default|else|every|false|if|import|in|input|not|null|some|true)\b|\b(\d[\d.]*)\b/g;
const KINDS = ["comment", "text", "word", "number"];
function coloured(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(REGO)) {
    parts.push(text.slice(end, match.index));
    const part = document.createElement("span");
    part.className = KINDS[match.slice(1).findIndex((found) => found !== undefined)];
    part.textContent = match[0];
    parts.push(part);
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}
for (const pre of document.querySelectorAll("pre[data-rego]")) pre.replaceChildren(...coloured(pre.textContent));
for (const area of document.querySelectorAll("textarea[data-rego]")) {
  // The colours lie beneath, and the text that is typed is without ink of its own.
  const frame = document.createElement("div");
  const beneath = document.createElement("pre");
  frame.className = "rego";
  beneath.setAttribute("aria-hidden", "true");
  area.replaceWith(frame);
  frame.append(beneath, area);
  const draw = () => {
    beneath.replaceChildren(...coloured(`${area.value}\n`));
    beneath.scrollTop = area.scrollTop;
    beneath.scrollLeft = area.scrollLeft;
  };
  draw();
  area.addEventListener("input", draw);
  area.addEventListener("scroll", draw);
  // What the button "Try" would say, a moment after the last key. The password is none of it.
  let waiting;
  area.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const typed = new FormData(area.form);
      typed.delete("password");
      typed.set("action", "try");
      // Its buttons are called "action", and stand in the way of the property.
      const answer = await fetch(area.form.getAttribute("action"), { method: "POST", body: new URLSearchParams(typed) }).catch(() => undefined);
      if (!answer || answer.redirected) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(area.dataset.verdict);
      // Only what was asked last counts.
      if (fresh && typed.get("opa_policy") === area.value) document.getElementById(area.dataset.verdict).replaceChildren(...fresh.childNodes);
    }, 600);
  });
}

// The server writes UTC. The time of the clock on the wall stands beside each that is written out, in sentences too.
const WRITTEN = /\d{1,2} [A-Z][a-z]{2} \d{4}, \d\d:\d\d UTC/g;
function localTimes(root) {
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, (node) =>
    node.data.includes(" UTC") && !node.parentElement?.closest("time, textarea, pre, code, option, title, script")
      ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP);
  const found = [];
  while (texts.nextNode()) found.push(texts.currentNode);
  for (const node of found) {
    const parts = [];
    let end = 0;
    for (const { 0: written, index } of node.data.matchAll(WRITTEN)) {
      const date = new Date(written.replace(",", ""));
      if (Number.isNaN(date.getTime())) continue;
      const time = document.createElement("time");
      time.dateTime = date.toISOString();
      time.textContent = written;
      parts.push(node.data.slice(end, index), time);
      end = index + written.length;
    }
    if (parts.length > 0) node.replaceWith(...parts, node.data.slice(end));
  }
  for (const time of root.querySelectorAll("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    const local = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    time.title = time.title ? `${time.title}\n${local}` : local;
    const exact = time.querySelector(".exact") ?? time;
    if (!exact.textContent.endsWith("UTC") || date.getTimezoneOffset() === 0) continue;
    const here = `${date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })} here`;
    const beside = document.createElement("span");
    beside.className = "local";
    beside.textContent = exact === time ? ` (${here})` : ` · ${here}`;
    if (exact === time) time.after(beside);
    else exact.append(beside);
  }
}
localTimes(document);

// The bar of chosen tokens says how many they are, and how many of them somebody uses.
const bulk = document.getElementById("bulk");
if (bulk) {
  const said = bulk.querySelector("span");
  const text = said.textContent;
  said.setAttribute("role", "status");
  const tell = () => {
    const chosen = [...document.querySelectorAll(".pick:checked")];
    const since = Date.now() - 7 * 86_400_000;
    const used = chosen.filter((box) => {
      const last = box.closest("tr").querySelector("td[data-label=Used] time");
      return last && since <= new Date(last.dateTime).getTime();
    }).length;
    const many = chosen.length === 1 ? "1 token" : `${chosen.length} tokens`;
    said.textContent = chosen.length === 0 ? text : `${many} chosen, ${used || "none"} of them used in the last 7 days:`;
  };
  document.addEventListener("change", (event) => { if (event.target.matches(".pick")) tell(); });
  addEventListener("pageshow", tell);
}

// Whether lists show exact times is remembered here, where the browser lets us.
const clock = document.getElementById("exact-times");
if (clock) {
  try {
    clock.checked = localStorage.getItem("exact-times") === "on";
    clock.addEventListener("change", () => localStorage.setItem("exact-times", clock.checked ? "on" : ""));
  } catch {
    // It keeps nothing for us: then it is asked on each page.
  }
}

// Live parts of a page are asked for again every few seconds. What is unfolded stays so, and the keyboard where it is.
const live = [...document.querySelectorAll("[data-live]")];
// Where nobody has done anything for five minutes, a page that asks by itself would keep a forgotten session in use.
let touched = Date.now();
for (const kind of ["pointerdown", "pointermove", "keydown", "scroll"]) addEventListener(kind, () => (touched = Date.now()), { passive: true });
async function again() {
  if (Date.now() - touched > 300_000) return;
  const selected = getSelection();
  // Nobody looks, or somebody is about to copy something.
  if (document.hidden || (!selected.isCollapsed && live.some((part) => selected.containsNode(part, true)))) return;
  const answer = await fetch(location.href);
  // Signed out meanwhile, say: the page itself shows what is the matter.
  if (answer.redirected || [401, 403, 404].includes(answer.status)) return location.reload();
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of live) {
    const fresh = page.getElementById(part.id);
    if (!fresh) continue;
    const focused = part.contains(document.activeElement) ? document.activeElement.closest("[id]")?.id : undefined;
    for (const open of part.querySelectorAll("details[open]")) fresh.querySelector(`#${CSS.escape(open.id)}`)?.setAttribute("open", "");
    localTimes(fresh);
    part.replaceChildren(...fresh.childNodes);
    if (focused && focused !== part.id) document.getElementById(focused)?.querySelector("summary")?.focus();
  }
}
// A server that is away for a moment is asked again, and a slow one not twice at once.
function later() {
  setTimeout(() => again().catch(() => {}).finally(later), 3000);
}
if (live.length > 0) later();
