"use strict";
// Keeps an open page up to date: fetches it anew, and changes only what is different, so that focus, scroll position,
// selection and opened parts stay. Without this script the page is the same, and loads itself anew instead.
(() => {
  const root = document.documentElement;
  const main = document.getElementById("main");
  const dialog = document.getElementById("dialog");
  const pauseMs = Number(root.dataset.pauseMs || 0);
  let receivedAt = performance.now();
  let toggled = new WeakSet(); // what the reader opened or closed stays so
  let timer = 0;
  let asked = 0;

  function span(seconds) {
    const whole = Math.max(0, Math.floor(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
    return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
  }

  function countOn() {
    const since = (performance.now() - receivedAt) / 1000;
    for (const element of document.querySelectorAll("[data-age]")) {
      const age = Number(element.dataset.age) + since;
      if (element.dataset.of) {
        const left = Math.max(0, 100 - (100 * age) / Number(element.dataset.of));
        element.lastElementChild.setAttribute("width", left.toFixed(0));
      } else {
        const said = span(age);
        if (element.textContent !== said) element.textContent = said;
      }
    }
  }

  const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key : undefined);
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

  function become(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    // What is open is never closed under the reader's eyes, and what the reader has closed stays closed.
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !(name === "open" && toggled.has(old))) old.setAttribute(name, value);
    }
    becomeInside(old, fresh);
  }

  function becomeInside(old, fresh) {
    const wantedKeys = new Set([...fresh.childNodes].map(keyOf));
    const keyed = new Map();
    for (const child of [...old.childNodes]) {
      const key = keyOf(child);
      if (!key) continue;
      if (wantedKeys.has(key)) keyed.set(key, child);
      else child.remove();
    }
    let at = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
      const found = keyOf(wanted) ? keyed.get(keyOf(wanted)) : at;
      if (!found || !alike(found, wanted)) {
        old.insertBefore(document.importNode(wanted, true), at);
        continue;
      }
      // What is moved loses the focus: so what stands before it goes, if it is nothing that can be told from others.
      while (at !== found && !keyOf(at)) at = dropped(at);
      if (at !== found) old.insertBefore(found, at);
      become(found, wanted);
      at = found === at ? at.nextSibling : at;
    }
    while (at) at = dropped(at);
  }

  function dropped(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  function say(state, words) {
    const place = document.querySelector("[data-live-state]");
    if (place.dataset.state === state) return;
    place.dataset.state = state;
    place.setAttribute("role", "status");
    place.textContent = words;
  }

  async function pageAt(address) {
    const answer = await fetch(address, { cache: "no-store", headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  async function refresh() {
    clearTimeout(timer);
    const mine = ++asked;
    const began = performance.now();
    try {
      const fresh = await pageAt(location.pathname + location.search);
      if (mine !== asked) return;
      if (fresh.documentElement.dataset.build !== root.dataset.build) return location.reload();
      receivedAt = performance.now();
      const focused = document.activeElement;
      become(document.querySelector("header .sub"), fresh.querySelector("header .sub"));
      becomeInside(main, fresh.getElementById("main"));
      if (focused && !focused.isConnected) main.focus({ preventScroll: true });
      countOn();
      say("live", "Live");
    } catch (error) {
      if (mine !== asked) return;
      say("lost", "Not reached; trying again");
    }
    // A server that takes its time is asked less often.
    if (!document.hidden) timer = setTimeout(refresh, Math.max(pauseMs, 20 * (performance.now() - began)));
  }

  // -- filter: the address says what is looked for, so that it can be reloaded and sent to somebody

  let typing = 0;
  function look(form) {
    const wished = [...new FormData(form)].filter(([, value]) => value);
    const query = new URLSearchParams(wished).toString();
    history.replaceState(null, "", query ? `/?${query}` : "/");
    toggled = new WeakSet();
    refresh();
  }
  main.addEventListener("input", (event) => {
    const form = event.target.closest("[data-filter]");
    if (!form) return;
    clearTimeout(typing);
    typing = setTimeout(look, 250, form);
  });
  main.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-filter]")) return;
    event.preventDefault();
    look(event.target);
  });

  main.addEventListener("click", (event) => {
    const summary = event.target.closest("summary");
    if (summary) toggled.add(summary.parentElement);
  });

  // -- the question before a change, over the page

  main.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || !dialog.showModal) return;
    event.preventDefault();
    try {
      const asked = await pageAt(link.href);
      dialog.replaceChildren(document.importNode(asked.querySelector("form.question"), true));
      dialog.showModal();
    } catch (error) {
      location.href = link.href; // whatever it answers is best shown as a page
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target !== dialog && !event.target.closest("[data-close]")) return;
    event.preventDefault();
    dialog.close();
  });

  root.dataset.script = "";
  if (!pauseMs) return;
  setInterval(countOn, 500);
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  say("live", "Live");
  timer = setTimeout(refresh, pauseMs);
})();
