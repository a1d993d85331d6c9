// Passkeys: hands what the server asks to the browser, and the answer back. Without this file there are the other ways to sign in.
"use strict";
// Several forms of a page may ask for it.
if (!document.documentElement.dataset.passkeys) {
  document.documentElement.dataset.passkeys = "on";
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const text = (buffer) => {
    const letters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
    return btoa(letters).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };
  const named = (all) => (all ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

  // What the server says is for people; what the browser says is not.
  class Told extends Error {}
  const WORDS = {
    NotAllowedError: "Nothing was done: it was stopped, took too long, or the device cannot do what is needed.",
    InvalidStateError: "This device has a passkey for your account already.",
    ConstraintError: "This device cannot keep a passkey, or does not ask who uses it. Use another one.",
    NotSupportedError: "This device makes no passkeys that are taken here.",
  };
  function words(error, address) {
    if (error instanceof Told) return error.message;
    if (error.name === "SecurityError") return address ? `Passkeys work only at ${address}. Open this page there.` : "Passkeys do not work at this address.";
    return WORDS[error.name] ?? "That did not work. Load the page again.";
  }

  // Asks the server. The token of a form comes first, as in every form; a new one is for all forms of the page.
  async function ask(path, form, fields = {}) {
    const body = new URLSearchParams({ csrf: form.elements.namedItem("csrf").value, ...fields });
    const answer = await fetch(path, { method: "POST", body });
    const said = await answer.json().catch(() => ({}));
    if (said.csrf) for (const input of document.querySelectorAll("input[name=csrf]")) input.value = said.csrf;
    if (!answer.ok) throw new Told(said.error || "The server did not answer as expected. Load the page again.");
    return said;
  }

  async function make(options) {
    const { publicKey } = options;
    const made = await navigator.credentials.create({
      publicKey: {
        ...publicKey,
        challenge: bytes(publicKey.challenge),
        user: { ...publicKey.user, id: bytes(publicKey.user.id) },
        excludeCredentials: named(publicKey.excludeCredentials),
      },
    });
    const { credProps } = made.getClientExtensionResults();
    return JSON.stringify({
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      response: { attestationObject: text(made.response.attestationObject), clientDataJSON: text(made.response.clientDataJSON) },
      extensions: credProps ? { credProps } : {},
    });
  }

  async function sign(options, how = {}) {
    const { publicKey } = options;
    const signed = await navigator.credentials.get({
      ...how,
      publicKey: { ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: named(publicKey.allowCredentials) },
    });
    const { authenticatorData, clientDataJSON, signature, userHandle } = signed.response;
    return JSON.stringify({
      id: signed.id,
      rawId: text(signed.rawId),
      type: signed.type,
      response: {
        authenticatorData: text(authenticatorData),
        clientDataJSON: text(clientDataJSON),
        signature: text(signature),
        userHandle: userHandle ? text(userHandle) : null,
      },
    });
  }

  // Does it while the button waits, and says what went wrong below it.
  async function withButton(button, problem, address, work) {
    button.disabled = true;
    problem.hidden = true;
    try {
      await work();
    } catch (error) {
      problem.textContent = words(error, address);
      problem.hidden = false;
    } finally {
      // After the page's own script, which lets no form be sent twice.
      setTimeout(() => { button.disabled = false; }, 0);
    }
  }
  const send = (form, credential) => {
    form.elements.namedItem("credential").value = credential;
    form.submit();
  };

  const known = "PublicKeyCredential" in window && navigator.credentials;

  for (const form of document.querySelectorAll("form[data-passkey-new]")) {
    // Its own: what asks for a proof in it has one, too, which may be hidden.
    const problem = form.querySelector(":scope > [data-passkey-error]");
    const button = form.querySelector("button:not([type=button])");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      withButton(button, problem, form.dataset.address, async () => {
        if (!known) throw new Told("This browser knows no passkeys.");
        // What is filled in of a password and a code proves who sits here.
        const given = ["password", "otp"].map((name) => [name, form.elements.namedItem(name)?.value ?? ""]);
        const { options } = await ask(form.dataset.passkeyNew, form, Object.fromEntries(given.filter(([, value]) => value)));
        // It is proven now, and a code counts once.
        for (const [name] of given) {
          const field = form.elements.namedItem(name);
          if (field) Object.assign(field, { value: "", required: false });
        }
        send(form, await make(options));
      });
    });
  }

  for (const form of document.querySelectorAll("form[data-passkey-sign-in]")) {
    if (!known) break;
    const problem = form.querySelector("[data-passkey-error]");
    const button = form.querySelector("button");
    const begin = () => ask(form.dataset.passkeySignIn, form);
    form.hidden = false;
    // Beside what the browser fills in, it offers passkeys: that waits until somebody chooses one, and begins anew before its
    // question is too old, or another window has asked one.
    let waiting;
    const wait = async () => {
      if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
      if (!document.querySelector("input[autocomplete~=webauthn]")) return;
      waiting?.abort();
      const own = waiting = new AbortController();
      try {
        const { options } = await begin();
        if (own.signal.aborted) return;
        send(form, await sign(options, { mediation: "conditional", signal: own.signal }));
      } catch (error) {
        if (own.signal.aborted || error.name === "NotAllowedError") return;
        problem.textContent = words(error, form.dataset.address);
        problem.hidden = false;
      }
    };
    // After one was refused only the button asks: what was chosen once would be chosen again.
    let busy = location.pathname === form.getAttribute("action");
    const again = () => { if (!busy && !document.hidden) wait().catch(() => {}); };
    again();
    setInterval(again, 240000);
    document.addEventListener("visibilitychange", again);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy = true;
      waiting?.abort();
      withButton(button, problem, form.dataset.address, async () => {
        const { options } = await begin();
        send(form, await sign(options));
      }).finally(() => { busy = false; });
    });
  }

  // In the place of a password, on any form that asks who sits here.
  for (const offer of document.querySelectorAll("[data-passkey-prove]")) {
    if (!known) break;
    const path = offer.dataset.passkeyProve;
    const [button, problem] = [offer.querySelector("button"), offer.querySelector("[data-passkey-error]")];
    const form = button.form;
    fetch(path).then((answer) => answer.json()).then(({ passkeys }) => { offer.hidden = !(passkeys > 0); }).catch(() => {});
    button.addEventListener("click", () => {
      withButton(button, problem, undefined, async () => {
        const { options } = await ask(`${path}/begin`, form);
        await ask(path, form, { credential: await sign(options) });
        // A form asks for what the account has: beside a passkey, not always for a password.
        for (const name of ["password", "otp"]) {
          const field = form.elements.namedItem(name);
          // Where an authenticator is set up, the code is its first.
          if (!field || (name === "otp" && form.elements.namedItem("set_up"))) continue;
          field.required = false;
          field.closest(".field").hidden = true;
        }
        button.hidden = true;
        offer.querySelector("[data-passkey-done]").hidden = false;
      });
    });
  }
}
